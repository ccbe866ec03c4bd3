"""Objects that have to be deleted with their recordings, and mails that wait, in each database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from softswitch.store import Recording, SqliteStore
from softswitch.store.postgres import PostgresStore
from softswitch.store.store import WaitingMail

DAY_MS = 86_400_000
NOW_MS = 100 * DAY_MS


@pytest.fixture(params=["sqlite", "postgres"])
async def removing(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """Give a store of each kind whose recordings are uploaded, and deleted in the storage too."""
    if request.param == "sqlite":
        made = SqliteStore(tmp_path / "data", free_bytes=0, uploads=True, removes=True)
    else:
        url = request.getfixturevalue("postgres").database()
        made = PostgresStore(tmp_path / "data", url, free_bytes=0, uploads=True, removes=True)
    await made.start()
    yield made
    await made.close()


async def keep(store: SqliteStore, name: str, *, account: str = "shop", at_ms: int = 5, url: str = "") -> str:
    made = await store.new_recording(name)
    made.path.write_bytes(b"sound")
    record = Recording(
        name=made.name,
        call_id=name,
        size=5,
        duration_ms=0,
        created_at=at_ms,
        container="wav",
        account=account,
    )
    await store.save_recording(record)
    if url:
        await store.set_upload(made.name, "uploaded", url)
    return made.name


async def waiting(store: SqliteStore) -> dict[str, str]:
    await store.settled()
    return {one.name: one.url for one in await store.removals(100, 1 << 62)}


async def test_objects_of_deleted_recordings_wait_for_their_deletion(removing: SqliteStore) -> None:
    woken: list[bool] = []
    removing.on_removal = lambda: woken.append(True)
    for name in ("a", "b"):
        await keep(removing, name, url=f"s3/{name}")
    assert await removing.delete_recording("a.wav")
    assert await waiting(removing) == {"a.wav": "s3/a"}
    assert woken == [True]
    await removing.removal_tried("a.wav", 1 << 61)
    assert await removing.removals(9, 1 << 60) == []
    await removing.removed("a.wav")
    assert await waiting(removing) == {}
    assert await removing.uploaded_to("b.wav") == "s3/b"
    assert await removing.uploaded_to("a.wav") is None


async def test_objects_of_a_forgotten_account_and_of_old_recordings_wait_too(removing: SqliteStore) -> None:
    await keep(removing, "shop", url="s3/shop")
    await keep(removing, "inn", account="inn", url="s3/inn")
    done = await removing.forget("shop", 10)
    assert (done.recordings, done.objects, done.objects_left) == (1, 1, 0)
    assert await waiting(removing) == {"shop.wav": "s3/shop"}
    await removing.sweep(NOW_MS)
    assert await waiting(removing) == {"shop.wav": "s3/shop", "inn.wav": "s3/inn"}


async def test_objects_that_stay_are_counted(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "data", free_bytes=0, uploads=True)
    await store.start()
    await keep(store, "shop", url="s3/shop")
    done = await store.forget("shop", 10)
    assert (done.recordings, done.objects, done.objects_left) == (1, 0, 1)
    assert await waiting(store) == {}
    await store.close()


@pytest.mark.parametrize("keeps_files", [True, False])
async def test_recording_whose_file_is_in_the_storage_alone_is_deleted_on_any_machine(
    tmp_path: Path, keeps_files: bool
) -> None:
    store = SqliteStore(
        tmp_path / "data", free_bytes=0, uploads=True, removes=True, is_cluster=True, keeps_files=keeps_files
    )
    await store.start()
    await keep(store, "a", url="s3/a")
    await store.drop_file("a.wav")
    assert await store.delete_recording("a.wav") is not keeps_files
    assert await waiting(store) == ({} if keeps_files else {"a.wav": "s3/a"})
    await store.close()


async def test_mails_wait_in_the_order_of_their_last_try(store: SqliteStore) -> None:
    for name, at in (("a", 1), ("b", 2)):
        await store.save_mail(WaitingMail(call_id=name, mailbox="anna", created_at=at, tried_at=at))
    assert [one.call_id for one in await store.waiting_mails(10)] == ["a", "b"]
    await store.save_mail(WaitingMail(call_id="a", mailbox="anna", created_at=1, tried_at=3))
    assert [(one.call_id, one.tried_at) for one in await store.waiting_mails(10)] == [("b", 2), ("a", 3)]
    assert len(await store.waiting_mails(1)) == 1
    await store.delete_mail("b")
    assert [one.call_id for one in await store.waiting_mails(10)] == ["a"]
