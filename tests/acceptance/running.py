"""A node as its administrator runs it: ``osteon serve`` in a process of its own, with a config.yaml."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.node.support import until
from tests.peers.dcmtk import dcmtk
from tests.peers.orthanc import DICOM_PORT, OrthancPeer

NODE_PORT = 11112


def write_config(folder: Path, **sections: Any) -> Path:
    """A config.yaml with the shipped routes, short quiet times, Orthanc as the destination, and whatever else is given."""
    shipped = yaml.safe_load((Path(__file__).resolve().parents[2] / "config.yaml").read_text())
    retry = {"first_s": 0.5, "factor": 1.5, "max_s": 2}
    settings = {
        "receiver": {"ae_title": "OSTEON", "host": "127.0.0.1", "port": NODE_PORT},
        "completion": {"quiet_s": {"CT": 1.0, "CR": 1.0, "DX": 1.0}, "default_quiet_s": 1.0, "tick_s": 0.2},
        "destinations": [{"name": "pacs", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": DICOM_PORT, "retry": retry}],
        "routes": shipped["routes"],
        **sections,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return path


@contextmanager
def serving(peer: OrthancPeer, config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``osteon serve`` in the peer's namespace, stopped by SIGTERM, killed when that does not help."""
    with (config.parent / "node.log").open("ab") as log:
        process = peer.popen(
            [sys.executable, "-m", "node.cli", "serve", "--config", str(config)], stdout=log, stderr=log, cwd=config.parent
        )
    try:
        until(
            lambda: peer.run([dcmtk("echoscu"), "-aec", "OSTEON", "127.0.0.1", str(NODE_PORT)]).returncode == 0,
            "the node answers C-ECHO",
            60,
        )
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait(timeout=10)
