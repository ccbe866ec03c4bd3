"""Webhooks, callbacks, the event feed, and calls that come in (wire-wavix §1)."""

import asyncio
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conformance.conftest import StartSwitch, Switch
from tests.support import sound
from tests.support.bots import Bot
from tests.support.control import Control, Hooks
from tests.support.ports import free_port
from tests.support.ringing import ringing
from tests.support.switch import SwitchThread

RATE = 24000


@pytest.fixture
async def keys(start_switch: StartSwitch) -> Switch:
    """Give a switch with two accounts."""
    return start_switch({"auth": {"api_keys": ["one:first:call", "two:second:call"]}})


def as_account(switch: Switch, key: str) -> Control:
    """Return a client with a key."""
    return Control(switch, headers={"Authorization": f"Bearer {key}"})


@pytest.mark.row(
    "1:webhooks-get", "1:webhooks-post", "1:webhooks-delete", "1:webhooks-before-id", "1:post-webhook-201"
)
@pytest.mark.parametrize("prefix", ["/v1/call", "/v1/calls"])
async def test_webhooks_are_added_listed_and_removed(start_switch: StartSwitch, prefix: str) -> None:
    async with Control(start_switch(), prefix) as control:
        # On this route the body is a list, on the others an object.
        listed: Any = (await control.get("/webhooks")).body
        assert listed == []
        made = await control.post("/webhooks", url="https://example.org/a", event_type="on-call")
        assert (made.status, made.body["success"], made.body["event_type"]) == (201, True, "on-call")
        again = await control.post("/webhooks", url="https://example.org/a", event_type="on-call")
        assert again.body["id"] == made.body["id"]
        await control.post("/webhooks", url="https://example.org/b", event_type="post-call")
        listed = (await control.get("/webhooks")).body
        assert [(one["url"], one["event_type"]) for one in listed] == [
            ("https://example.org/a", "on-call"),
            ("https://example.org/b", "post-call"),
        ]
        assert (await control.delete("/webhooks", event_type="on-call")).body == {"success": True}
        listed = (await control.get("/webhooks")).body
        assert [one["event_type"] for one in listed] == ["post-call"]
        assert (await control.delete("/webhooks", event_type="on-call")).status == 404
        assert (await control.delete("/webhooks")).status == 200
        assert (await control.get("/webhooks")).body == []


@pytest.mark.row("1:webhooks-post", "1:error-validation")
async def test_webhook_must_have_a_url_and_a_known_type(control: Control) -> None:
    reply = await control.post("/webhooks")
    assert (reply.status, set(reply.body["errors"])) == (400, {"url", "event_type"})
    reply = await control.post("/webhooks", url="ws://x/", event_type="on-call")
    assert (reply.status, set(reply.body["errors"])) == (400, {"url"})
    reply = await control.post("/webhooks", url="https://x.org/", event_type="sometimes")
    assert (reply.status, set(reply.body["errors"])) == (400, {"event_type"})


@pytest.mark.row("1:webhooks-post")
async def test_webhooks_outlive_the_switch(tmp_path: Path) -> None:
    for number in range(2):
        with SwitchThread(tmp_path / "data") as switch:
            async with Control(switch) as control:
                if number == 0:
                    await control.post("/webhooks", url="https://example.org/", event_type="post-call")
                assert len((await control.get("/webhooks")).body) == 1


@pytest.mark.row("1:account")
async def test_account_is_told_of_its_own_calls_alone(keys: Switch, hooks: Hooks) -> None:
    async with as_account(keys, "first") as one, as_account(keys, "second") as two:
        await one.post("/webhooks", url=hooks.url("one"), event_type="on-call")
        await two.post("/webhooks", url=hooks.url("two"), event_type="on-call")
        call = await one.call()
        await hooks.wait("answered")
        assert [one["uuid"] for one in (await one.get("")).body["calls"]] == [call]
        assert (await two.get("")).body["calls"] == []
        assert (await two.get(f"/{call}")).status == 404
        assert (await two.delete(f"/{call}")).status == 404
        await one.delete(f"/{call}")
        await hooks.wait("completed")
        assert (await two.get(f"/{call}")).status == 404
        assert {path for path, _, _ in hooks.requests} == {"/one"}


@pytest.mark.row("1:callback-order")
async def test_callback_of_the_call_comes_before_the_accounts_webhook(control: Control, hooks: Hooks) -> None:
    await control.post("/webhooks", url=hooks.url("account"), event_type="on-call")
    call = await control.call(status_callback=hooks.url("call"))
    await control.delete(f"/{call}")
    await hooks.wait("completed")
    assert {path for path, _, _ in hooks.requests} == {"/call"}
    call = await control.call()
    await control.delete(f"/{call}")
    await hooks.wait("completed", 2)
    assert {path for path, _, _ in hooks.requests} == {"/call", "/account"}
    await control.delete("/webhooks")


@pytest.mark.row("1:ordered", "1:event-types", "1:call-object")
async def test_events_come_in_order_with_the_call_object(control: Control, hooks: Hooks) -> None:
    async def slowly(body: dict[str, Any]) -> int:
        await asyncio.sleep(0.2 if body["event_type"] == "call_setup" else 0)
        return 200

    hooks.answer = slowly
    call = await control.call(status_callback=hooks.url(), tag="vip")
    await control.delete(f"/{call}")
    await hooks.wait("completed")
    assert hooks.types() == ["call_setup", "answered", "completed"]
    for body in hooks.bodies:
        assert (body["uuid"], body["id"], body["tag"], body["machine_detected"]) == (call, call, "vip", False)
    first, second, last = hooks.bodies
    assert first["call_answered"] is None
    assert second["call_answered"] is not None
    assert second["call_finished"] is None
    assert last["call_finished"] == last["call_completed"] is not None


@pytest.mark.row("1:event-types")
@pytest.mark.parametrize(
    ("code", "event_type"),
    [
        ("486 Busy Here", "busy"),
        ("603 Decline", "rejected"),
        ("500 Oops", "failed"),
        ("404 Not Found", "failed"),
    ],
)
async def test_refused_call_is_told_in_the_right_word(
    control: Control, hooks: Hooks, code: str, event_type: str
) -> None:
    await control.post("/webhooks", url=hooks.url("post"), event_type="post-call")
    async with ringing(code) as uri:
        await control.post("", **{"from": "100", "to": uri, "status_callback": hooks.url("call")})
        await hooks.wait(event_type)
        await hooks.until(lambda: any(path == "/post" for path, _, _ in hooks.requests))
        [record] = [json.loads(data) for path, _, data in hooks.requests if path == "/post"]
        assert record["disposition"] == ("busy" if event_type == "busy" else "failed")
    await control.delete("/webhooks")


@pytest.mark.row("1:event-types")
async def test_ringing_and_giving_up_are_told(control: Control, hooks: Hooks) -> None:
    async with ringing() as uri:
        reply = await control.post("", **{"from": "100", "to": uri, "status_callback": hooks.url()})
        await hooks.wait("ringing")
        await control.delete(f"/{reply.body['uuid']}")
        await hooks.wait("cancelled")
        assert hooks.types() == ["call_setup", "ringing", "cancelled"]


@pytest.mark.row("1:post-call")
async def test_record_is_posted_after_the_call(control: Control, hooks: Hooks) -> None:
    await control.post("/webhooks", url=hooks.url(), event_type="post-call")
    call = await control.call()
    await asyncio.sleep(0.6)
    await control.delete(f"/{call}")
    await hooks.until(lambda: hooks.bodies)
    [record] = hooks.bodies
    assert set(record) == {
        "uuid",
        "direction",
        "from",
        "to",
        "date",
        "duration",
        "disposition",
        "answered_by",
        "destination",
        "per_minute",
        "charge",
    }
    assert (record["uuid"], record["disposition"], record["duration"]) == (call, "answered", 1)
    await control.delete("/webhooks")


@pytest.mark.row("1:signed")
async def test_body_is_signed_where_there_is_a_secret(start_switch: StartSwitch, hooks: Hooks) -> None:
    switch = start_switch({"webhook": {"secret": "between us"}})
    async with Control(switch) as control:
        await control.call(status_callback=hooks.url())
        await hooks.wait("answered")
    for _, headers, data in hooks.requests:
        signature = dict(part.split("=") for part in headers["X-Softswitch-Signature"].split(","))
        expected = hmac.new(b"between us", f"{signature['t']}.".encode() + data, hashlib.sha256)
        assert signature["v1"] == expected.hexdigest()
        assert abs(int(signature["t"]) - time.time()) < 60


@pytest.mark.row("1:not-awaited", "1:timeout", "1:tries", "1:ordered")
async def test_webhook_that_hangs_is_tried_three_times_and_nobody_waits(
    start_switch: StartSwitch, hooks: Hooks
) -> None:
    switch = start_switch({"webhook": {"timeout_s": 0.3}})

    async def hang(body: dict[str, Any]) -> int:
        await asyncio.sleep(1.0 if body["event_type"] == "call_setup" else 0)
        return 200

    hooks.answer = hang
    async with Control(switch) as control:
        began = time.monotonic()
        call = await control.call(status_callback=hooks.url())
        assert (await control.delete(f"/{call}")).status == 200
        assert time.monotonic() - began < 3
        await hooks.wait("completed")
    assert hooks.types() == ["call_setup"] * 3 + ["answered", "completed"]


@pytest.mark.row("1:tries")
async def test_webhook_that_fails_at_first_is_told_in_the_end(control: Control, hooks: Hooks) -> None:
    answers = iter([500, 503])

    async def fail(body: dict[str, Any]) -> int:
        return next(answers, 200)

    hooks.answer = fail
    await control.call(status_callback=hooks.url())
    await hooks.wait("answered")
    assert hooks.types() == ["call_setup"] * 3 + ["answered"]


@pytest.mark.row("1:collect", "1:collect-attempts")
async def test_keys_are_gathered_and_told(switch: Switch, control: Control, hooks: Hooks) -> None:
    async with switch.client(id="gather") as client:
        await client.invite(vad=False)
        reply = await control.post(
            "/gather/collect", min_digits=1, max_digits=1, timeout=20, callback_url=hooks.url("keys")
        )
        assert (reply.status, reply.body) == (200, {"success": True})
        key = sound.tone(770, 0.3, level=0.3) + sound.tone(1336, 0.3, level=0.3)
        await client.speak(sound.join(key, sound.silence(0.3)))
        await hooks.until(lambda: len(hooks.about("collect")) == 2)
        assert hooks.about("collect") == [
            {"status": "started", "digits": ""},
            {"status": "completed", "digits": "5", "reason": "complete", "attempts": 1},
        ]
        await client.hang_up()


@pytest.mark.row("1:collect-attempts", "1:collect")
async def test_prompt_is_said_again_and_what_came_of_it_is_told_once(
    control: Control, hooks: Hooks, bot: Bot
) -> None:
    call = await control.call(status_callback=hooks.url())
    reply = await control.post(f"/{call}/collect", timeout=1, max_attempts=2, prompt={"say": "press a key"})
    assert reply.status == 200
    async with asyncio.timeout(60):
        while len(hooks.about("collect")) < 2:
            await asyncio.sleep(0.1)
    assert hooks.about("collect") == [
        {"status": "started", "digits": ""},
        {"status": "failed", "digits": "", "reason": "timeout", "attempts": 2},
    ]
    wrongs: list[dict[str, Any]] = [
        {"max_digits": 21},
        {"timeout": 61},
        {"min_digits": 3, "max_digits": 2},
        {"prompt": {}},
    ]
    for wrong in wrongs:
        assert (await control.post(f"/{call}/collect", **wrong)).status == 400


@pytest.mark.row("1:feed", "1:feed-not-sip")
async def test_every_event_is_pushed_to_a_listener(keys: Switch, hooks: Hooks) -> None:
    async with (
        aiohttp.ClientSession() as http,
        as_account(keys, "first") as one,
        as_account(keys, "second") as two,
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(keys.socket_url("/sip"))
        assert refused.value.status == 401
        async with http.ws_connect(keys.socket_url("/sip", appid="first")) as feed:
            await two.call()
            call = await one.call()
            await one.delete(f"/{call}")
            events = [json.loads((await feed.receive(10)).data) for _ in range(3)]
            assert [event["event_type"] for event in events] == ["call_setup", "answered", "completed"]
            assert {event["uuid"] for event in events} == {call}


# --- calls that come in -------------------------------------------------------------------


class Pair:
    """Two switches: what `near` dials rings at `far`."""

    def __init__(self, near: Switch, far: Switch, port: int) -> None:
        self.near, self.far, self.uri = near, far, f"sip:100@127.0.0.1:{port}"


def pair(
    start_switch: StartSwitch,
    sections: dict[str, dict[str, Any]] | None = None,
    near: dict[str, dict[str, Any]] | None = None,
) -> Pair:
    """Start two switches, each with some settings: `sections` are those of the far one."""
    port = free_port()
    far = start_switch({**(sections or {}), "sip": {"port": port, "accept_timeout_s": 10.0}})
    return Pair(start_switch(near or {}), far, port)


@pytest.mark.row(
    "1:answer",
    "1:webhook-format",
    "1:inside-the-reply",
    "1:one-event-before-answer",
    "1:not-awaited",
    "1:event-types",
)
async def test_bot_answers_and_streams_inside_its_webhook_reply(
    start_switch: StartSwitch, bot: Bot, hooks: Hooks
) -> None:
    """As a real service does it: neither the reply nor the requests may wait for the other."""
    two = pair(start_switch, {"webhook": {"url": hooks.url("incoming"), "format": "wavix"}})
    async with Control(two.near) as near, Control(two.far) as far:
        replies: list[Any] = []

        async def answer(body: dict[str, Any]) -> int:
            if body["event_type"] == "call_setup":
                replies.append(await far.post(f"/{body['uuid']}/answer"))
                replies.append(
                    await far.post(
                        f"/{body['uuid']}/streams",
                        stream_url=bot.url(),
                        stream_type="twoway",
                        stream_channel="both",
                    )
                )
            return 200

        hooks.answer = answer
        call = await near.call(two.uri)
        stream = await bot.stream()
        await stream.wait("media", 10)
        assert [reply.status for reply in replies] == [200, 200]
        assert replies[0].body == {"success": True}
        await hooks.wait("on_call_event")
        assert hooks.types()[:2] == ["call_setup", "answered"]
        setup = hooks.bodies[0]
        assert (setup["direction"], setup["to"]) == ("inbound", "100")
        await near.delete(f"/{call}")
        await hooks.wait("completed")
        await stream.ended()


@pytest.mark.row("1:answer", "1:answer-once", "1:answer-absent-body", "1:all-three-fields", "1:account")
async def test_answer_comes_once_the_call_is_answered_and_twice_does_no_harm(
    start_switch: StartSwitch, bot: Bot, hooks: Hooks
) -> None:
    two = pair(start_switch)
    async with Control(two.near) as near, Control(two.far) as far:
        await far.post("/webhooks", url=hooks.url(), event_type="on-call")
        made = await near.post("", **{"from": "200", "to": two.uri})
        incoming = await hooks.wait("call_setup")
        call = incoming["uuid"]
        assert (incoming["from"], incoming["event_payload"]) == ("200", None)
        reply = await far.post(f"/{call}/answer", stream_url=bot.url())
        assert (reply.status, set(reply.body["errors"])) == (400, {"stream_type", "stream_channel"})
        wish = {"stream_url": bot.url(), "stream_type": "twoway", "stream_channel": "inbound"}
        reply = await far.post(f"/{call}/answer", **wish)
        assert (reply.status, reply.body) == (200, {"success": True})
        assert (await far.get(f"/{call}")).body["call"]["event_type"] == "answered"
        await near.until(made.body["uuid"], "answered")
        await (await bot.stream()).wait("media")
        for body in (b"", b"{}", json.dumps(wish).encode()):
            assert (await far.ask("POST", f"/{call}/answer", body)).status == 200
        assert len(bot.streams) == 1
        assert "ringing" not in hooks.types()


@pytest.mark.row("1:answer")
async def test_outbound_call_cannot_be_answered(control: Control) -> None:
    call = await control.call()
    assert (await control.post(f"/{call}/answer")).status == 422


@pytest.mark.row("1:callback-order", "1:webhook-format")
async def test_route_tells_its_own_callback(start_switch: StartSwitch, hooks: Hooks) -> None:
    route = {"match": "100", "to": "echo", "status_callback": hooks.url("route")}
    two = pair(start_switch, {"route": [route], "webhook": {"format": "wavix"}})  # type: ignore[dict-item]
    async with Control(two.near) as near, Control(two.far) as far:
        await far.post("/webhooks", url=hooks.url("account"), event_type="on-call")
        call = await near.call(two.uri)
        await near.delete(f"/{call}")
        await hooks.wait("completed")
        assert {path for path, _, _ in hooks.requests} == {"/route"}
        assert hooks.types() == ["call_setup", "answered", "completed"]


@pytest.mark.row("1:tries")
async def test_call_that_nobody_could_be_told_of_is_refused(start_switch: StartSwitch) -> None:
    settings = {"webhook": {"url": "http://127.0.0.1:1/", "format": "wavix", "tries": 1}}
    two = pair(start_switch, settings)
    async with Control(two.near) as near:
        reply = await near.post("", **{"from": "200", "to": two.uri})
        await near.until(reply.body["uuid"], "failed")


@pytest.mark.row("1:inside-the-reply")
async def test_sound_goes_both_ways_between_two_bots(start_switch: StartSwitch, hooks: Hooks) -> None:
    two = pair(start_switch, {"webhook": {"url": hooks.url(), "format": "wavix"}})
    async with Bot() as local, Bot() as remote, Control(two.near) as near, Control(two.far) as far:
        made = await near.post("", **{"from": "200", "to": two.uri})
        incoming = (await hooks.wait("call_setup"))["uuid"]
        wish = {"stream_type": "twoway", "stream_channel": "inbound"}
        await far.post(f"/{incoming}/answer", stream_url=remote.url(), **wish)
        await near.until(made.body["uuid"], "answered")
        await near.post(f"/{made.body['uuid']}/streams", stream_url=local.url(), **wish)
        one, other = await local.stream(), await remote.stream()
        await one.wait("media")
        await other.wait("media")
        await one.speak(sound.tone(440, 2.0, RATE))
        await other.speak(sound.tone(1000, 2.0, RATE))
        await one.mark("said")
        await other.mark("said")
        await one.wait("mark")
        await other.wait("mark")
        await other.until(lambda: sound.loud_ms(other.heard(), RATE, 1000) > 1500)
        await one.until(lambda: sound.loud_ms(one.heard(), RATE, 1000) > 1500)
        assert sound.share(one.heard(), 1000, RATE) > 0.7
        assert sound.share(other.heard(), 440, RATE) > 0.7


async def test_route_leads_into_a_stream(start_switch: StartSwitch, bot: Bot) -> None:
    """The operator wrote the URL: it may be private although nothing else is allowed."""
    sections: dict[str, Any] = {
        "route": [{"match": "100", "to": f"stream:{bot.url()}"}],
        "egress": {"allow": []},
    }
    two = pair(start_switch, sections)
    async with Control(two.near) as near:
        call = await near.call(two.uri)
        stream = await bot.stream()
        start = await stream.wait("start")
        assert (start["stream_type"], start["channel"]) == ("twoway", "inbound")
        await stream.speak(sound.tone(440, 0.5, RATE))
        await stream.mark("end")
        await stream.wait("mark")
        await stream.socket.close()
        await near.until(call, "completed")
