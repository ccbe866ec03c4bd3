"""Edge cases and faults (wire-wavix §3, safety.md): services that misbehave, each in its own way."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from softswitch.app import SWITCH
from tests.certificates import make_certificate
from tests.conformance.conftest import StartSwitch, Switch
from tests.support import sound
from tests.support.bots import Bot, Stream
from tests.support.control import Control, Hooks

RATE = 24000
Handler = Callable[[aiohttp.web.Request], Awaitable[aiohttp.web.StreamResponse]]


async def begun(control: Control, bot: Bot, kind: str = "twoway", **more: object) -> tuple[str, Stream]:
    """Return an echo call and its stream."""
    call = await control.call()
    await control.stream(call, bot.url(), kind, "inbound", **more)
    stream = await bot.stream()
    await stream.wait("media")
    return call, stream


def counted(switch: Switch, name: str) -> float:
    """Return what the switch counted of streams."""
    assert switch.app is not None
    return switch.app[SWITCH].resources.metrics.value(f"softswitch_stream_{name}_total")


async def lives(control: Control, call: str, stream: Stream) -> None:
    """Make sure that call and stream go on."""
    frames = len(stream.frames())
    await stream.until(lambda: len(stream.frames()) > frames + 5, "the stream is silent")
    assert (await control.get(f"/{call}")).body["call"]["event_type"] == "answered"


@pytest.mark.row("3:wrong-stream-id")
async def test_message_for_another_stream_is_dropped_and_counted(
    switch: Switch, control: Control, bot: Bot
) -> None:
    call, stream = await begun(control, bot)
    before = counted(switch, "wrong_id")
    await stream.speak(sound.tone(440, 1.0, RATE), stream_id="another")
    await stream.send("mark", stream_id="another", mark={"name": "lost"})
    await stream.send("clear", stream_id="another")
    await stream.send("mark", stream_id=stream.id, mark={"name": "mine"})
    await stream.wait("mark")
    await lives(control, call, stream)
    assert stream.marks() == ["mine"]
    assert abs(stream.heard()).max() < 50
    assert counted(switch, "wrong_id") == before + 3


@pytest.mark.row("3:ignored")
async def test_junk_is_ignored_and_never_closes(switch: Switch, control: Control, bot: Bot) -> None:
    call, stream = await begun(control, bot)
    before = counted(switch, "junk"), counted(switch, "binary")
    junk = [
        "hello",
        "{",
        "[]",
        '{"event":"dance"}',
        '{"event":"media","media":{"payload":"=bad="}}',
        '{"event":5}',
        "",
    ]
    for text in junk:
        await stream.text(text)
    await stream.socket.send_bytes(b"\0" * 960)
    await stream.mark("still here")
    await stream.wait("mark")
    await lives(control, call, stream)
    assert (counted(switch, "junk"), counted(switch, "binary")) == (before[0] + len(junk), before[1] + 1)


@pytest.mark.row("3:ignored")
async def test_service_that_may_only_listen_is_not_heard(switch: Switch, control: Control, bot: Bot) -> None:
    call, stream = await begun(control, bot, "oneway")
    before = counted(switch, "deaf")
    await stream.speak(sound.tone(440, 1.0, RATE))
    await stream.mark("never")
    await stream.clear()
    await lives(control, call, stream)
    assert stream.marks() == []
    assert abs(stream.heard()).max() < 50
    assert counted(switch, "deaf") == before + 3


@pytest.mark.row("3:ignored")
async def test_message_beyond_8_mib_ends_the_stream_alone(
    switch: Switch, control: Control, bot: Bot, hooks: Hooks
) -> None:
    call = await control.call("echo", status_callback=hooks.url())
    await control.stream(call, bot.url())
    stream = await bot.stream()
    await stream.wait("media")
    with contextlib.suppress(ConnectionError):
        await stream.text("x" * (8 * 1024 * 1024 + 1))
    await hooks.until(lambda: "lost" in [one["status"] for one in hooks.about("stream")])
    assert (await control.get(f"/{call}")).body["call"]["event_type"] == "answered"


@pytest.mark.row("3:real-time-pacing")
async def test_service_without_lead_is_heard_without_gaps(control: Control, bot: Bot) -> None:
    _, stream = await begun(control, bot)
    pcm = sound.tone(440, 2.0, RATE)
    start = time.monotonic()
    for number in range(100):
        await asyncio.sleep(max(0.0, start + number * 0.02 - time.monotonic()))
        await stream.speak(pcm[number * 480 : number * 480 + 480])
    await stream.mark("end")
    await stream.wait("mark")
    await stream.until(lambda: sound.loud_ms(stream.heard(), RATE, 1000) > 1800)
    heard = stream.heard()
    loud = np.flatnonzero(abs(heard) > 1000)
    inside = heard[loud[0] : loud[-1]]
    silent = sum(abs(inside[at : at + 240]).max() < 100 for at in range(0, len(inside) - 240, 240))
    assert silent <= 8, (
        f"{silent} pieces of 10 ms are silent"
    )  # A loaded machine delays a sender now and then.


@pytest.mark.row("3:drain")
@pytest.mark.parametrize("leaving", ["close", "cut"])
async def test_what_was_said_before_the_close_is_heard(switch: Switch, bot: Bot, leaving: str) -> None:
    async with switch.client(id="drained") as client, Control(switch) as control:
        await client.invite(vad=False)
        await control.stream("drained", bot.url())
        stream = await bot.stream()
        await stream.wait("media")
        await stream.speak(sound.tone(440, 2.0, RATE))
        if leaving == "close":
            await stream.socket.close()
        else:
            await asyncio.sleep(0.3)  # What is on its way when a connection is cut may be lost with it.
            stream.cut()
        ended = await client.wait("stream", lambda event: event["status"] in ("closed", "lost"))
        assert ended["status"] == ("closed" if leaving == "close" else "lost")
        heard = client.heard()
        assert sound.loud_ms(heard, 16000, 1000) > 1900
        assert (await control.get("/drained")).body["call"]["event_type"] == "answered"
        await control.stream("drained", bot.url())
        await client.hang_up()


@pytest.mark.row("3:hangup-on-close")
async def test_call_ends_with_its_stream_where_that_was_asked_for(control: Control, bot: Bot) -> None:
    call, stream = await begun(control, bot, hangup_on_stream_close=True)
    await stream.speak(sound.tone(440, 0.5, RATE))
    began = time.monotonic()
    await stream.socket.close()
    await control.until(call, "completed")
    assert time.monotonic() - began > 0.4


@pytest.mark.row("3:beyond-120s")
async def test_sound_beyond_two_minutes_is_refused_and_marks_come_all_the_same(
    switch: Switch, control: Control, bot: Bot
) -> None:
    call, stream = await begun(control, bot)
    assert switch.app is not None
    minute = np.zeros(RATE * 60, np.int16)
    for _ in range(3):
        await stream.speak(minute)
    await stream.mark("behind")
    await stream.clear()
    await stream.wait("mark")
    assert stream.marks() == ["behind"]
    metrics = switch.app[SWITCH].resources.metrics
    assert metrics.value("softswitch_media_refused_track_seconds_total") > 55
    await lives(control, call, stream)


@pytest.mark.row("3:silent-leg")
async def test_frames_come_by_the_clock_while_the_party_is_silent(
    switch: Switch, control: Control, bot: Bot
) -> None:
    async with switch.client(id="silent") as client:
        await client.invite(vad=False)
        await control.stream("silent", bot.url())
        stream = await bot.stream()
        await stream.wait("media", 60)
        assert {len(frame) for frame in stream.frames()} == {960}
        assert not stream.heard().any()
        await client.hang_up()


@contextlib.asynccontextmanager
async def narrow(handle: Handler) -> AsyncIterator[str]:
    """Give the URL of a server whose sockets take little at a time."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    application = aiohttp.web.Application()
    application.router.add_get("/", handle)
    runner = aiohttp.web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await aiohttp.web.SockSite(runner, listener).start()
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        await runner.cleanup()


@pytest.mark.row("3:slow-reader")
async def test_slow_reader_loses_old_media_and_neither_marks_nor_stop(
    switch: Switch, control: Control
) -> None:
    """The service stops reading for seconds; when it reads again, all is in order."""
    reading, done = asyncio.Event(), asyncio.Event()
    messages: list[dict[str, Any]] = []

    async def slow(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        ws = aiohttp.web.WebSocketResponse()
        await ws.prepare(request)
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        await ws.receive()
        transport.pause_reading()
        for number in range(20):
            await ws.send_str(json.dumps({"event": "mark", "mark": {"name": str(number)}}))
            await asyncio.sleep(0.1)
        await reading.wait()
        transport.resume_reading()
        messages.extend([json.loads(message.data) async for message in ws])
        done.set()
        return ws

    async with narrow(slow) as url:
        call = await control.call()
        before = counted(switch, "media_dropped")
        stream = await control.stream(call, url)
        try:
            async with asyncio.timeout(60):
                while counted(switch, "media_dropped") < before + 50:
                    await asyncio.sleep(0.1)
        finally:
            reading.set()
        await control.delete(f"/{call}/streams/{stream}")
        async with asyncio.timeout(60):
            await done.wait()
    assert messages[-1]["event"] == "stop"
    assert [one["mark"]["name"] for one in messages if one["event"] == "mark"] == [str(n) for n in range(20)]
    numbers = [one["sequence_number"] for one in messages]
    assert numbers == sorted(numbers)
    assert numbers[-1] - numbers[0] >= len(numbers) + 49, "what was dropped is a hole in the numbers"


@pytest.mark.row("3:dial-fails")
async def test_service_that_refuses_is_tried_three_times_and_its_place_is_free_again(
    control: Control, bot: Bot, hooks: Hooks
) -> None:
    bot.refusals = 3
    call = await control.call("echo", status_callback=hooks.url())
    stream = await control.stream(call, bot.url())
    await hooks.until(lambda: hooks.about("stream"))
    [told] = hooks.about("stream")
    assert (told["status"], told["stream_id"]) == ("failed", stream)
    assert told["reason"]
    assert len(bot.tries) == 3
    assert bot.tries[-1] - bot.tries[0] < 10
    await control.stream(call, bot.url())
    await (await bot.stream()).wait("media")


@pytest.mark.row("3:dial-fails")
async def test_second_try_succeeds(control: Control, bot: Bot) -> None:
    bot.refusals = 1
    call = await control.call()
    await control.stream(call, bot.url())
    await (await bot.stream()).wait("media")
    assert len(bot.tries) == 2


@pytest.mark.row("3:dial-fails")
@pytest.mark.parametrize(
    "url", ["ws://127.0.0.1:1/", "ws://169.254.169.254/", "ws://localhost.invalid:8000/"]
)
async def test_service_that_cannot_or_may_not_be_reached_is_told(
    control: Control, hooks: Hooks, url: str
) -> None:
    call = await control.call("echo", status_callback=hooks.url())
    await control.stream(call, url)
    await hooks.until(lambda: hooks.about("stream"))
    assert hooks.about("stream")[0]["status"] == "failed"
    assert (await control.get(f"/{call}")).body["call"]["event_type"] == "answered"


@pytest.mark.row("3:abnormal-drop")
async def test_broken_connection_is_not_made_anew_by_default(
    control: Control, bot: Bot, hooks: Hooks
) -> None:
    call = await control.call("echo", status_callback=hooks.url())
    await control.stream(call, bot.url())
    stream = await bot.stream()
    await stream.wait("media")
    stream.cut()
    await hooks.until(lambda: "lost" in [one["status"] for one in hooks.about("stream")])
    await asyncio.sleep(0.5)
    assert len(bot.tries) == 1
    assert (await control.get(f"/{call}")).body["call"]["event_type"] == "answered"


@pytest.mark.row("3:reconnect")
async def test_broken_connection_is_made_anew_with_the_same_id_and_counters(
    control: Control, bot: Bot
) -> None:
    call = await control.call()
    name = await control.stream(call, bot.url(), reconnect_s=10)
    first = await bot.stream()
    await first.wait("media", 5)
    bot.refusals = 1
    first.cut()
    second = await bot.stream(1)
    await second.wait("media", 5)
    connected, start, media = second.messages[:3]
    assert "sequence_number" not in connected
    assert start["stream_id"] == media["stream_id"] == name
    last = max(message.get("sequence_number", 0) for message in first.messages)
    assert start["sequence_number"] > last
    assert media["media"]["chunk"] > first.all("media")[-1]["media"]["chunk"]
    assert media["media"]["timestamp"] > first.all("media")[-1]["media"]["timestamp"]
    await second.mark("again")
    await second.wait("mark")


@pytest.mark.row("3:reconnect")
async def test_service_that_stays_away_is_given_up(control: Control, bot: Bot, hooks: Hooks) -> None:
    call = await control.call("echo", status_callback=hooks.url())
    await control.stream(call, bot.url(), reconnect_s=1.0)
    stream = await bot.stream()
    await stream.wait("media")
    bot.refusals = 100
    stream.cut()
    await hooks.until(lambda: "lost" in [one["status"] for one in hooks.about("stream")])
    assert len(bot.tries) > 2


@pytest.mark.row("3:call-ends")
async def test_marks_that_were_not_reached_are_not_acknowledged_when_the_call_ends(
    control: Control, bot: Bot
) -> None:
    call, stream = await begun(control, bot)
    await stream.speak(sound.tone(440, 5.0, RATE))
    await stream.mark("never")
    await stream.until(lambda: sound.loud_ms(stream.heard(), RATE, 1000) > 100)
    await control.delete(f"/{call}")
    await stream.ended()
    assert stream.marks() == []
    assert stream.messages[-1]["event"] == "stop"
    assert stream.close_code == 1000


@pytest.mark.row(
    "3:extra-dtmf", "3:extra-mark-status", "3:extra-start", "3:extra-hangup", "1:streams-optional"
)
async def test_extras_are_there_where_they_were_asked_for(control: Control, bot: Bot) -> None:
    call = await control.call("echo", tag="vip")
    extras = ["dtmf", "mark_status", "start", "hangup"]
    await control.stream(call, bot.url(), stream_extras=extras)
    stream = await bot.stream()
    start = await stream.wait("start")
    assert (start["from"], start["to"], start["direction"], start["tag"]) == (
        "100",
        "echo",
        "outbound",
        "vip",
    )
    await stream.mark("played")
    await stream.speak(sound.tone(440, 5.0, RATE))
    await stream.mark("cleared")
    await stream.clear()
    await stream.wait("mark", 2)
    assert [(one["mark"]["name"], one["mark"]["status"]) for one in stream.all("mark")] == [
        ("played", "played"),
        ("cleared", "cleared"),
    ]
    await stream.send("hangup")
    await control.until(call, "completed")


@pytest.mark.row("3:extra-dtmf")
async def test_key_is_told_to_the_stream(switch: Switch, control: Control, bot: Bot) -> None:
    async with switch.client(id="keys") as client:
        await client.invite(vad=False)
        await control.stream("keys", bot.url(), stream_extras=["dtmf"])
        stream = await bot.stream()
        await stream.wait("media")
        digit = sound.tone(770, 0.3, level=0.3) + sound.tone(1336, 0.3, level=0.3)
        await client.speak(sound.join(digit, sound.silence(0.3)))
        assert (await stream.wait("dtmf"))["dtmf"] == {"digit": "5"}
        await client.hang_up()


@pytest.mark.row("3:extra-start", "3:extra-hangup", "3:extra-dtmf")
async def test_extras_are_not_there_by_default(control: Control, bot: Bot) -> None:
    call, stream = await begun(control, bot)
    assert set(stream.all("start")[0]) == {
        "event", "event_time", "call_id", "stream_id", "stream_type", "channel", "sequence_number"
    }  # fmt: skip
    await stream.send("hangup")
    await lives(control, call, stream)


@pytest.mark.row("3:signature")
async def test_handshake_is_signed_where_there_is_a_secret(start_switch: StartSwitch, bot: Bot) -> None:
    switch = start_switch({"wavix": {"stream_secret": "between us"}})
    async with Control(switch) as control:
        call = await control.call()
        name = await control.stream(call, bot.url())
        stream = await bot.stream()
        signature = dict(
            part.split("=") for part in stream.request.headers["X-Softswitch-Signature"].split(",")
        )
        content = f"{signature['t']}.{call}.{name}.{bot.url()}".encode()
        assert signature["v1"] == hmac.new(b"between us", content, hashlib.sha256).hexdigest()
        assert abs(int(signature["t"]) - time.time()) < 60


async def test_certificate_is_verified_against_the_private_authority(
    start_switch: StartSwitch, tmp_path: Path
) -> None:
    certificate, key = make_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    known = start_switch({"egress": {"allow": ["127.0.0.0/8"], "ca_file": str(certificate)}})
    async with Bot(tls=tls) as bot, Hooks() as hooks:
        async with Control(known) as control:
            call = await control.call()
            await control.stream(call, bot.url())
            stream = await bot.stream()
            await stream.wait("media", 3)
            await stream.mark("sealed")
            await stream.wait("mark")
        unknown = start_switch()
        async with Control(unknown) as control:
            call = await control.call("echo", status_callback=hooks.url())
            await control.stream(call, bot.url())
            await hooks.until(lambda: hooks.about("stream"))
            assert hooks.about("stream")[0]["status"] == "failed"
        assert len(bot.streams) == 1


@pytest.mark.parametrize(
    "place",
    [
        "127.0.0.1:%P",
        "[::1]:%P",
        "0:%P",
        "2130706433:%P",
        "[::ffff:7f00:1]:%P",
        "localhost.:%P",
        "localhost:%P",
    ],
)
async def test_nothing_private_is_dialled_unless_the_operator_allows_it(
    start_switch: StartSwitch, bot: Bot, hooks: Hooks, place: str
) -> None:
    switch = start_switch({"egress": {"allow": []}})
    async with Control(switch) as control:
        made = await control.post(
            "/webhooks", url=f"http://{place.replace('%P', str(hooks.port))}/", event_type="on-call"
        )
        assert made.status == 201
        callback = f"http://{place.replace('%P', str(hooks.port))}/call"
        calls = [await control.call(), await control.call(status_callback=callback)]
        for call in calls:
            await control.stream(call, f"ws://{place.replace('%P', str(bot.port))}/")
            await control.post(f"/{call}/play", audio_file=callback)
        await asyncio.sleep(0.5)
        for call in calls:
            await control.delete(f"/{call}")
        await asyncio.sleep(0.2)
    assert (bot.tries, hooks.requests) == ([], [])
