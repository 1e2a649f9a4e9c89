"""A PostgreSQL server of its own in a temporary folder, on loopback, for the tests of the ledger."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.peers.tools import find_command, free_port, require_peer


@contextmanager
def postgresql() -> Iterator[str]:
    """The SQLAlchemy URL of an empty database; the server ends with the context."""
    require_peer("initdb", "postgres", because=_why_not())
    user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="osteon-pg-"))
    if user is not None:
        shutil.chown(folder, user)
    port = free_port()
    try:
        _run(
            [str(find_command("initdb")), "-D", str(folder / "data"), "-A", "trust", "-U", "osteon", "-N", "--no-locale", "-E", "UTF8"],
            user,
            folder,
        )
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-c", "fsync=off", "-c", "max_connections=120"]
        with (folder / "server.log").open("wb") as log:
            server = subprocess.Popen(
                [str(find_command("postgres")), "-D", str(folder / "data"), *options], stdout=log, stderr=log, user=user, cwd=folder
            )
        try:
            url = f"postgresql://osteon@127.0.0.1:{port}/postgres"
            _wait(url, server, folder / "server.log")
            yield url
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fresh_database(url: str) -> None:
    """Drop everything in the database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


def _why_not() -> str:
    if os.geteuid() != 0:
        return ""
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return "this runs as root, and there is no user postgres to run PostgreSQL as"
    return ""


def _run(command: list[str], user: str | None, folder: Path) -> None:
    done = subprocess.run(command, user=user, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def _wait(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(log.read_text())
