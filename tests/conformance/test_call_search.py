"""Records of calls found by time, number, trunk, user, state, reason, tag and words; pages and CSV."""

import csv
import io
import json
from typing import Any

import aiohttp
import pytest

from softswitch.store.store import CallRecord
from softswitch.store.transcript import Transcript, Turn, encode
from softswitch.web.keys import RESOURCES
from tests.conformance.conftest import StartSwitch, Switch

ADMIN, ONE = "key-of-an-administrator", "key-of-account-one"
KEYS = [f"root:{ADMIN}:admin+call", f"one:{ONE}:call", "two:key-of-account-two:call"]
DAY = 86_400_000
SAID = encode(
    Transcript(id="x", status="completed", made_at=1, turns=(Turn("caller", 0, 9, "Good Day, my card"),))
)
RECORDS = [
    CallRecord(
        id="a",
        kind="sip",
        created_at=DAY,
        ended_at=DAY + 5,
        answered_at=DAY + 1,
        caller="+4930",
        tag="vip",
        reason="user_requested",
        account="one",
        transcript_json=SAID,
    ),
    CallRecord(
        id="b",
        kind="sip",
        created_at=2 * DAY,
        ended_at=2 * DAY,
        callee="+4930",
        reason="busy",
        trunk="t",
        user="anna",
        account="two",
    ),
    CallRecord(
        id="c", kind="webrtc", created_at=2 * DAY, ended_at=2 * DAY, caller="=cmd|x", reason="no_answer"
    ),
    CallRecord(id="d", kind="sip", created_at=3 * DAY, ended_at=3 * DAY, direction="outbound", reason="busy"),
    CallRecord(id="e", kind="sip", created_at=4 * DAY, caller="5"),
]


@pytest.fixture
async def filled(start_switch: StartSwitch) -> Switch:
    """Give a switch with records."""
    switch = start_switch({"auth": {"api_keys": KEYS}, "recording": {"retention_days": 0}})

    async def fill() -> None:
        assert switch.app is not None
        store = switch.app[RESOURCES].store
        for record in RECORDS:
            assert await store.save_call(record)

    switch.inside(fill)
    return switch


async def ask(
    switch: Switch, http: aiohttp.ClientSession, key: str = ADMIN, path: str = "/calls", **query: str
) -> Any:
    async with http.get(switch.url(path, **query), headers={"Authorization": f"Bearer {key}"}) as response:
        text = await response.text()
        return response.status, json.loads(text) if "json" in response.content_type else text


async def test_calls_are_found_by_every_filter(filled: Switch, http: aiohttp.ClientSession) -> None:
    async def found(**query: str) -> str:
        status, answer = await ask(filled, http, **query)
        assert status == 200, answer
        return "".join(call["id"] for call in answer["calls"])

    assert await found() == "dcba"
    assert await found(**{"from": "1970-01-03", "to": "1970-01-03"}) == "cb"
    assert await found(number="4930") == "ba"
    assert await found(trunk="t") == await found(user="anna") == await found(account="two") == "b"
    assert await found(tag="vip") == await found(state="answered") == await found(text="good day") == "a"
    assert await found(state="unanswered", reason="busy,other") == "db"
    assert await found(state="running") == "e"
    assert await found(direction="outbound") == "d"
    assert await found(text="card", number="77") == ""


async def test_pages_lead_on_by_their_cursor(filled: Switch, http: aiohttp.ClientSession) -> None:
    found, query = "", {"limit": "1"}
    while True:
        _, answer = await ask(filled, http, **query)
        found += "".join(call["id"] for call in answer["calls"])
        if "cursor" not in answer:
            break
        query["cursor"] = answer["cursor"]
    assert found == "dcba"


async def test_csv_has_all_calls_and_no_formula(filled: Switch, http: aiohttp.ClientSession) -> None:
    status, text = await ask(filled, http, format="csv")
    assert status == 200
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["id"] for row in rows] == ["d", "c", "b", "a"]
    assert rows[1]["caller"] == "'=cmd|x"
    assert rows[3]["caller"] == "+4930"
    assert rows[3]["created_at"] == "1970-01-02T00:00:00.000Z"
    assert "card" not in text


async def test_one_call_has_its_transcript(filled: Switch, http: aiohttp.ClientSession) -> None:
    _, answer = await ask(filled, http, path="/calls/a")
    assert answer["transcript"]["turns"] == [
        {"party": "caller", "start_ms": 0, "end_ms": 9, "text": "Good Day, my card"}
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "over"),
        ("from", "soon"),
        ("cursor", "x"),
        ("format", "xml"),
        ("number", "1" * 201),
        ("colour", "1"),
    ],
)
async def test_wrong_parameter_is_named(
    filled: Switch, http: aiohttp.ClientSession, name: str, value: str
) -> None:
    status, answer = await ask(filled, http, **{name: value})
    assert status == 400
    assert name in answer["error"]["message"]


async def test_account_is_forgotten_by_administrators_only(
    filled: Switch, http: aiohttp.ClientSession
) -> None:
    assert (await ask(filled, http, ONE))[0] == 403

    async def forget(key: str, body: object) -> Any:
        headers = {"Authorization": f"Bearer {key}"}
        async with http.post(filled.url("/admin/forget"), json=body, headers=headers) as response:
            return response.status, await response.json()

    assert (await forget(ONE, {"account": "one"}))[0] == 403
    for wrong in ({}, {"account": 1}, {"account": "one", "before": "soon"}, {"account": "one", "all": True}):
        assert (await forget(ADMIN, wrong))[0] == 400
    assert await forget(ADMIN, {"account": "one", "before": "1970-01-01"}) == (
        200,
        {"recordings": 0, "dumps": 0, "transcripts": 0, "traces": 0, "objects": 0, "objectsLeft": 0},
    )
    assert await forget(ADMIN, {"account": "one"}) == (
        200,
        {"recordings": 0, "dumps": 0, "transcripts": 1, "traces": 0, "objects": 0, "objectsLeft": 0},
    )
    assert (await ask(filled, http, text="card"))[1]["calls"] == []
