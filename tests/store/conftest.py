"""A store in a folder of its own: SQLite's, and the same in PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from softswitch.store import DatabaseStore, Store
from softswitch.store.postgres import postgres_store
from tests.support.postgres import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Give a PostgreSQL server."""
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DatabaseStore]:
    """Give a store of each kind."""
    if request.param == "sqlite":
        made = DatabaseStore(tmp_path / "data", free_bytes=0)
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        made = postgres_store(tmp_path / "data", server.database(), free_bytes=0)
    _: Store = made
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[DatabaseStore]:
    """Give a store whose records are in a file."""
    made = DatabaseStore(tmp_path / "data", free_bytes=0)
    await made.start()
    yield made
    await made.close()
