"""`/call/sip`: two switches that call each other by real SIP and RTP, each with an application."""

import asyncio
import json
import logging
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from softswitch.sip.events import Rejected
from softswitch.sip.syntax.phrases import phrase
from tests.conformance.conftest import StartSwitch
from tests.conformance.test_document import EVENTS
from tests.legs.sip.phone import phone
from tests.support.client import Client, refusal
from tests.support.ports import free_port
from tests.support.switch import SwitchThread


@dataclass
class Hook:
    """A webhook that remembers its calls and answers as it is told."""

    status: int = 200
    bodies: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""


@dataclass
class Pair:
    """Two switches: what `near` dials by number rings at `far`, whose webhook is `hook`."""

    near: SwitchThread
    far: SwitchThread
    hook: Hook

    async def rung(self, calls: int = 1) -> str:
        """Wait until the webhook was told of a call; return its dialog id."""
        async with asyncio.timeout(60):
            while len(self.hook.bodies) < calls:
                await asyncio.sleep(0.01)
        return str(self.hook.bodies[-1]["dialogId"])


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    told = Hook()

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(told.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}/incoming"
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def _switches(tmp_path_factory: pytest.TempPathFactory, hook: Hook) -> Iterator[tuple[SwitchThread, ...]]:
    folder = tmp_path_factory.mktemp("pair")
    rules = [{"match": "9000", "to": "echo"}, {"match": "9486", "to": "reject:486"}]
    sip = {"port": free_port(), "accept_timeout_s": 2.0}
    # A call that waits two seconds for its `accept` cannot wait for the models as well.
    sections = {"webhook": {"url": hook.url}, "route": rules, "sip": sip, "speech": {"preload": True}}
    with SwitchThread(folder / "far", sections) as far:
        trunks = [{"name": "far", "servers": [f"127.0.0.1:{sip['port']}"]}]
        with SwitchThread(folder / "near", {"trunk": trunks}) as near:
            yield near, far


@pytest.fixture
def pair(_switches: tuple[SwitchThread, SwitchThread], hook: Hook) -> Iterator[Pair]:
    hook.status = 200
    hook.bodies.clear()
    yield Pair(*_switches, hook)
    for switch in _switches:
        switch.check()


@pytest.fixture
async def talk(pair: Pair) -> AsyncIterator[tuple[Client, Client]]:
    """Give the applications of both ends of a call that is up."""
    async with pair.near.client("/call/sip") as caller:
        await caller.send("invite", option={"caller": "200", "callee": "100"})
        async with pair.far.client("/call/sip", id=await pair.rung()) as called:
            await called.send("accept")
            await caller.wait("answer")
            await called.wait("answer")
            yield caller, called


def like_the_document(event: dict[str, Any]) -> None:
    """Make sure that an event has the keys and types of the document's example."""
    [example] = [one for one in EVENTS if one["event"] == event["event"]]
    for key, value in example.items():
        assert isinstance(event[key], type(value)), key


async def over(*clients: Client) -> None:
    """Hang up at the first and wait for the end of all."""
    await clients[0].hang_up()
    for client in clients[1:]:
        await client.wait("hangup")
        await client.closed()


@pytest.mark.row(
    "1:sip-route", "1:pending-attach", "2:incoming", "2:sip-out", "4:callee-sip", "4:ringing",
    "8:incoming", "8:ringing", "7:webhook-body",
)  # fmt: skip
async def test_call_is_announced_taken_up_rung_and_answered(pair: Pair) -> None:
    async with pair.near.client("/call/sip/") as caller:
        option = {"caller": "200", "callee": "100", "sip": {"headers": {"X-Campaign": "7"}}}
        await caller.send("invite", option=option)
        name = await pair.rung()
        [body] = pair.hook.bodies
        assert (body["event"], body["caller"], body["callee"]) == ("invite", "200", "100")
        assert (body["dialog_id"], body["created_at"]) == (name, body["createdAt"])
        assert "X-Campaign: 7" in body["headers"]
        assert body["offer"].startswith("v=0")
        async with pair.far.client("/call/sip", id=name) as called:
            incoming = await called.wait("incoming")
            assert (incoming["trackId"], incoming["caller"], incoming["callee"]) == (name, "200", "100")
            assert incoming["sdp"] == body["offer"]
            like_the_document(incoming)
            late = await refusal(pair.far.client("/call/sip", id=name))
            assert late is not None
            assert late.status == 409
            await called.send("ringing")
            ringing = await caller.wait("ringing")
            assert ringing["earlyMedia"] is False
            like_the_document(ringing)
            await called.send("accept", option={"caller": "ignored"})
            # The caller's switch tells the answer that the callee's has sent.
            answers = [(await one.wait("answer"))["sdp"] for one in (caller, called)]
            assert answers[0].startswith("v=0\r\n")
            assert answers[0] == answers[1]
            await caller.wait("trackStart")
            assert caller.names()[:3] == ["ringing", "answer", "trackStart"]
            await over(caller, called)
            hangup = called.all("hangup")[0]
            assert (hangup["reason"], hangup["initiator"]) == ("caller", "caller")
            assert (hangup["from"]["username"], hangup["to"]["username"]) == ("200", "100")


@pytest.mark.row("4:reject", "8:reject")
async def test_reject_reaches_the_caller_with_code_and_reason(pair: Pair) -> None:
    async with pair.near.client("/call/sip") as caller:
        await caller.send("invite", option={"callee": "100"})
        async with pair.far.client("/call/sip", id=await pair.rung()) as called:
            await called.send("reject", code=603, reason="Not today")
            await called.wait("hangup")
        reject = await caller.wait("reject")
        assert (reject["code"], reject["reason"]) == (603, "Not today")
        assert (await caller.wait("hangup"))["reason"] == "rejected"
        assert await caller.closed() == 1000


@pytest.mark.row("7:no-pending")
async def test_accept_of_nothing_is_rejected_and_closed(pair: Pair) -> None:
    async with pair.far.client("/call/sip", id=uuid.uuid4().hex) as client:
        await client.send("accept")
        reject = await client.wait("reject")
        assert (reject["code"], reject["reason"]) == (486, "no pending call")
        await client.wait("hangup")
        assert await client.closed() == 1000


async def test_ringing_of_nothing_is_no_beginning(pair: Pair) -> None:
    async with pair.far.client("/call/sip") as client:
        client.counted = False
        await client.send("ringing")
        assert (await client.wait("error"))["sender"] == "handle_call"
        assert await client.closed() == 1008


@pytest.mark.row("7:accept-timeout")
async def test_call_that_nobody_accepts_is_given_up(pair: Pair) -> None:
    async with pair.near.client("/call/sip") as caller:
        await caller.send("invite", option={"callee": "100"})
        async with pair.far.client("/call/sip", id=await pair.rung()) as called:
            assert (await called.wait("hangup"))["reason"] == "no_answer"
        assert (await caller.wait("reject"))["code"] == 480


@pytest.mark.row("7:webhook-down")
async def test_webhook_that_fails_is_unavailable_at_once(pair: Pair) -> None:
    pair.hook.status = 500
    async with pair.near.client("/call/sip") as caller:
        await caller.send("invite", option={"callee": "100"})
        assert (await caller.wait("reject"))["code"] == 503
        await caller.wait("hangup")


@pytest.mark.row("7:rules")
async def test_rules_answer_and_refuse_by_themselves(pair: Pair) -> None:
    async with pair.near.client("/call/sip") as caller:
        await caller.send("invite", option={"callee": "9486"})
        assert (await caller.wait("reject"))["code"] == 486
        assert (await caller.wait("hangup"))["reason"] == "busy"
    async with pair.near.client("/call/sip") as caller:
        await caller.invite(callee="9000", subscribe=True)
        await caller.send("tts", text="hello echo", playId="p", endOfStream=True)
        await caller.until(lambda: any(data[0] == 1 and any(data[1:]) for _, data in caller.audio))
        await caller.hang_up()
    assert not pair.hook.bodies


async def test_caller_who_gives_up_ends_the_pending_call(pair: Pair) -> None:
    async with pair.near.client("/call/sip") as caller:
        await caller.send("invite", option={"callee": "100"})
        async with pair.far.client("/call/sip", id=await pair.rung()) as called:
            await called.wait("incoming")
            await caller.hang_up()
            hangup = await called.wait("hangup")
            assert (hangup["reason"], hangup["initiator"]) == ("caller", "caller")


async def test_early_media_is_heard_before_the_answer(pair: Pair, tmp_path: Path) -> None:
    async with pair.near.client("/call/sip") as caller:
        await caller.send("invite", option={"callee": "100"})
        async with pair.far.client("/call/sip", id=await pair.rung()) as called:
            await called.send("ringing", earlyMedia=True, recorder={"recorderFile": "early.wav"})
            assert (await caller.wait("ringing"))["earlyMedia"] is True
            await called.send("tts", text="one moment please", playId="p", endOfStream=True)
            await called.wait("trackEnd", lambda event: event.get("playId") == "p")
            await called.send("accept")
            await caller.wait("answer")
            await over(caller, called)


@pytest.mark.row("4:message", "8:message")
async def test_texts_and_keys_go_both_ways(talk: tuple[Client, Client]) -> None:
    for one, other in (talk, talk[::-1]):
        await one.send("message", body="hello", contentType="text/plain")
        message = await other.wait("message")
        assert (message["body"], message["contentType"]) == ("hello", "text/plain")
        await one.send("dtmf", digits="5")
        dtmf = await other.wait("dtmf")
        assert (dtmf["digit"], dtmf["method"]) == ("5", "rfc4733")
    await over(*talk)


@pytest.mark.row("6:dtmf-info")
async def test_keys_go_by_info_where_the_trunk_wants_it(pair: Pair, start_switch: StartSwitch) -> None:
    [trunk] = pair.near.settings.trunk
    trunks = [{"name": "far", "servers": list(trunk.servers), "dtmf": "info"}]
    near = start_switch({"trunk": trunks})
    async with near.client("/call/sip") as caller:
        await caller.send("invite", option={"callee": "100"})
        async with pair.far.client("/call/sip", id=await pair.rung()) as called:
            await called.send("accept")
            await caller.wait("answer")
            await called.wait("answer")
            await caller.send("dtmf", digits="7")
            dtmf = await called.wait("dtmf")
            assert (dtmf["digit"], dtmf["method"]) == ("7", "info")
            await over(caller, called)


async def test_hangup_headers_travel_in_the_bye(talk: tuple[Client, Client]) -> None:
    caller, called = talk
    await caller.send("hangup", headers={"X-Why": "done"})
    assert (await called.wait("hangup"))["headers"]["X-Why"] == "done"
    await caller.closed()


async def test_headers_that_are_ours_or_none_are_refused(talk: tuple[Client, Client]) -> None:
    caller, called = talk
    for headers in ({"Via": "x"}, {"X-A": "b\r\nContact: <sip:evil>"}, {"X A": "b"}):
        await caller.send("hangup", headers=headers)
        assert "headers" in (await caller.wait("error"))["error"]
    await over(caller, called)


@pytest.mark.row("4:refer")
async def test_refer_bridges_a_second_party(pair: Pair, talk: tuple[Client, Client]) -> None:
    caller, called = talk
    await called.send("refer", callee="echo", requestId="r1")
    answer = await called.wait("answer")
    assert (answer["trackId"], answer["refer"]) == ("second", True)
    await over(caller, called)


@pytest.mark.row("8:transferRequest")
async def test_sip_refer_is_asked_decided_and_reported(talk: tuple[Client, Client]) -> None:
    caller, called = talk
    await caller.send("refer", callee="sip:300@127.0.0.1", method="refer")
    request = await called.wait("transferRequest")
    assert request["referTo"] == "sip:300@127.0.0.1"
    await called.send("refer", callee="echo")
    answer = await caller.wait("answer", lambda event: event.get("refer") is True)
    assert answer["trackId"] == "second"
    assert (await caller.wait("hangup"))["reason"] == "autohangup"
    await called.wait("answer", lambda event: event.get("refer") is True)
    await called.hang_up()


async def test_sip_refer_that_is_declined_leaves_the_call(talk: tuple[Client, Client]) -> None:
    caller, called = talk
    await caller.send("refer", callee="sip:300@127.0.0.1", method="refer")
    await called.wait("transferRequest")
    await called.send("refer", callee="room:nowhere")
    assert (await caller.wait("reject"))["code"] == 404
    await over(caller, called)


async def test_lists_and_records_know_which_way_a_call_went(
    pair: Pair, talk: tuple[Client, Client], http: aiohttp.ClientSession
) -> None:
    for switch, way in ((pair.near, "outbound"), (pair.far, "inbound")):
        async with http.get(switch.url("/call/lists")) as response:
            [call] = (await response.json())["calls"]
        assert (call["call_type"], call["direction"]) == ("sip", way)
    await over(*talk)


async def test_trunks_and_users_are_shown(pair: Pair, http: aiohttp.ClientSession) -> None:
    async with http.get(pair.near.url("/admin/trunks")) as response:
        [trunk] = (await response.json())["trunks"]
    assert (trunk["name"], trunk["state"]) == ("far", "ready")
    async with http.get(pair.near.url("/admin/users")) as response:
        assert await response.json() == {"users": []}


async def test_sip_websocket_speaks_its_protocol(pair: Pair, http: aiohttp.ClientSession) -> None:
    async with http.ws_connect(pair.near.socket_url("/sip"), protocols=("sip",)) as socket:
        assert socket.protocol == "sip"


async def test_words_of_the_switch_are_in_its_log_and_not_on_the_wire(
    start_switch: StartSwitch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "softswitch")
    port = free_port()
    trunk = {"name": "far", "servers": ["192.0.2.1"], "prefixes": ["77"]}
    rules = [{"match": "12", "to": "trunk:far"}]
    start_switch({"sip": {"port": port}, "trunk": [trunk], "route": rules})
    async with phone() as caller:
        caller.invite(port, "12")
        refused = await caller.until(Rejected)
        assert (refused.code, refused.reason) == (403, phrase(403))
        assert not {"Reason", "Warning"} & set(refused.headers)

    def told() -> list[Any]:
        return [one for one in caplog.records if one.getMessage() == "a party was refused"]

    async with asyncio.timeout(60):  # The switch runs in a thread of its own.
        while not told():
            await asyncio.sleep(0.01)
    (record,) = told()
    assert record.status == 403
    assert "prefixes" in record.reason
