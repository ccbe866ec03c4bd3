"""A store in a folder of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from softswitch.store import SqliteStore, Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(tmp_path / "data", free_bytes=0)
    _: Store = made
    await made.start()
    yield made
    await made.close()
