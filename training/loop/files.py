"""Files that are either wholly there or not at all, and folders that one process uses at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.errors import TrainingError


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` beside ``path``, make it durable, then rename: a kill or a power cut leaves the old file or the new one.

    Raises
    ------
    TrainingError
        The disk is full, or the folder may not be written; the old file is as it was.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _make_durable(path.parent)
    except OSError as error:
        raise TrainingError(f"{path} cannot be written ({error.strerror or error})") from error
    finally:
        partial.unlink(missing_ok=True)


def _make_durable(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes out of the folder for the time of the block; a kill lets go of it.

    Raises
    ------
    TrainingError
        Another process holds it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise TrainingError(f"{folder} cannot be used as the folder of a run ({error.strerror or error})") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TrainingError(f"another process trains in {folder}; wait for it, stop it, or use another folder") from error
        yield
