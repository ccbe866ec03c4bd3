"""The messages of a stream, both ways (wire-wavix §2)."""

import asyncio
import itertools
import re
import time
from collections.abc import Iterator

import numpy as np
import pytest

from softswitch.web.docs.interfaces import sockets
from tests.conformance.conftest import StartSwitch, Switch
from tests.support import sound
from tests.support.bots import Bot, Stream
from tests.support.control import Control
from tests.support.schema import ASYNCAPI, faults, message_faults, source
from tests.support.webrtc import RtcClient

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
RATE = 24000


@pytest.fixture(autouse=True)
def _valid(bot: Bot) -> Iterator[None]:
    """Check everything the bot got against our description and against the source document."""
    yield
    local, remote = sockets(), source() if ASYNCAPI.exists() else None
    for stream in bot.streams:
        for message in stream.messages:
            described = local["components"]["messages"][f"stream.send.{message['event']}"]
            assert faults(message, described["payload"], local) == []
            assert remote is None or message_faults(message, remote) == []
        numbers = [message["sequence_number"] for message in stream.messages[1:]]
        assert numbers == list(range(1, len(numbers) + 1))


async def streamed(
    control: Control, bot: Bot, kind: str = "twoway", channel: str = "inbound"
) -> tuple[str, Stream]:
    """Return an echo call and its stream."""
    call = await control.call()
    await control.stream(call, bot.url(), kind, channel)
    stream = await bot.stream(len(bot.streams) - 1 if bot.streams else 0)
    await stream.wait("media")
    return call, stream


@pytest.mark.row(
    "2:connected", "2:start", "2:media", "2:counters", "2:two-frames-first", "2:text-frames", "2:integers"
)
async def test_messages_come_in_order_with_their_counters(control: Control, bot: Bot) -> None:
    call, stream = await streamed(control, bot)
    await stream.wait("media", 20)
    connected, start, *media = stream.messages[:22]
    assert set(connected) == {"event", "event_time"}
    assert connected["event"] == "connected"
    assert start == {
        "event": "start",
        "event_time": start["event_time"],
        "call_id": call,
        "stream_id": stream.id,
        "stream_type": "twoway",
        "channel": "inbound",
        "sequence_number": 1,
    }
    for number, message in enumerate(media):
        assert (message["event"], message["call_id"], message["stream_id"]) == ("media", call, stream.id)
        assert message["sequence_number"] == number + 2
        assert {name: message["media"][name] for name in ("track", "timestamp", "chunk")} == {
            "track": "inbound",
            "timestamp": number * 20,
            "chunk": number + 1,
        }
        for value in (message["sequence_number"], message["media"]["timestamp"], message["media"]["chunk"]):
            assert type(value) is int
    assert {len(frame) for frame in stream.frames()} == {960}


@pytest.mark.row("2:event-time")
async def test_event_time_is_utc_with_milliseconds(control: Control, bot: Bot) -> None:
    _, stream = await streamed(control, bot)
    assert all(MOMENT.fullmatch(message["event_time"]) for message in stream.messages)


@pytest.mark.row("2:media")
async def test_media_keeps_its_pace(control: Control, bot: Bot) -> None:
    _, stream = await streamed(control, bot)
    await stream.wait("media", 50)
    times = [when for when, one in zip(stream.times, stream.messages, strict=True) if one["event"] == "media"]
    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert 0.9 < (times[49] - times[0]) / 0.98 < 1.5
    assert sorted(gaps)[len(gaps) // 2] < 0.03


@pytest.mark.row("2:in-mark", "2:mark")
async def test_mark_on_an_empty_buffer_comes_back_at_once(control: Control, bot: Bot) -> None:
    _, stream = await streamed(control, bot)
    began = time.monotonic()
    await stream.mark("now")
    mark = await stream.wait("mark")
    assert mark["mark"] == {"name": "now"}
    assert time.monotonic() - began < 1.0


@pytest.mark.row("2:in-media", "2:in-mark", "2:mark", "2:stop")
async def test_sound_is_heard_in_order_and_marks_come_when_it_was(control: Control, bot: Bot) -> None:
    _, stream = await streamed(control, bot)
    began = time.monotonic()
    await stream.speak(sound.tone(440, 0.5, RATE))
    await stream.mark("first")
    await stream.speak(sound.tone(1000, 0.5, RATE))
    await stream.mark("second")
    await stream.until(lambda: stream.marks() == ["first", "second"])
    assert time.monotonic() - began > 0.9
    heard = stream.heard()
    await stream.until(lambda: len(stream.heard()) > len(heard) + 4800)
    heard = stream.heard()
    first = int(np.flatnonzero(abs(heard) > 1000)[0])
    assert abs(sound.pitch(heard[first + 2400 : first + 9600], RATE) - 440) < 20
    assert abs(sound.pitch(heard[first + 14400 : first + 21600], RATE) - 1000) < 20


@pytest.mark.row("2:in-media")
@pytest.mark.parametrize("size", [1, 7, 959, 961, 4801])
async def test_media_of_any_size_is_taken_and_an_odd_byte_is_carried(
    control: Control, bot: Bot, size: int
) -> None:
    _, stream = await streamed(control, bot)
    data = sound.tone(440, 0.3, RATE).astype("<i2").tobytes()
    for at in range(0, len(data), size * 97 if size < 10 else size):
        # Small pieces are sent in bundles; their ends are odd all the same.
        piece = data[at : at + (size * 97 if size < 10 else size)]
        await stream.speak(piece)
    await stream.mark("end")
    await stream.wait("mark")
    await stream.until(lambda: sound.loud_ms(stream.heard(), RATE, 1000) > 250)
    heard = stream.heard()
    first = int(np.flatnonzero(abs(heard) > 1000)[0])
    assert sound.share(heard[first : first + 6000], 440, RATE) > 0.9


@pytest.mark.row("2:in-clear", "2:mark")
async def test_clear_is_silence_at_once_and_returns_the_marks_in_order(control: Control, bot: Bot) -> None:
    _, stream = await streamed(control, bot)
    for number in range(5):
        await stream.speak(sound.tone(440, 2.0, RATE))
        await stream.mark(f"mark-{number}")
    await stream.until(lambda: sound.loud_ms(stream.heard(), RATE, 1000) > 300)
    await stream.clear()
    began = time.monotonic()
    await stream.until(lambda: len(stream.marks()) == 5)
    assert time.monotonic() - began < 1.0
    assert stream.marks() == [f"mark-{number}" for number in range(5)]
    cleared = len(stream.frames())
    await stream.until(lambda: len(stream.frames()) > cleared + 30)
    tail = np.frombuffer(b"".join(stream.frames()[cleared + 10 :]), "<i2")
    assert abs(tail).max() < 50
    await stream.mark("later")
    await stream.until(lambda: stream.marks()[-1] == "later")


@pytest.mark.row("2:in-clear")
async def test_sound_after_a_clear_is_heard(control: Control, bot: Bot) -> None:
    _, stream = await streamed(control, bot)
    await stream.speak(sound.tone(440, 5.0, RATE)[:-1].astype("<i2").tobytes() + b"\1")
    await stream.clear()
    await stream.speak(sound.tone(1000, 0.5, RATE))
    await stream.mark("end")
    await stream.wait("mark")
    heard = stream.heard()[-9600:]
    await stream.until(lambda: len(stream.heard()) > len(heard))
    assert sound.share(stream.heard()[-9600:], 1000, RATE) > 0.5


@pytest.mark.row("2:stop")
async def test_stop_is_the_last_message_and_then_we_close(control: Control, bot: Bot) -> None:
    call, stream = await streamed(control, bot)
    await control.delete(f"/{call}/streams/{stream.id}")
    await stream.ended()
    assert stream.messages[-1]["event"] == "stop"
    assert len(stream.all("stop")) == 1
    assert stream.close_code == 1000


@pytest.mark.row("2:channel-echoed", "2:twoway-inbound-only")
@pytest.mark.parametrize("channel", ["inbound", "outbound", "both"])
async def test_twoway_hears_inbound_whatever_was_asked_for(control: Control, bot: Bot, channel: str) -> None:
    _, stream = await streamed(control, bot, "twoway", channel)
    await stream.wait("media", 5)
    assert stream.all("start")[0]["channel"] == channel
    assert {message["media"]["track"] for message in stream.all("media")} == {"inbound"}


@pytest.mark.row("2:inbound-outbound", "2:counters")
@pytest.mark.parametrize("channel", ["inbound", "outbound", "both"])
async def test_oneway_hears_what_was_asked_for(
    switch: Switch, control: Control, bot: Bot, channel: str
) -> None:
    async with switch.client(id="one") as client:
        await client.invite(vad=False)
        await control.stream("one", bot.url(), "oneway", channel)
        stream = await bot.stream()
        await stream.wait("media")
        talking = asyncio.ensure_future(client.speak(sound.tone(440, 2.0)))
        await client.send("tts", text="one two three four five six", playId="x")
        wanted = ["inbound", "outbound"] if channel == "both" else [channel]
        await stream.until(
            lambda: all(abs(stream.heard(track)).max(initial=0) > 1000 for track in wanted), "too quiet", 60
        )
        await talking
        start = stream.all("start")[0]
        assert (start["stream_type"], start["channel"]) == ("oneway", channel)
        media = [message["media"] for message in stream.all("media")]
        assert {one["track"] for one in media} == set(wanted)
        assert [one["chunk"] for one in media] == list(range(1, len(media) + 1))
        for track in wanted:
            times = [one["timestamp"] for one in media if one["track"] == track]
            assert times == list(range(0, 20 * len(times), 20))
        if "inbound" in wanted:
            assert sound.share(loudest(stream.heard("inbound")), 440, RATE) > 0.8
        if "outbound" in wanted:
            assert sound.share(loudest(stream.heard("outbound")), 440, RATE) < 0.5
        await client.hang_up()


def loudest(pcm: sound.Pcm) -> sound.Pcm:
    """Return the loudest half second."""
    half = RATE // 2
    pieces = [pcm[at : at + half] for at in range(0, len(pcm) - half, half // 2)]
    return max(pieces, key=sound.level, default=pcm)


@pytest.mark.row("2:verbatim-url")
async def test_url_is_dialled_as_it_stands_with_its_query_and_headers(control: Control, bot: Bot) -> None:
    call = await control.call()
    url = bot.url("a%20b/c?token=x%2By&z=%C3%A4&empty=")
    await control.stream(call, url, stream_headers={"X-Bot": "seven"})
    stream = await bot.stream()
    assert stream.request.raw_path == "/a%20b/c?token=x%2By&z=%C3%A4&empty="
    assert stream.request.headers["X-Bot"] == "seven"
    await stream.wait("media")


@pytest.mark.row("1:streams-optional")
@pytest.mark.parametrize(
    "headers", [{"Host": "x"}, {"Sec-WebSocket-Key": "x"}, {"a b": "c"}, {"x": "a\r\nb: c"}]
)
async def test_header_that_would_break_the_handshake_is_refused(
    control: Control, bot: Bot, headers: dict[str, str]
) -> None:
    call = await control.call()
    wish = {"stream_url": bot.url(), "stream_type": "oneway", "stream_channel": "inbound"}
    reply = await control.post(f"/{call}/streams", **wish, stream_headers=headers)
    assert (reply.status, set(reply.body["errors"])) == (400, {"stream_headers"})


@pytest.mark.row("2:timestamp-ms", "2:timestamp-rtp")
@pytest.mark.parametrize(("setting", "step"), [("ms", 20), ("rtp", 480)])
async def test_timestamp_counts_as_the_setting_says(
    start_switch: StartSwitch, bot: Bot, setting: str, step: int
) -> None:
    switch = start_switch({"wavix": {"timestamp": setting}})
    async with Control(switch) as control:
        _, stream = await streamed(control, bot)
        await stream.wait("media", 5)
        times = [message["media"]["timestamp"] for message in stream.all("media")[:5]]
        assert times == [number * step for number in range(5)]


@pytest.mark.row("1:both-dialects")
async def test_browser_call_is_streamed_at_24_khz(switch: Switch, control: Control, bot: Bot) -> None:
    """A sound of 9 kHz comes through: nothing was squeezed through a telephone's 8 kHz."""
    async with switch.rtc(id="browser") as client:
        assert isinstance(client, RtcClient)
        await client.call(vad=False)
        await control.stream("browser", bot.url())
        stream = await bot.stream()
        await stream.wait("media", 10)
        client.voice.say(sound.tone(9000, 3.0, 48000), 48000)
        await stream.until(
            lambda: sound.share(loudest(stream.heard()), 9000, RATE) > 0.8, "9 kHz are not heard"
        )
        await stream.speak(sound.tone(440, 1.0, RATE))
        await stream.mark("end")
        await stream.wait("mark")
        heard = np.concatenate([piece for _, piece in client.sounds])[-96000:]
        assert sound.share(heard, 440, 48000) > 0.5
        assert {len(frame) for frame in stream.frames()} == {960}
        await client.hang_up()
