"""DCMTK's programs as peers. pynetdicom installs programs of the same names beside this Python; those are not meant."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.peers.tools import require_peer

ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
"""Without it DCMTK waits 40 ms per image for a delayed acknowledgement."""


def dcmtk(command: str) -> str:
    """The path of a DCMTK program; skips, or fails where peers are required, when it is not installed."""
    ours = Path(sys.executable).parent
    folders = [folder for folder in os.get_exec_path() if Path(folder) != ours]
    found = shutil.which(command, path=os.pathsep.join(folders))
    require_peer(because="" if found else f"DCMTK's {command} is not installed")
    return str(found)


def run(command: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a DCMTK program to its end."""
    return subprocess.run([dcmtk(command), *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120)


def storescu(port: int, *arguments: str) -> list[str]:
    """The command line of a sender; add files, or ``+sd`` and folders."""
    return [dcmtk("storescu"), "-aec", "OSTEON", *arguments[:-1], "127.0.0.1", str(port), arguments[-1]]


@contextmanager
def storescp(port: int, folder: Path, options: Sequence[str] = ()) -> Iterator[Path]:
    """A DCMTK receiver that writes what comes into ``folder``, until the context ends."""
    folder.mkdir(exist_ok=True)
    command = [dcmtk("storescp"), "-od", str(folder), "-aet", "PACS", *options, str(port)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while run("echoscu", "-aec", "PACS", "127.0.0.1", str(port)).returncode != 0:
            assert process.poll() is None, "storescp did not start"
            assert time.monotonic() < deadline, "storescp does not answer"
            time.sleep(0.05)
        yield folder
    finally:
        process.terminate()
        process.wait(timeout=10)
