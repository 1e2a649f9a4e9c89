"""Peers that tests talk to: skipped with a reason where they are missing, required where OSTEON_REQUIRE_PEERS=1."""

import os
import shutil
import socket
import sys
from pathlib import Path

import pytest


def require_peer(*commands: str, because: str = "") -> None:
    """Go on only when every command is installed and nothing else (``because``) stands in the way."""
    missing = [command for command in commands if find_command(command) is None]
    reason = because or (f"not installed: {', '.join(missing)}" if missing else "")
    if not reason:
        return
    if os.environ.get("OSTEON_REQUIRE_PEERS") == "1":
        pytest.fail(f"a peer is required here: {reason}")
    pytest.skip(f"a peer is missing: {reason}")


def find_command(command: str) -> str | None:
    """A program beside this Python (dcmqi installs there) or on the path; PostgreSQL's programs are looked for where Debian keeps them."""
    beside = Path(sys.executable).parent / command
    if beside.is_file():
        return str(beside)
    found = shutil.which(command)
    if found is None:
        found = next((str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{command}"), reverse=True)), None)
    return found


def free_port() -> int:
    """A TCP port on loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
