"""The ledger's tables and the constraints that hold whatever the code does."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import IntegrityError

from node.errors import ConfigError, NotFoundError, StorageError
from node.ledger import Ledger, migrations
from node.ledger.database import Database
from node.ledger.migrations import LedgerVersionError
from node.ledger.schema import metadata
from tests.node.ledger_steps import working
from tests.node.support import NOON, at

pytestmark = pytest.mark.integration

_NEW_JOB = "INSERT INTO jobs (study_uid, run, state, route, workflow, queued_at, not_before)"


@pytest.mark.usefixtures("ledger")
def test_the_tables_are_those_that_the_code_knows(ledger_url: str) -> None:
    database = Database(ledger_url, create=True)
    with database.read() as conn:
        found = inspect(conn)
        tables = {name: {column["name"] for column in found.get_columns(name)} for name in found.get_table_names()}
    database.close()
    assert tables.pop("schema_versions") == {"version", "name", "applied_at"}
    assert tables == {table.name: {column.name for column in table.columns} for table in metadata.tables.values()}


def test_migrating_again_does_nothing(ledger_url: str) -> None:
    Ledger.open(ledger_url, NOON).close()
    database = Database(ledger_url, create=True)
    with database.write() as conn:
        assert migrations.migrate(conn, NOON) == []
        assert migrations.version(conn) == migrations.known()[-1].version
    database.close()


def test_migrations_are_numbered_without_gaps() -> None:
    assert [item.version for item in migrations.known()] == list(range(1, len(migrations.known()) + 1))


@pytest.mark.usefixtures("ledger")
def test_a_newer_ledger_is_refused(ledger_url: str) -> None:
    database = Database(ledger_url, create=True)
    with database.write() as conn:
        conn.execute(text("INSERT INTO schema_versions VALUES (99, 'future', 'later')"))
    database.close()
    for opening in (lambda: Ledger.open(ledger_url, NOON), lambda: Ledger.attach(ledger_url)):
        with pytest.raises(LedgerVersionError, match="has version 99"):
            opening()


def test_a_ledger_that_no_node_made_is_not_attached(ledger_url: str) -> None:
    if ledger_url.startswith("sqlite"):
        with pytest.raises(NotFoundError, match="there is no ledger at"):
            Ledger.attach(ledger_url)
        Path(ledger_url.removeprefix("sqlite:///")).touch()
    with pytest.raises(LedgerVersionError, match="start the node once"):
        Ledger.attach(ledger_url)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE studies SET state = 'nonsense'",
        "UPDATE studies SET state = 'refused'",
        "UPDATE studies SET reason_code = 'X'",
        "UPDATE jobs SET lease_owner = NULL, lease_until = NULL",
        f"{_NEW_JOB} SELECT study_uid, 9, 'queued', 'ct', 'ct', queued_at, queued_at FROM jobs",
        f"{_NEW_JOB} SELECT 'unknown', 9, 'done', 'ct', 'ct', queued_at, queued_at FROM jobs",
        "INSERT INTO instances (study_uid, series_uid, sop_uid, modality, role, content_sha256, size_bytes, path, header, received_at) "
        "SELECT study_uid, series_uid, sop_uid, modality, role, replace(content_sha256, 'a', 'b'), 1, 'x', header, received_at "
        "FROM instances",
        "UPDATE instances SET size_bytes = 0",
        "DELETE FROM studies",
    ],
)
def test_the_database_refuses_what_must_not_be(ledger: Ledger, ledger_url: str, statement: str) -> None:
    working(ledger)
    database = Database(ledger_url, create=True)
    with pytest.raises(IntegrityError), database.write() as conn:
        conn.execute(text(statement))
    database.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "is not an SQLAlchemy URL"),
        ("sqlite://", "SQLite needs a file"),
        ("sqlite:///:memory:", "SQLite needs a file"),
        ("mysql://host/db", "SQLite or PostgreSQL, not mysql"),
    ],
)
def test_other_urls_are_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Ledger(url, create=True)


def test_a_secret_in_the_url_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        Ledger("postgresql//user:secret@host", create=True)
    assert "secret" not in str(caught.value)


def test_a_database_that_is_gone_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match="the ledger cannot be used now"):
        Ledger.open("postgresql://osteon@127.0.0.1:1/postgres", NOON)


def test_a_time_without_a_zone_is_refused(ledger: Ledger) -> None:
    from sqlalchemy.exc import StatementError

    with pytest.raises(StatementError, match="a time without a zone"):
        ledger.arrivals.close_lost_associations(at(0).replace(tzinfo=None))


def test_sqlite_is_durable_and_shared(tmp_path_factory: pytest.TempPathFactory) -> None:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('db') / 'x.db'}", create=True)
    with database.read() as conn:
        assert _pragma(conn, "journal_mode") == "wal"
        assert _pragma(conn, "synchronous") == 2
        assert _pragma(conn, "foreign_keys") == 1
    database.close()


def _pragma(conn: Connection, name: str) -> object:
    return conn.exec_driver_sql(f"PRAGMA {name}").scalar_one()
