"""Deletion of objects whose recordings were deleted."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from softswitch.egress import EgressFailed
from softswitch.metrics import Metrics
from softswitch.store import DatabaseStore
from softswitch.switch.rounds import LONGEST_PAUSE_S
from softswitch.switch.uploads.bucket import StorageError
from softswitch.switch.uploads.remover import Remover
from softswitch.switch.uploads.uploader import LOOK_S
from tests.switch.uploads.test_uploader import Shelf, record, uploader_of


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DatabaseStore]:
    made = DatabaseStore(tmp_path / "data", free_bytes=0, uploads=True, removes=True)
    await made.start()
    yield made
    await made.close()


def remover_of(store: DatabaseStore, shelf: Shelf) -> Remover:
    made = Remover(shelf, store, Metrics("1"))
    store.on_removal = made.wake
    return made


def counted(remover: Remover) -> dict[str, float]:
    samples = next(iter(remover._metrics.removals.collect())).samples
    return {one.labels["result"]: one.value for one in samples if one.name.endswith("_total")}


async def test_objects_are_deleted_once_the_storage_is_back(store: DatabaseStore) -> None:
    shelf = Shelf()
    for name in "ab":
        await record(store, name)
    await uploader_of(store, shelf).upload_waiting()
    remover = remover_of(store, shelf)
    assert await remover.remove_waiting() == LOOK_S
    assert shelf.deleted == []
    assert await store.delete_recording("a.wav")
    shelf.errors = [EgressFailed("away") for _ in range(20)]
    pauses = [await remover.remove_waiting() for _ in range(20)]
    assert LONGEST_PAUSE_S / 2 <= pauses[-1] <= LONGEST_PAUSE_S
    assert remover.warnings() == ["upload: objects of deleted recordings are still in the storage: away"]
    assert await remover.remove_waiting() == LOOK_S
    assert shelf.deleted == ["s3/me/a.wav"]
    assert remover.warnings() == []
    assert counted(remover) == {"retried": 20, "deleted": 1}
    await remover.remove_waiting()
    assert shelf.deleted == ["s3/me/a.wav"]


async def test_object_that_cannot_be_deleted_holds_up_no_other_and_is_not_given_up(
    store: DatabaseStore,
) -> None:
    shelf = Shelf()
    for name in "ab":
        await record(store, name)
    await uploader_of(store, shelf).upload_waiting()
    remover = remover_of(store, shelf)
    for name in ("a.wav", "b.wav"):
        await store.delete_recording(name)
    shelf.errors = [StorageError("never", final=True)]
    await remover.remove_waiting()
    assert shelf.deleted == []
    await remover.remove_waiting()
    assert sorted(shelf.deleted) == ["s3/me/a.wav", "s3/me/b.wav"]


async def test_object_of_a_recording_that_has_the_name_again_is_kept(store: DatabaseStore) -> None:
    shelf = Shelf()
    await record(store, "a")
    uploader, remover = uploader_of(store, shelf), remover_of(store, shelf)
    await uploader.upload_waiting()
    await store.delete_recording("a.wav")
    await record(store, "a")
    await uploader.upload_waiting()
    await remover.remove_waiting()
    assert shelf.deleted == []
    assert await store.records.removals(9, 1 << 62) == []


async def test_object_of_a_recording_that_was_not_uploaded_for_sure_is_deleted_by_its_name(
    store: DatabaseStore,
) -> None:
    shelf = Shelf()
    await record(store, "a")
    await store.delete_recording("a.wav")
    await remover_of(store, shelf).remove_waiting()
    assert shelf.deleted == ["s3/me/a.wav"]
