"""Parts of calls as text, and in the store."""

import base64
import zlib

from softswitch.store import DatabaseStore, call_parts
from softswitch.store.call_parts import QUALITY, SIP, decode, encode
from softswitch.store.store import CallPart, Forgotten


def test_part_survives_its_text_and_junk_is_none():
    text = encode([{"a": 1}])
    assert decode(text, list[dict[str, int]]) == [{"a": 1}]
    assert decode(text, dict[str, int]) is None
    assert decode("junk", list[int]) is None
    assert decode("", list[int]) is None


def test_part_that_unpacks_to_too_much_is_none(monkeypatch):
    monkeypatch.setattr(call_parts, "MOST_BYTES", 1000)
    bomb = base64.b64encode(zlib.compress(b"[" + b" " * 5000 + b"]")).decode()
    assert decode(bomb, list[int]) is None


def part(call: str, at: int, name: str = SIP, account: str = "one", body: str = "x") -> CallPart:
    return CallPart(call_id=call, created_at=at, part=name, account=account, body=body)


async def test_newest_part_of_a_call_is_found_and_replaced(store: DatabaseStore):
    for one in (
        part("a", 1),
        part("a", 2, body="y"),
        part("a", 2, QUALITY, body="q"),
        part("a", 2, body="z"),
    ):
        assert await store.save_part(one)
    assert await store.records.part("a", SIP) == part("a", 2, body="z")
    assert await store.records.part("a", QUALITY) == part("a", 2, QUALITY, body="q")
    assert await store.records.part("b", SIP) is None


async def test_parts_are_deleted_with_their_account_and_by_age(store: DatabaseStore):
    day = 86_400_000
    for one in (part("a", 1), part("b", 9), part("c", 1, account="two"), part("d", 40 * day, account="two")):
        assert await store.save_part(one)
    assert await store.forget("one", 5) == Forgotten(0, 0, 0, 1)
    assert [(await store.records.part(call, SIP)) is not None for call in "abcd"] == [False, True, True, True]
    await store.sweep(41 * day)
    assert [(await store.records.part(call, SIP)) is not None for call in "abcd"] == [
        False,
        False,
        False,
        True,
    ]
