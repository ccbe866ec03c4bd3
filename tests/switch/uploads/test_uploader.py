"""Uploads of recordings, with a storage that does what the test says."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from softswitch.egress import EgressFailed
from softswitch.metrics import Metrics
from softswitch.store import DatabaseStore, Recording
from softswitch.switch.rounds import LONGEST_PAUSE_S
from softswitch.switch.uploads import uploader as module
from softswitch.switch.uploads.bucket import StorageError
from softswitch.switch.uploads.uploader import GRACE_S, LOOK_S, Uploader


class Shelf:
    """A storage that remembers; `errors` are raised first."""

    def __init__(self) -> None:
        self.stored: list[str] = []
        self.deleted: list[str] = []
        self.errors: list[Exception] = []
        self.broken: dict[str, Exception] = {}

    def name_of(self, file: str, account: str, created_ms: int) -> str:
        return f"{account}/{file}"

    def url_of(self, name: str) -> str:
        return f"s3/{name}"

    async def delete(self, url: str) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.deleted.append(url)

    async def put(self, name: str, path: Path, kind: str) -> int:
        if self.errors:
            raise self.errors.pop(0)
        if name in self.broken:
            raise self.broken[name]
        self.stored.append(name)
        return path.stat().st_size


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DatabaseStore]:
    made = DatabaseStore(tmp_path / "data", free_bytes=0, uploads=True)
    await made.start()
    yield made
    await made.close()


def uploader_of(store: DatabaseStore, shelf: Shelf, **more: object) -> Uploader:
    made = Uploader(shelf, store, Metrics("1"), clock=lambda: 1000.0, **more)  # type: ignore[arg-type]
    store.on_recording = made.add
    return made


async def record(store: DatabaseStore, name: str, at_s: float = 0.0, account: str = "me") -> str:
    place = await store.new_recording(name)
    place.path.write_bytes(b"sound")
    assert await store.save_recording(
        Recording(
            name=place.name, call_id=name, size=5, duration_ms=0, created_at=int(at_s * 1000),
            container="wav", account=account,
        )
    )  # fmt: skip
    return place.name


async def states(store: DatabaseStore) -> dict[str, tuple[str, str]]:
    await store.settled()
    return {one.name: (one.upload, one.upload_url) for one in await store.records.recordings()}


def counted(uploader: Uploader) -> dict[str, float]:
    samples = next(iter(uploader._metrics.uploads.collect())).samples
    return {one.labels["result"]: one.value for one in samples if one.name.endswith("_total")}


async def test_recordings_wait_and_are_uploaded_the_oldest_first(store: DatabaseStore) -> None:
    shelf = Shelf()
    uploader = uploader_of(store, shelf)
    await record(store, "b", 2)
    await record(store, "a", 1)
    assert await states(store) == {"a.wav": ("waiting", ""), "b.wav": ("waiting", "")}
    assert await uploader.upload_waiting() == LOOK_S
    assert shelf.stored == ["me/a.wav", "me/b.wav"]
    assert await states(store) == {"a.wav": ("uploaded", "s3/me/a.wav"), "b.wav": ("uploaded", "s3/me/b.wav")}
    assert await store.recording_path("a.wav") is not None
    assert counted(uploader) == {"uploaded": 2}
    await uploader.upload_waiting()
    assert len(shelf.stored) == 2


async def test_storage_that_is_away_is_tried_again_with_growing_pauses(store: DatabaseStore) -> None:
    shelf = Shelf()
    uploader = uploader_of(store, shelf)
    await record(store, "a")
    shelf.errors = [EgressFailed("away") for _ in range(20)]
    pauses = [await uploader.upload_waiting() for _ in range(20)]
    assert 2.5 <= pauses[0] <= 5.0
    assert pauses[5] > 60
    assert LONGEST_PAUSE_S / 2 <= pauses[-1] <= LONGEST_PAUSE_S
    assert uploader.warnings() == ["upload: away"]
    assert await uploader.upload_waiting() == LOOK_S
    assert shelf.stored == ["me/a.wav"]
    assert uploader.warnings() == []


async def test_recording_that_is_never_taken_has_failed_and_the_others_go_on(store: DatabaseStore) -> None:
    shelf = Shelf()
    uploader = uploader_of(store, shelf)
    await record(store, "a", 1)
    await record(store, "b", 2)
    shelf.broken["me/a.wav"] = StorageError("too large", final=True)
    await uploader.upload_waiting()
    assert await states(store) == {"a.wav": ("failed", ""), "b.wav": ("uploaded", "s3/me/b.wav")}
    assert counted(uploader) == {"failed": 1, "uploaded": 1}


async def test_recording_that_fails_again_and_again_holds_up_no_other(
    store: DatabaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_TRIES", 3)
    shelf = Shelf()
    uploader = uploader_of(store, shelf)
    await record(store, "a", 1)
    shelf.broken["me/a.wav"] = StorageError("odd", final=False)
    for number in range(4):
        await record(store, f"b{number}", 2 + number)
        await uploader.upload_waiting()
    assert len(shelf.stored) == 4
    assert (await states(store))["a.wav"] == ("failed", "")


async def test_outage_lets_no_recording_fail(store: DatabaseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TRIES", 3)
    shelf = Shelf()
    uploader = uploader_of(store, shelf)
    await record(store, "a", 1)
    shelf.errors = [StorageError("busy", final=False) for _ in range(10)]
    for _ in range(10):
        await uploader.upload_waiting()
    assert (await states(store))["a.wav"] == ("waiting", "")


async def test_local_file_goes_once_the_storage_has_it_and_the_record_stays(store: DatabaseStore) -> None:
    shelf, busy = Shelf(), {"a"}
    uploader = uploader_of(store, shelf, delete_local=True, in_use=busy.__contains__)
    await record(store, "a", 1)
    await record(store, "fresh", 995)
    assert await uploader.upload_waiting() == GRACE_S
    assert shelf.stored == [], "one waits for its transcript, one for its grace"
    busy.clear()
    await uploader.upload_waiting()
    assert shelf.stored == ["me/a.wav"]
    assert await store.recording_path("a.wav") is None
    await store.sweep(0)
    assert (await states(store))["a.wav"] == ("uploaded", "s3/me/a.wav")
    assert await store.delete_recording("a.wav")
    assert "a.wav" not in await states(store)


async def test_old_records_of_uploads_go_by_their_age(store: DatabaseStore) -> None:
    uploader = uploader_of(store, Shelf(), delete_local=True)
    await record(store, "a", 1)
    await uploader.upload_waiting()
    await store.sweep(40 * 86_400_000)
    assert await states(store) == {}


async def test_worker_leaves_recordings_of_others_alone_unless_they_are_left_behind(
    store: DatabaseStore,
) -> None:
    shelf = Shelf()
    uploader = uploader_of(store, shelf, is_shared=True)
    await record(store, "own", 990)
    store.on_recording = None
    await record(store, "others", 990)
    await record(store, "left", 10)
    await uploader.upload_waiting()
    assert sorted(shelf.stored) == ["me/left.wav", "me/own.wav"]


async def test_empty_file_is_not_uploaded(store: DatabaseStore) -> None:
    place = await store.new_recording("a")
    kept = Recording(
        name=place.name, call_id="a", size=0, duration_ms=0, created_at=1, container="wav", account=""
    )
    assert await store.save_recording(kept)
    assert await states(store) == {"a.wav": ("", "")}


async def test_recording_that_is_not_here_is_passed_over(store: DatabaseStore) -> None:
    shelf = Shelf()
    uploader = uploader_of(store, shelf)
    await record(store, "a")
    await store.drop_file("a.wav")
    assert await uploader.upload_waiting() == LOOK_S
    assert (await states(store))["a.wav"] == ("waiting", "")


async def test_object_whose_recording_is_deleted_during_its_upload_is_to_be_deleted(tmp_path: Path) -> None:
    store = DatabaseStore(tmp_path / "data", free_bytes=0, uploads=True, removes=True)
    await store.start()
    shelf, woken = Shelf(), []
    uploader = uploader_of(store, shelf, on_orphan=lambda: woken.append(True))
    name = await record(store, "a")
    put = shelf.put

    async def delete_meanwhile(name: str, path: Path, kind: str) -> int:
        size = await put(name, path, kind)
        assert await store.delete_recording(path.name)
        return size

    shelf.put = delete_meanwhile  # type: ignore[method-assign]
    await uploader.upload_waiting()
    assert woken == [True]
    assert [(one.name, one.url) for one in await store.records.removals(9, 1 << 62)] == [
        (name, "s3/me/a.wav")
    ]
    await store.close()
