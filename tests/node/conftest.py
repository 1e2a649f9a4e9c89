"""The ledger, on each of its databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.ledger import Ledger
from tests.node.support import at
from tests.peers.postgresql import fresh_database, postgresql


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A PostgreSQL server for the whole run; skips where there is none."""
    with postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'osteon.db'}"
    url: str = request.getfixturevalue("postgresql_server")
    fresh_database(url)
    return url


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """A new ledger on each kind of database."""
    with Ledger.open(ledger_url, at(0)) as ledger:
        yield ledger
