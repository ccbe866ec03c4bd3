"""The overview over REST and as server-sent events."""

import asyncio
import json
import time

import aiohttp
import pytest

from softswitch.store.store import CallRecord
from softswitch.web import overview
from softswitch.web.keys import RESOURCES
from tests.conformance.conftest import StartSwitch, Switch

ROOT = {"Authorization": "Bearer key-of-an-administrator"}
KEYS = ["root:key-of-an-administrator:admin", "one:key-of-account-one:call"]


@pytest.fixture
def switch(start_switch: StartSwitch) -> Switch:
    """Give a switch with two calls of this hour in its database."""
    running = start_switch({"auth": {"api_keys": KEYS}})
    now = int(time.time() * 1000)

    async def fill() -> None:
        assert running.app is not None
        store = running.app[RESOURCES].store
        for name, answered in (("a", now), ("b", None)):
            record = CallRecord(
                id=name, kind="sip", created_at=now - 500, answered_at=answered, ended_at=now, reason="busy"
            )
            assert await store.save_call(record)

    running.inside(fill)
    return running


async def test_overview_and_hours_are_for_administrators(switch: Switch, http: aiohttp.ClientSession) -> None:
    for path in ("/admin/overview", "/admin/overview/hours", "/admin/overview/events"):
        async with http.get(
            switch.url(path), headers={"Authorization": "Bearer key-of-account-one"}
        ) as answer:
            assert answer.status == 403
    async with http.get(switch.url("/admin/overview"), headers=ROOT) as answer:
        found = await answer.json()
    assert found["calls"] == 0
    assert found["health"]["faults"] == []
    assert "softswitch_memory_held_bytes" in found["metrics"]
    async with http.get(switch.url("/admin/overview/hours"), headers=ROOT) as answer:
        hours = (await answer.json())["hours"]
    assert sum(hour["answered"] for hour in hours) == 1
    assert [hour["setupMs"] for hour in hours if hour["answered"]] == [500]
    assert {"busy": 1} in [hour["reasons"] for hour in hours]
    async with http.get(switch.url("/admin/overview/hours", hours="0"), headers=ROOT) as answer:
        assert answer.status == 400


async def test_events_tell_the_present_and_the_hours_and_are_bounded(
    switch: Switch, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "EVERY_S", 0.05)
    monkeypatch.setattr(overview, "MOST_VIEWERS", 1)
    async with http.get(switch.url("/admin/overview/events"), headers=ROOT) as stream, asyncio.timeout(60):
        assert stream.content_type == "text/event-stream"
        names: list[str] = []
        while names.count("now") < 7:
            line = (await stream.content.readline()).decode()
            if line.startswith("event: "):
                names.append(line.split()[1])
            elif line.startswith("data: ") and names[-1] == "hours":
                assert sum(hour["answered"] for hour in json.loads(line[6:])["hours"]) == 1
        assert names[:7] == ["now", "hours", "now", "now", "now", "now", "now"]
        async with http.get(switch.url("/admin/overview/events"), headers=ROOT) as second:
            assert second.status == 503
    async with asyncio.timeout(60):
        while True:
            async with http.get(switch.url("/admin/overview/events"), headers=ROOT) as again:
                if again.status == 200:
                    break
            await asyncio.sleep(0.05)
