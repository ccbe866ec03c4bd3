"""The SIP messages of a call over REST: while it goes on, afterwards, as text, for its account alone."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from softswitch.media.rtp import quality
from softswitch.sip import events as hp
from tests.conformance.conftest import StartSwitch, Switch
from tests.legs.sip.phone import phone
from tests.support.client import Client

KEYS = [
    "root:key-of-an-administrator:admin+call",
    "one:key-of-account-one:call",
    "two:key-of-account-two:call",
]
ONE, TWO, ROOT = ({"Authorization": f"Bearer {key.split(':')[1]}"} for key in (KEYS[1], KEYS[2], KEYS[0]))


async def ask(
    switch: Switch, http: aiohttp.ClientSession, path: str, headers: Mapping[str, str] = ONE, **query: str
) -> tuple[int, Any]:
    async with http.get(switch.url(path, **query), headers=headers) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if answer.content_type == "application/json" else text


async def test_messages_of_a_call_are_kept_for_its_account(
    start_switch: StartSwitch, http: aiohttp.ClientSession
) -> None:
    switch = start_switch({"auth": {"api_keys": KEYS}, "sip": {"port": 0, "trace": True}})
    made = Client(switch.socket_url("/call/sip", token="key-of-account-one", id="traced"))
    async with phone() as callee, made as client:
        await client.send("invite", option={"callee": f"sip:phone@127.0.0.1:{callee.port}", "caller": "bot"})
        invited = await callee.until(hp.Invited)
        status, live = await ask(switch, http, "/calls/traced/sip")
        assert status == 200
        assert live["messages"][0]["text"].startswith("INVITE sip:phone@127.0.0.1")
        assert (await ask(switch, http, "/calls/traced/sip", TWO))[0] == 404
        callee.do("reject", invited.session, 486)
        await client.wait("hangup")
    status, kept = await ask(switch, http, "/calls/traced/sip")
    assert status == 200
    first = [message["text"].partition("\r\n")[0] for message in kept["messages"]]
    assert "SIP/2.0 486 Busy Here" in first
    assert first[-1].startswith("ACK ")
    assert (await ask(switch, http, "/calls/traced/sip", ROOT))[1] == kept
    record = (await ask(switch, http, "/calls/traced", ROOT))[1]
    assert (record["sip"], record["dump"]) == (True, True)
    async with http.delete(switch.url("/dumps/traced"), headers=ROOT) as answer:
        assert answer.status == 200
    assert (await ask(switch, http, "/calls/traced", ROOT))[1]["dump"] is False
    status, text = await ask(switch, http, "/calls/traced/sip", format="text")
    assert status == 200
    assert "received from 127.0.0.1" in text
    assert "SIP/2.0 486 Busy Here" in text
    assert (await ask(switch, http, "/calls/traced/sip", TWO))[0] == 404
    assert (await ask(switch, http, "/calls/other/sip"))[0] == 404
    for headers, statuses in ((ONE, [403]), (ROOT, [200, 404])):
        for status in statuses:
            async with http.delete(switch.url("/calls/traced/sip"), headers=headers) as answer:
                assert answer.status == status
    assert (await ask(switch, http, "/calls/traced/sip"))[0] == 404
    assert (await ask(switch, http, "/calls/traced/sip", format="pcap"))[0] == 400


async def test_quality_of_a_call_is_measured_while_it_goes_on_and_kept(
    start_switch: StartSwitch, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "INTERVAL_TICKS", 30)
    switch = start_switch({"auth": {"api_keys": KEYS}})
    async with switch.rtc(token="key-of-account-one", id="measured") as client:
        await client.call()
        async with asyncio.timeout(60):
            while (answer := await ask(switch, http, "/calls/measured/quality"))[1]["legs"] == []:
                await asyncio.sleep(0.1)
        (leg,) = answer[1]["legs"]
        assert leg["leg"] == "party"
        assert leg["codecs"][0]["value"] == "opus"
        assert leg["paths"][0]["value"].startswith("host 127.0.0.1:")
        assert 1.0 <= leg["mos"][0] <= 4.5
        assert (await ask(switch, http, "/calls/measured/quality", TWO))[0] == 404
        await client.send("hangup")
        await client.wait("hangup")
    async with asyncio.timeout(60):
        while (await ask(switch, http, "/calls/measured/quality"))[0] != 200:
            await asyncio.sleep(0.05)
    status, record = await ask(switch, http, "/calls/measured", ROOT)
    assert status == 200
    assert record["sip"] is False
    assert record["quality"][0]["mos"][0] == leg["mos"][0]
