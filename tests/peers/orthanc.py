"""Orthanc as the PACS, in a network namespace of its own.

Orthanc listens on every address and cannot be told to keep to loopback, so it runs where loopback is all there is. Whatever talks to it
(the node, storescu) is started through :meth:`OrthancPeer.popen` or :meth:`OrthancPeer.run` in the same namespace.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.peers.tools import require_peer

DICOM_PORT = 4242
HTTP_PORT = 8042


class OrthancPeer:
    """A running Orthanc and the namespace it lives in."""

    def __init__(self, namespace: str, folder: Path) -> None:
        self.namespace = namespace
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command line that runs ``arguments`` inside the namespace."""
        return ["ip", "netns", "exec", self.namespace, *arguments]

    def run(self, arguments: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run to the end inside the namespace."""
        environment = {**os.environ, "TCP_NODELAY": "1"}
        return subprocess.run(self.command(arguments), text=True, capture_output=True, env=environment, check=False, timeout=300, **options)

    def popen(self, arguments: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start inside the namespace; ``ip netns exec`` becomes the program, so its pid is the program's."""
        return subprocess.Popen(self.command(arguments), env={**os.environ, "TCP_NODELAY": "1"}, **options)

    def start(self) -> None:
        """Start Orthanc and wait until it answers.

        Raises
        ------
        TimeoutError
            It did not answer within 30 s.
        """
        with (self.folder / "orthanc.log").open("ab") as log:
            self._process = self.popen(["Orthanc", str(self.folder / "orthanc.json")], stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self._fetch("/system").returncode == 0:
                return
            time.sleep(0.2)
        raise TimeoutError(f"Orthanc did not answer; see {self.folder / 'orthanc.log'}")

    def stop(self) -> None:
        """Stop Orthanc; its database stays."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)
            self._process = None

    def get(self, path: str) -> Any:
        """The JSON that its REST interface answers."""
        done = self._fetch(path)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def instances(self) -> list[dict[str, Any]]:
        """SOPClassUID, SOPInstanceUID, Modality, StudyInstanceUID and Orthanc's ID of every stored instance."""
        tags = "SOPClassUID;SOPInstanceUID;Modality;StudyInstanceUID;SeriesInstanceUID"
        return [item["RequestedTags"] | {"ID": item["ID"]} for item in self._expanded(tags)]

    def _expanded(self, tags: str) -> list[dict[str, Any]]:
        rows = []
        for identifier in self.get("/instances"):
            simple = self.get(f"/instances/{identifier}/simplified-tags")
            rows.append({"ID": identifier, "RequestedTags": {tag: simple.get(tag) for tag in tags.split(";")}})
        return rows

    def download(self, identifier: str, path: Path) -> Path:
        """The instance as a DICOM file."""
        code = f"import urllib.request,sys; sys.stdout.buffer.write(urllib.request.urlopen('http://127.0.0.1:{HTTP_PORT}/instances/{identifier}/file').read())"
        with path.open("wb") as file:
            subprocess.run(self.command([sys.executable, "-c", code]), stdout=file, check=True, timeout=60)
        return path

    def _fetch(self, path: str) -> subprocess.CompletedProcess[str]:
        code = f"import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:{HTTP_PORT}{path}', timeout=10).read().decode())"
        return self.run([sys.executable, "-c", code])


@contextmanager
def orthanc(folder: Path, settings: Mapping[str, Any] | None = None) -> Iterator[OrthancPeer]:
    """A running Orthanc; skips (or fails, where peers are required) without it or without the right to make a namespace.

    ``settings`` are added to its configuration.
    """
    require_peer("Orthanc", "ip")
    namespace = f"osteon-{os.getpid()}-{time.monotonic_ns() % 100000}"
    made = subprocess.run(["ip", "netns", "add", namespace], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        require_peer(because=f"no network namespace could be made for Orthanc: {made.stderr.strip()}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orthanc.json").write_text(json.dumps({**_configuration(folder), **(settings or {})}))
    peer = OrthancPeer(namespace, folder)
    try:
        subprocess.run(["ip", "netns", "exec", namespace, "ip", "link", "set", "lo", "up"], check=True)
        peer.start()
        yield peer
    finally:
        peer.stop()
        subprocess.run(["ip", "netns", "delete", namespace], check=False)
        shutil.rmtree(folder / "db", ignore_errors=True)


def _configuration(folder: Path) -> dict[str, Any]:
    return {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [],
        "HttpPort": HTTP_PORT,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": "ORTHANC",
        "DicomPort": DICOM_PORT,
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True,
        "UnknownSopClassAccepted": True,
        "OverwriteInstances": True,
    }
