"""A node in a process of its own whose workers run what a test names: ``python -m tests.acceptance.fault_node CONFIG MODULE:FUNCTION``."""

import faulthandler
import logging
import pickle
import signal
import sys
from pathlib import Path

from node.app import Node


def main(config: Path, process: str) -> None:
    """Serve until SIGTERM. The configuration is a pickle: the test made it, and YAML is another test's business."""
    faulthandler.register(signal.SIGUSR2)  # where it hangs, should it not stop
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    Node(pickle.loads(config.read_bytes()), process=process).serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
