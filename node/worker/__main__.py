"""``python -m node.worker``: started by the supervisor alone, which speaks to it over standard input."""

import sys

from node.worker.loop import main

if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer))
