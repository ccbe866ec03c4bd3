"""The index of the words of transcripts, in both databases."""

import sqlite3
from pathlib import Path

import asyncpg
import pytest

from softswitch.errors import UnavailableError
from softswitch.store import CallRecord, DatabaseStore
from softswitch.store.database import Row
from softswitch.store.migrate import WORDS_VERSION, migrate, migrations
from softswitch.store.postgres import dialect, postgres_store
from softswitch.store.queries import CallQuery
from softswitch.store.tables import SAVE_CALL
from softswitch.store.word_index import with_words
from softswitch.store.words import indexed
from tests.store.test_words import transcript
from tests.support.postgres import PostgresServer


def call(name: str, *texts: str, account: str = "", at: int = 1) -> CallRecord:
    return CallRecord(
        id=name,
        kind="sip",
        created_at=at,
        ended_at=at + 1,
        account=account,
        transcript_json=transcript(*texts),
    )


async def found(store: DatabaseStore, text: str, account: str | None = None) -> str:
    calls, total = await store.records.find_calls(CallQuery(transcript=text, account=account), 10, 0)
    assert total == len(calls)
    assert await store.records.list_calls(CallQuery(transcript=text, account=account), 10) == calls
    return "".join(sorted(one.id for one in calls))


async def test_calls_are_found_by_words_of_their_transcripts(store: DatabaseStore) -> None:
    for one in (
        call("a", "I lost my credit card", "The card ends in 12"),
        call("b", "Ich habe eine Rechnungsnummer", account="shop"),
        call("c", "我的银行卡丢了", account="shop"),
        call("d", account="shop"),
    ):
        assert await store.save_call(one)
    await store.settled()
    assert await found(store, "CARD lost") == "a"
    assert await found(store, "card 12 credit") == "a"
    assert await found(store, "card found") == ""
    assert await found(store, "rechnung") == "b", "a longer word begins so"
    assert await found(store, "nummer") == "", "words are found by their beginning"
    assert await found(store, "银行卡") == "c"
    assert await found(store, "卡") == "c"
    assert await found(store, "卡银") == ""
    for odd in ("%", "'", '"', "a' OR 1=1 --", "NEAR(a b)", "=", "&|!:*"):
        assert await found(store, odd) == ""


async def test_search_of_an_account_finds_its_own_calls_alone(store: DatabaseStore) -> None:
    for one in (
        call("a", "secret word"),
        call("b", "secret word", account="one"),
        call("c", "secret", account="=6f6e65"),
    ):
        assert await store.save_call(one)
    await store.settled()
    assert await found(store, "secret", "one") == "b"
    assert await found(store, "secret", "") == "a"
    assert await found(store, "secret", "=6f6e65") == "c"
    assert await found(store, "secret") == "abc"
    assert await found(store, "6f6e65") == ""


async def test_record_that_is_saved_again_is_found_by_its_new_words(store: DatabaseStore) -> None:
    assert await store.save_call(call("a", "first words"))
    assert await store.save_call(call("a", "second words"))
    await store.settled()
    assert (await found(store, "first"), await found(store, "second")) == ("", "a")


async def test_words_go_with_their_transcripts_and_calls(store: DatabaseStore) -> None:
    for one in (call("a", "words", account="one"), call("b", "words"), call("c", "words", at=2)):
        assert await store.save_call(one)
    assert (await store.forget("one", 5)).transcripts == 1
    assert await found(store, "words") == "bc"
    store._calls_kept = 1
    await store.sweep(0)
    assert await found(store, "words") == "c"
    assert await store.records.count("transcript_words", "", ()) == 1


async def test_records_that_waited_for_the_database_are_found(
    sqlite: DatabaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = sqlite._database.write

    def fail(rows: list[Row]) -> list[bool]:
        raise UnavailableError("away")

    monkeypatch.setattr(sqlite._database, "write", fail)
    assert await sqlite.save_call(call("a", "words that waited"))
    monkeypatch.setattr(sqlite._database, "write", write)
    assert await sqlite.probe()
    assert await found(sqlite, "waited") == "a"


def test_longest_transcript_fits_the_index_of_both() -> None:
    longest = " ".join(f"{number:x}" + "字" * 60 for number in range(4000))
    assert len(indexed("", transcript(longest)).encode()) < 1_000_000


async def test_longest_transcript_is_stored(store: DatabaseStore) -> None:
    many = "".join(chr(0x4E00 + number * 7919 % 20000) for number in range(200_000))
    assert await store.save_call(call("a", many))
    await store.settled()
    assert await found(store, many[:3]) == "a"


def test_rows_without_a_transcript_have_no_words() -> None:
    row = Row(SAVE_CALL, (*(getattr(call("a"), name) for name in CallRecord.__struct_fields__), "n", "i"))
    bare = Row(SAVE_CALL, tuple("" if value == call("a").transcript_json else value for value in row.values))
    assert with_words([bare]) == ([bare], [True])
    rows, given = with_words([row])
    assert (len(rows), given) == (2, [True, False])


_OLD = (
    "INSERT INTO calls (id, kind, created_at, caller, callee, ended_at, reason, initiator, duration_ms, "
    "codec, recording, option_json, statistics_json, direction, account, transcript_json) VALUES "
    "(?, 'sip', 1, '', '', 2, '', '', 0, '', '', '', '', '', 'me', ?)"
)


async def test_transcripts_of_before_are_indexed_by_the_migration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    connection = sqlite3.connect(tmp_path / "data" / "softswitch.db", isolation_level=None)
    known = [one for one in migrations() if one[0] < WORDS_VERSION]
    monkeypatch.setattr("softswitch.store.migrate.migrations", lambda: known)
    migrate(connection, indexed)
    monkeypatch.undo()
    connection.execute(_OLD, ("a", transcript("said long ago")))
    connection.close()
    store = DatabaseStore(tmp_path / "data", free_bytes=0)
    await store.start()
    assert await found(store, "long", "me") == "a"
    await store.close()


async def test_transcripts_of_before_are_indexed_in_postgres(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, all_of_them = postgres.database(), migrations
    monkeypatch.setattr(
        "softswitch.store.postgres.migrations",
        lambda name: [one for one in all_of_them(name) if one[0] < WORDS_VERSION],
    )
    old = postgres_store(tmp_path / "old", url, free_bytes=0)
    await old.start()
    await old.close()
    monkeypatch.undo()
    link = await asyncpg.connect(url)
    await link.execute(dialect(_OLD), "a", transcript("said long ago"))
    await link.close()
    store = postgres_store(tmp_path / "data", url, free_bytes=0)
    await store.start()
    assert await found(store, "long", "me") == "a"
    await store.close()
