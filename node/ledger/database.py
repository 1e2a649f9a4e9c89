"""The door to SQL: an engine, read and write transactions, and their errors in the node's words."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from node.errors import ConfigError, NotFoundError, StorageError

BUSY_TIMEOUT_MS = 30_000
_WRITE = {"osteon_write": True}


class Database:
    """An SQLite (WAL) or PostgreSQL database.

    Within one process, writers of SQLite queue at a lock: SQLite's own waiting is by sleeping, which starves some.

    Parameters
    ----------
    url
        SQLAlchemy URL. ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or ``postgresql+psycopg://...``.
    create
        Whether a missing SQLite file may be made.

    Raises
    ------
    ConfigError
        The URL is not one of those.
    NotFoundError
        There is no such SQLite file, and none may be made.
    """

    def __init__(self, url: str, *, create: bool) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise ConfigError("storage.ledger is not an SQLAlchemy URL") from None
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite:
            if not parsed.database or parsed.database == ":memory:":
                raise ConfigError("storage.ledger: SQLite needs a file; several processes share it")
            file = Path(parsed.database)
            if create:
                file.parent.mkdir(parents=True, exist_ok=True)
            elif not file.is_file():
                raise NotFoundError(f"there is no ledger at {file} yet: `osteon serve` makes it")
        elif parsed.get_backend_name() != "postgresql":
            raise ConfigError(f"storage.ledger: SQLite or PostgreSQL, not {parsed.get_backend_name()}")
        self._lock = threading.Lock() if self.is_sqlite else nullcontext()
        self.engine = _sqlite_engine(parsed) if self.is_sqlite else create_engine(parsed, pool_size=10, max_overflow=40, pool_pre_ping=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads; one consistent view.

        Raises
        ------
        StorageError
            The database cannot be read now.
        """
        with _as_storage_error(), self.engine.connect() as conn, conn.begin():
            yield conn

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes: all of it, durably, or nothing.

        Raises
        ------
        StorageError
            The database cannot take it now (locked, disk full, gone).
        """
        with self._lock, _as_storage_error(), self.engine.connect() as conn:
            conn = conn.execution_options(**_WRITE)
            with conn.begin():
                yield conn

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


@contextmanager
def _as_storage_error() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        cause = getattr(error, "orig", None) or error
        raise StorageError(f"the ledger cannot be used now: {cause}") from error


def _sqlite_engine(url: Any) -> Engine:
    engine = create_engine(url, pool_size=10, max_overflow=40, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own: see _begin
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_MS}"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        # A write transaction takes the lock at once: one that starts by reading cannot wait for it later (SQLITE_BUSY_SNAPSHOT).
        conn.exec_driver_sql("BEGIN IMMEDIATE" if conn.get_execution_options().get("osteon_write") else "BEGIN")

    return engine
