"""Each stream protocol on a running switch, against a bot that speaks as its vendor's documents say."""

from collections.abc import AsyncIterator

import aiohttp
import numpy as np
import pytest

from tests.conformance.conftest import Switch
from tests.support import sound
from tests.support.agent_bots import AGENTS
from tests.support.control import Control
from tests.support.dialect_bots import PROTOCOLS, DialectBot, Protocol, Talk

LOUD = 1000


@pytest.fixture
async def control(switch: Switch) -> AsyncIterator[Control]:
    async with Control(switch) as client:
        yield client


@pytest.fixture(params=[*PROTOCOLS, *AGENTS], ids=[one.name for one in [*PROTOCOLS, *AGENTS]])
async def bot(request: pytest.FixtureRequest) -> AsyncIterator[DialectBot]:
    async with DialectBot(request.param) as service:
        yield service


async def begin(control: Control, bot: DialectBot, kind: type[Protocol]) -> tuple[str, Talk]:
    """Return an echo call and its stream, which sends audio."""
    call = await control.call()
    await control.stream(call, bot.url, protocol=kind.name)
    return call, await bot.talk(len(bot.talks))


@pytest.fixture
def kind(request: pytest.FixtureRequest, bot: DialectBot) -> type[Protocol]:
    kind: type[Protocol] = request.node.callspec.params["bot"]
    return kind


def energy(pcm: sound.Pcm) -> float:
    return float(np.sum(pcm.astype(np.float64) ** 2))


def loud_ms(talk: Talk) -> int:
    return sound.loud_ms(talk.heard, talk.protocol.rate, LOUD)


async def test_audio_in_pieces_of_any_size_is_heard_whole_and_marks_come_behind(control, bot, kind) -> None:
    _, talk = await begin(control, bot, kind)
    tone = sound.tone(500, 1.0, kind.rate)
    # Single bytes, odd counts, and the rest at once.
    await talk.speak(tone, [1] * 41 + [333] * 5 + [1 << 20])
    if kind.marks:
        await talk.send(talk.protocol.mark("end"))
        await talk.until(lambda: talk.marks() == ["end"], "no mark")
    await talk.until(lambda: loud_ms(talk) > 600, f"{loud_ms(talk)} ms were heard of 1000")
    await talk.until(lambda: abs(talk.pieces[-1]).max() < 50, "the sound does not end")
    # Late ticks of a loaded machine cost the echo some frames; that the dialect loses no byte is shown by
    # tests/dialects/streams/test_exchange.py. Here nothing may be heard twice.
    heard = talk.heard
    assert 0.6 < energy(heard) / energy(tone) < 1.03
    last = np.flatnonzero(abs(heard) > LOUD)[-1]
    assert abs(sound.pitch(heard[last - kind.rate // 2 : last], kind.rate) - 500) < 10


async def test_clear_drops_what_is_queued(control, bot, kind) -> None:
    if not kind.clears:
        return  # Bare audio has no messages.
    _, talk = await begin(control, bot, kind)
    await talk.speak(sound.tone(500, 20.0, kind.rate))
    await talk.until(lambda: loud_ms(talk) > 100, "nothing was heard")
    await talk.send(talk.protocol.clear())
    await talk.until(lambda: abs(talk.pieces[-1]).max() < 50, "the sound goes on")
    assert loud_ms(talk) < 10_000
    # The stream goes on after it.
    before = loud_ms(talk)
    await talk.speak(sound.tone(500, 0.2, kind.rate))
    await talk.until(lambda: loud_ms(talk) > before + 150, "nothing was heard after the clear")


async def test_garbage_is_counted_and_the_stream_lives(control, bot, kind, switch) -> None:
    _, talk = await begin(control, bot, kind)
    before = junk(await metrics(switch))
    for text in ("", "{", "[]", '{"event":"dance","type":"dance","action":"dance"}', "[" * 20_000):
        await talk.send(text)
    await talk.speak(sound.tone(500, 0.3, kind.rate))
    await talk.until(lambda: loud_ms(talk) > 250, "the stream is dead")
    assert junk(await metrics(switch)) >= before + 5


async def test_service_that_is_cut_off_may_be_called_again(control, bot, kind) -> None:
    call, talk = await begin(control, bot, kind)
    talk.cut()
    await talk.until(lambda: talk.over, "the connection is still there")
    for _ in range(50):  # The switch notices by itself; until then the call has its one two-way stream.
        reply = await control.post(
            f"/{call}/streams",
            stream_url=bot.url,
            stream_type="twoway",
            stream_channel="inbound",
            protocol=kind.name,
        )
        if reply.status == 200:
            break
    assert reply.status == 200, reply
    again = await bot.talk(1)
    await again.speak(sound.tone(500, 0.3, kind.rate))
    await again.until(lambda: loud_ms(again) > 250, "the second stream is not heard")


async def test_stream_ends_with_a_close(control, bot, kind) -> None:
    call, talk = await begin(control, bot, kind)
    await control.delete(f"/{call}")
    await talk.until(lambda: talk.over, "the switch did not close")
    assert talk.socket.close_code == 1000


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"protocol": "twillio"}, "protocol"),
        ({"protocol": "twilio", "stream_sample_rate": 16000}, "stream_sample_rate"),
        ({"protocol": "telnyx", "stream_encoding": "opus"}, "stream_encoding"),
        ({"stream_parameters": {str(number): "" for number in range(65)}}, "stream_parameters"),
    ],
)
async def test_what_cannot_be_carried_is_refused_by_field(control: Control, fields, field) -> None:
    call = await control.call()
    reply = await control.post(
        f"/{call}/streams",
        stream_url="ws://127.0.0.1:9/",
        stream_type="twoway",
        stream_channel="inbound",
        **fields,
    )
    assert reply.status == 400
    assert field in str(reply.body)
    if field == "protocol":
        assert "twilio" in str(reply.body).replace("twillio", "")


async def test_media_pass_speaks_the_protocol_that_it_names(switch: Switch) -> None:
    async with (
        DialectBot(Protocol) as bot,
        aiohttp.ClientSession() as session,
        session.ws_connect(switch.socket_url("/call")) as socket,
    ):
        option = {"callee": "echo", "mediaPass": {"url": bot.url, "protocol": "twilio"}}
        await socket.send_json({"command": "invite", "option": option})
        talk = await bot.talk()
        assert [message["event"] for message in talk.messages[:2]] == ["connected", "start"]


async def metrics(switch: Switch) -> str:
    async with aiohttp.ClientSession() as session, session.get(switch.url("/metrics")) as response:
        return await response.text()


def junk(text: str) -> float:
    return sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("softswitch_stream_junk") and not line.startswith("#")
    )
