"""What is logged, to stderr: the same for the node and its workers."""

import logging
import sys

LIBRARIES = ("apscheduler", "highdicom", "matplotlib", "PIL", "pydicom", "pynetdicom")
"""They write a line a tick, a PDU or an attribute at INFO; their warnings are kept."""


def configure(level: str) -> None:
    """Log from this level on, with the process in each line. Libraries speak from WARNING on, or where the level is DEBUG."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s[%(process)d]: %(message)s")
    logging.getLogger().setLevel(level)
    for name in LIBRARIES:
        logging.getLogger(name).setLevel("DEBUG" if level == "DEBUG" else max(logging.getLevelName(level), logging.WARNING))
