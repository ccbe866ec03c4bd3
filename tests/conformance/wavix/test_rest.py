"""REST (wire-wavix §1), but for webhooks and what comes in."""

import asyncio
import uuid
from typing import Any

import aiohttp
import pytest

from softswitch.app import SWITCH
from tests.conformance.conftest import StartSwitch, Switch
from tests.files.audio_files import odd_wav
from tests.support import sound
from tests.support.bots import Bot
from tests.support.control import Control, Hooks
from tests.support.ringing import ringing
from tests.support.servers import Files

RETRIED = {408, 409, 429, *range(500, 600)}
CALL_FIELDS = {
    "uuid": str,
    "id": str,
    "direction": str,
    "event_type": str,
    "event_time": str,
    "from": str,
    "to": str,
    "call_started": str,
    "machine_detected": bool,
    "tag": str,
}


def check_call(call: dict[str, Any]) -> None:
    """Make sure that something is a call object."""
    for name, kind in CALL_FIELDS.items():
        assert isinstance(call[name], kind), (name, call)
    assert call["uuid"] == call["id"]
    assert call["call_finished"] == call["call_completed"]
    assert {"event_payload", "call_answered"} <= call.keys()


@pytest.mark.row("1:prefixes", "1:originate", "1:call-object", "1:success-200")
@pytest.mark.parametrize("prefix", ["/v1/call", "/v1/calls"])
async def test_call_is_made_under_both_prefixes(switch: Switch, prefix: str) -> None:
    async with Control(switch, prefix) as control:
        reply = await control.post(
            "", **{"from": "100", "to": "echo", "tag": "vip", "timeout": 20, "max_duration": 60}
        )
        assert reply.status == 200
        assert reply.body["success"] is True
        check_call(reply.body)
        assert (reply.body["from"], reply.body["to"], reply.body["tag"]) == ("100", "echo", "vip")
        assert reply.body["direction"] == "outbound"
        uuid.UUID(reply.body["uuid"])
        await control.until(reply.body["uuid"], "answered")


@pytest.mark.row("1:auth-appid", "1:auth-bearer", "1:error-401")
async def test_key_is_taken_from_query_and_header(start_switch: StartSwitch) -> None:
    switch = start_switch({"auth": {"api_keys": ["app:secret:call", "other:else:rooms"]}})
    async with aiohttp.ClientSession() as http:

        async def status(headers: dict[str, str], **query: str) -> tuple[int, dict[str, Any]]:
            async with http.get(switch.url("/v1/calls", **query), headers=headers) as response:
                return response.status, await response.json()

        assert (await status({}, appid="secret"))[0] == 200
        assert (await status({"Authorization": "Bearer secret"}))[0] == 200
        for refused in (await status({}), await status({}, appid="wrong")):
            assert refused[0] == 401
            assert refused[1]["success"] is False
            assert refused[1]["error"] is True
            assert isinstance(refused[1]["message"], str)
        code, body = await status({"Authorization": "Bearer else"})
        assert (code, body["success"]) == (403, False)


@pytest.mark.row("1:spellings")
@pytest.mark.parametrize(
    "words",
    [{"status_callback": "URL", "call_recording": True}, {"callback_url": "URL", "recording": True}],
)
async def test_both_spellings_of_an_option_mean_the_same(
    control: Control, switch: Switch, hooks: Hooks, words: dict[str, Any]
) -> None:
    fields = {name: hooks.url() if value == "URL" else value for name, value in words.items()}
    call = await control.call(**fields)
    await hooks.wait("answered")
    await asyncio.sleep(0.1)
    await control.delete(f"/{call}")
    await hooks.wait("completed")
    async with aiohttp.ClientSession() as http:

        async def recorded() -> bool:
            async with http.get(switch.url(f"/calls/{call}")) as response:
                return response.status == 200 and bool((await response.json())["recording"])

        async with asyncio.timeout(60):
            while not await recorded():
                await asyncio.sleep(0.05)


@pytest.mark.row("1:list", "1:get", "1:patch-tag", "1:hang-up")
async def test_call_is_listed_shown_tagged_and_hung_up(control: Control) -> None:
    call = await control.call()
    listed = await control.get("")
    assert listed.body["success"] is True
    [found] = [one for one in listed.body["calls"] if one["uuid"] == call]
    check_call(found)
    shown = await control.get(f"/{call}")
    assert shown.body["success"] is True
    check_call(shown.body["call"])
    assert (await control.ask("PATCH", f"/{call}", {"tag": "new"})).body == {"success": True}
    assert (await control.get(f"/{call}")).body["call"]["tag"] == "new"
    assert (await control.delete(f"/{call}")).body == {"success": True}
    assert (await control.until(call, "completed"))["tag"] == "new"
    assert (await control.delete(f"/{call}")).status == 404


@pytest.mark.row("1:error-shape", "1:error-validation", "1:error-every-field", "1:never-retried")
async def test_every_missing_field_is_named(control: Control) -> None:
    reply = await control.post("")
    assert reply.status == 400
    assert reply.body == {
        "success": False,
        "message": "Validation error",
        "errors": {"from": "This field is required", "to": "This field is required"},
    }
    call = await control.call()
    reply = await control.post(f"/{call}/streams")
    assert reply.status == 400
    assert set(reply.body["errors"]) == {"stream_url", "stream_type", "stream_channel"}
    for path in ("play", "tts", "transfer"):
        reply = await control.post(f"/{call}/{path}")
        assert (reply.status, reply.body["message"]) == (400, "Validation error")
        assert len(reply.body["errors"]) == 1


@pytest.mark.row("1:error-validation")
@pytest.mark.parametrize("body", [b"{", b"[]", b"7", b"\xff", b"[" * 5000])
async def test_body_that_is_no_object_is_400(control: Control, body: bytes) -> None:
    reply = await control.ask("POST", "", body)
    assert reply.status == 400
    assert reply.body["errors"]["body"]


@pytest.mark.row("1:error-validation")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout", 0),
        ("timeout", "soon"),
        ("max_duration", -1),
        ("tag", "x" * 300),
        ("status_callback", "ftp://x"),
    ],
)
async def test_wrong_value_is_named(control: Control, field: str, value: object) -> None:
    reply = await control.post("", **{"from": "1", "to": "echo", field: value})
    assert reply.status == 400
    assert set(reply.body["errors"]) == {field}


@pytest.mark.row("1:error-stream-url")
@pytest.mark.parametrize("url", ["http://example.org/", "example.org", "file:///etc/passwd"])
async def test_stream_url_must_be_that_of_a_websocket(control: Control, url: str) -> None:
    call = await control.call()
    reply = await control.post(
        f"/{call}/streams", stream_url=url, stream_type="oneway", stream_channel="inbound"
    )
    assert reply.status == 400
    assert reply.body["message"] == "Stream URL must be a valid WebSocket URL (ws:// or wss://)"


@pytest.mark.row("1:error-404", "1:error-shape")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/answer"),
        ("POST", "/streams"),
        ("DELETE", "/streams/x"),
        ("POST", "/play"),
        ("DELETE", "/audio"),
        ("POST", "/tts"),
        ("POST", "/transfer"),
        ("POST", "/collect"),
    ],
)
async def test_unknown_call_is_404(control: Control, method: str, path: str) -> None:
    reply = await control.ask(method, f"/no-such-call{path}", {})
    assert reply.status == 404
    assert reply.body == {"success": False, "message": "Call not found"}


@pytest.mark.row("1:error-shape")
async def test_unknown_path_and_method_are_refused_in_the_same_shape(control: Control) -> None:
    for method, path, status in (("PUT", "", 405), ("GET", "/a/b/c/d", 404), ("POST", "/x/dance", 404)):
        reply = await control.ask(method, path)
        assert (reply.status, reply.body["success"]) == (status, False)


@pytest.mark.row(
    "1:streams", "1:refuse-second-twoway", "1:refuse-sixth-oneway", "2:limits", "1:never-retried"
)
async def test_limits_of_streams_are_refused_with_422(control: Control, bot: Bot) -> None:
    call = await control.call()
    await control.stream(call, bot.url())
    wish = {"stream_url": bot.url(), "stream_type": "twoway", "stream_channel": "both"}
    reply = await control.post(f"/{call}/streams", **wish)
    assert reply.status == 422
    assert reply.body["message"] == "Only one bidirectional stream is allowed per call"
    for _ in range(5):
        await control.stream(call, bot.url(), "oneway")
    reply = await control.post(f"/{call}/streams", **{**wish, "stream_type": "oneway"})
    assert reply.status == 422
    assert reply.body["message"] == "Up to 5 unidirectional streams are allowed per call"
    await bot.stream(5)


@pytest.mark.row("2:limits")
async def test_streams_that_are_connecting_count(control: Control, files: Files) -> None:
    hanging = asyncio.Event()

    async def hang(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        await hanging.wait()
        return aiohttp.web.Response(status=503)

    files.answers["slow"] = hang
    call = await control.call()
    await control.stream(call, files.url("slow", "ws"))
    wish = {"stream_url": files.url("slow", "ws"), "stream_type": "twoway", "stream_channel": "inbound"}
    assert (await control.post(f"/{call}/streams", **wish)).status == 422
    await control.delete(f"/{call}")
    hanging.set()


@pytest.mark.row("1:streams")
async def test_start_of_a_stream_does_not_wait_for_its_service(control: Control, files: Files) -> None:
    hanging = asyncio.Event()

    async def hang(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        await hanging.wait()
        return aiohttp.web.Response(status=503)

    files.answers["slow"] = hang
    call = await control.call()
    async with asyncio.timeout(60):
        stream = await control.stream(call, files.url("slow", "ws"))
        uuid.UUID(stream)
        assert (await control.delete(f"/{call}/streams/{stream}")).status == 200
    hanging.set()


@pytest.mark.row("1:stop-stream", "1:stop-stream-answer")
@pytest.mark.parametrize("prefix", ["/v1/call", "/v1/calls"])
@pytest.mark.parametrize("path", ["/{call}/streams/{stream}", "/answer/{call}/streams/{stream}"])
async def test_stream_is_stopped_by_both_paths(switch: Switch, bot: Bot, prefix: str, path: str) -> None:
    async with Control(switch, prefix) as control:
        call = await control.call()
        stream = await control.stream(call, bot.url())
        peer = await bot.stream()
        await peer.wait("media")
        reply = await control.delete(path.format(call=call, stream=stream))
        assert (reply.status, reply.body) == (200, {"success": True})
        await peer.ended()

        reply = await control.delete(f"/{call}/streams/{uuid.uuid4()}")
        assert (reply.status, reply.body["message"]) == (404, "Stream not found")
        assert (await control.get(f"/{call}")).body["call"]["event_type"] == "answered"


@pytest.mark.row("1:refuse-not-answered", "1:never-retried")
async def test_call_that_only_rings_is_refused_with_422(start_switch: StartSwitch, bot: Bot) -> None:
    switch = start_switch()
    async with Control(switch) as control, ringing() as uri:
        reply = await control.post("", **{"from": "100", "to": uri})
        call = reply.body["uuid"]
        wish = {"stream_url": bot.url(), "stream_type": "twoway", "stream_channel": "inbound"}
        for path, body in (("streams", wish), ("tts", {"text": "x"}), ("collect", {})):
            reply = await control.post(f"/{call}/{path}", **body)
            assert (reply.status, reply.body["message"]) == (422, "Call is not answered")
        reply = await control.post(f"/{call}/answer")
        assert reply.status == 422
        assert not {reply.status} & RETRIED
        await control.delete(f"/{call}")
        await control.until(call, "cancelled")


@pytest.mark.row("1:not-built")
async def test_option_that_is_not_built_is_refused_by_its_name(switch: Switch) -> None:
    days = {"type": "placed", "from": "2026-01-01", "to": "2026-01-02"}
    async with Control(switch, "/v1/cdrs") as records:
        reply = await records.post("", **days, transcription={"any": {"must": ["refund"]}})
        assert reply.status == 400
        assert "transcription" in reply.body["errors"]["transcription"]
        assert (await records.post("", **days)).status == 200
    async with Control(switch, "/v1/recordings") as recordings:
        reply = await recordings.get("", sip_trunks="x")
        assert (reply.status, set(reply.body["errors"])) == (400, {"sip_trunks"})


@pytest.mark.row("1:numbers")
@pytest.mark.parametrize(
    "to", ["no such user", "0049 123", "+", "room:", "file:///x", "sip:", "echo:1", "12"]
)
async def test_destination_that_is_none_is_refused(control: Control, to: str) -> None:
    reply = await control.post("", **{"from": "1", "to": to})
    assert reply.status == 400
    assert set(reply.body["errors"]) == {"to"}


@pytest.mark.row("1:ours-users-uri-echo-room", "1:numbers")
@pytest.mark.parametrize("to", ["echo", "tone", "+4930123456", "4930123456", "sip:a@127.0.0.1:9", "alice"])
async def test_destinations_of_ours_are_taken(start_switch: StartSwitch, to: str) -> None:
    switch = start_switch({"user": [{"name": "alice", "password": "secret"}]})
    async with Control(switch) as control:
        assert (await control.post("", **{"from": "1", "to": to})).status == 200


@pytest.mark.row("1:caller-ids")
async def test_trunk_limits_the_caller(start_switch: StartSwitch) -> None:
    trunk = {"name": "t", "servers": ["127.0.0.1:9"], "caller_ids": ["+4930100"]}
    switch = start_switch({"trunk": [trunk]})
    async with Control(switch) as control:
        reply = await control.post("", **{"from": "+1999", "to": "+4930123456"})
        assert (reply.status, set(reply.body["errors"])) == (400, {"from"})
        assert (await control.post("", **{"from": "+4930100", "to": "+4930123456"})).status == 200
        assert (await control.post("", **{"from": "+1999", "to": "echo"})).status == 200


@pytest.mark.row("1:draining-503")
async def test_draining_switch_says_503_with_retry_after(start_switch: StartSwitch) -> None:
    switch = start_switch()
    async with Control(switch) as control:
        assert switch.app is not None

        switch.app[SWITCH].draining = True
        reply = await control.post("", **{"from": "1", "to": "echo"})
        assert (reply.status, reply.body["success"]) == (503, False)
        assert int(reply.headers["Retry-After"]) > 0


@pytest.mark.row("1:play", "1:stop-audio")
async def test_file_is_played_after_its_delay_and_stopped(control: Control, bot: Bot, files: Files) -> None:
    call = await control.call()
    await control.stream(call, bot.url(), "oneway", "outbound")
    peer = await bot.stream()
    url = files.put("tone.wav", sound.wav(sound.tone(440, 5.0)))
    reply = await control.post(f"/{call}/play", audio_file=url, delay_before_playing=200)
    assert (reply.status, reply.body["success"]) == (200, True)
    await peer.until(lambda: abs(peer.heard("outbound")).max(initial=0) > 3000, "the tone is not heard")
    assert (await control.delete(f"/{call}/audio")).body == {"success": True}
    await peer.until(lambda: abs(peer.heard("outbound")[-4800:]).max() < 100, "the tone does not stop")
    reply = await control.post(f"/{call}/play", audio_file="file:///etc/passwd")
    assert (reply.status, set(reply.body["errors"])) == (400, {"audio_file"})
    reply = await control.post(f"/{call}/play", audio_file=url, delay_before_playing=10001)
    assert (reply.status, set(reply.body["errors"])) == (400, {"delay_before_playing"})


async def test_file_that_cannot_be_decoded_leaves_the_call_alone(
    control: Control, bot: Bot, files: Files, hooks: Hooks
) -> None:
    odd, well = files.put("odd.wav", odd_wav(bits=45)), files.put("a.wav", sound.wav(sound.tone(500, 2)))
    call = await control.call(status_callback=hooks.url())
    await control.stream(call, bot.url(), "oneway", "outbound")
    peer = await bot.stream()
    for url in (odd, well):
        reply = await control.post(f"/{call}/play", audio_file=url)
        assert (reply.status, reply.body["success"]) == (200, True)
        if url == odd:  # The next file would end this one before it can fail.
            await hooks.until(lambda: hooks.about("error"))
    await peer.until(lambda: abs(peer.heard("outbound")).max(initial=0) > 3000, "the tone is not heard")
    await control.delete(f"/{call}")


@pytest.mark.row("1:tts")
async def test_text_is_spoken(control: Control, bot: Bot) -> None:
    call = await control.call()
    await control.stream(call, bot.url(), "oneway", "outbound")
    peer = await bot.stream()
    reply = await control.post(f"/{call}/tts", text="hello", max_repeat_count=2)
    assert (reply.status, reply.body["success"]) == (200, True)
    await peer.until(lambda: abs(peer.heard("outbound")).max(initial=0) > 1000, "nothing is said", 60)


@pytest.mark.row("1:transfer")
async def test_call_is_connected_with_somebody_else(control: Control, hooks: Hooks) -> None:
    call = await control.call("echo", status_callback=hooks.url())
    reply = await control.post(f"/{call}/transfer", to="tone")
    assert (reply.status, reply.body) == (200, {"success": True})
    await hooks.until(lambda: {"status": "answered"} in hooks.about("transfer"))
    reply = await control.post(f"/{call}/transfer", to="no such user")
    assert (reply.status, set(reply.body["errors"])) == (400, {"to"})


@pytest.mark.row("1:both-dialects")
async def test_call_of_the_other_dialect_is_seen_streamed_and_hung_up(
    control: Control, switch: Switch, bot: Bot
) -> None:
    async with switch.client(id="remote") as client:
        await client.invite(vad=False)
        [found] = [one for one in (await control.get("")).body["calls"] if one["uuid"] == "remote"]
        check_call(found)
        await control.stream("remote", bot.url())
        peer = await bot.stream()
        start = await peer.wait("start")
        assert start["call_id"] == "remote"
        assert (await client.wait("stream"))["status"] == "started"
        assert (await control.delete("/remote")).status == 200
        await client.wait("hangup")
        await client.closed()


@pytest.mark.row("1:both-dialects")
async def test_call_of_ours_is_listed_by_the_other_dialect(control: Control, switch: Switch) -> None:
    call = await control.call()
    async with aiohttp.ClientSession() as http:
        async with http.get(switch.url("/call/lists")) as response:
            assert call in [one["id"] for one in (await response.json())["calls"]]
        async with http.post(switch.url(f"/call/kill/{call}")) as response:
            assert response.status == 200
    await control.until(call, "completed")
