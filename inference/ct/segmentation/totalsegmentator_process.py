"""The process in which the package TotalSegmentator runs: ``python -m inference.ct.segmentation.totalsegmentator_process FOLDER``.

FOLDER holds ``hu.npy`` (slices, rows, columns), ``asked.json`` and the package's own settings; ``labels.npy`` (columns, rows, slices) is
written there. The process can reach no network, and ends, with all that it started, when its standard input is closed.
"""

import importlib
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

import numpy as np


def no_network() -> None:
    """Let no socket of this process reach another machine: neither weights come in nor usage statistics go out.

    Sockets of the Unix family stay, which ``multiprocessing`` uses.
    """
    allowed = socket.AF_UNIX

    class LocalSocket(socket.socket):
        """Connects inside this machine's file system alone."""

        def connect(self, address: object) -> None:
            """Connect, if at all."""
            _check(self)
            super().connect(address)  # type: ignore[arg-type]

        def connect_ex(self, address: object) -> int:
            """Connect, if at all."""
            _check(self)
            return super().connect_ex(address)  # type: ignore[arg-type]

    def _check(sock: socket.socket) -> None:
        if sock.family is not allowed:
            raise OSError("TotalSegmentator runs without a network here")

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError("TotalSegmentator runs without a network here")

    socket.socket = LocalSocket  # type: ignore[misc]
    socket.getaddrinfo = refuse
    socket.create_connection = refuse


def end_with_parent() -> None:
    """End this process and what it started when standard input is closed, which the parent's end does, too."""
    os.setpgid(0, 0)

    def watch() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock would be held in every process that multiprocessing forks
            pass
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def segment(folder: Path) -> None:
    """Run the package's Python API over ``hu.npy`` and write ``labels.npy``."""
    nibabel: Any = importlib.import_module("nibabel")
    api: Any = importlib.import_module("totalsegmentator.python_api")
    asked = json.loads((folder / "asked.json").read_text())
    hu = np.load(folder / "hu.npy", mmap_mode="r")
    image = nibabel.Nifti1Image(np.ascontiguousarray(hu.transpose(2, 1, 0)), np.array(asked["ras_affine"]))
    found = api.totalsegmentator(
        image,
        None,
        ml=True,
        task=asked["task"],
        fast=asked["fast"],
        device=asked["device"],
        roi_subset=asked["roi_subset"],
        nr_thr_saving=1,
        skip_saving=True,
        quiet=True,
    )
    np.save(folder / "labels.npy", np.asanyarray(found.dataobj).astype(np.uint8))


if __name__ == "__main__":
    end_with_parent()
    no_network()
    segment(Path(sys.argv[1]))
