"""Each dialect in the real client against a bot of its protocol: every byte in order, on both loops."""

import asyncio
from typing import Any

import numpy as np
import pytest

from softswitch.audio import g711
from softswitch.call.interfaces import StreamOver, StreamRequest
from softswitch.dialects.streams import stream_dialects
from softswitch.egress.http import EgressClient
from softswitch.legs.stream import StreamClient, StreamClients, StreamTerms
from softswitch.legs.stream import client as module
from softswitch.settings import Settings
from tests.legs.stream.test_dialect import PATIENCE_S, Ear
from tests.support.agent_bots import AGENTS, Agent
from tests.support.dialect_bots import PROTOCOLS, DialectBot, Protocol, Talk
from tests.support.loops import LOOPS, run

KINDS = [*PROTOCOLS, *AGENTS]
EACH = pytest.mark.parametrize("kind", KINDS, ids=[one.name for one in KINDS])
LOUD = 8000
"""PCM16 units."""
SIZES = [1] * 21 + [333] * 7 + [2, 3, 5, 8191, 100_000]


@LOOPS
@EACH
def test_audio_of_any_size_arrives_whole_and_in_order(loop_factory, kind: type[Protocol]) -> None:
    async def scene() -> None:
        pcm = np.random.default_rng(7).integers(-9000, 9000, 20_001).astype("<i2")
        async with DialectBot(kind) as bot:
            client, running, ear, clients = begin(bot, kind)
            talk = await first_audio(bot, client, ear)
            await talk.speak(pcm, list(SIZES))
            await talk.send("{")  # Garbage behind it is counted after all of it was read.
            async with asyncio.timeout(PATIENCE_S):
                while not clients.counters.junk:
                    await asyncio.sleep(0.005)
            client.stop()
            await running
        heard = b"".join(said[1] for said in ear.said if said[0] == "audio")
        coded = talk.protocol.code(pcm)
        assert heard == talk.protocol.decode(coded).astype("<i2").tobytes()

    run(loop_factory, scene())


@LOOPS
@EACH
def test_service_that_reads_slowly_loses_audio_alone(loop_factory, kind: type[Protocol]) -> None:
    async def scene() -> None:
        async with DialectBot(kind) as bot:
            client, running, ear, clients = begin(bot, kind)
            talk = await first_audio(bot, client, ear)
            talk.stop_reading()
            if kind.marks:  # Asked for before, and answered while nothing is read.
                await talk.send(talk.protocol.mark("m"))
            await talk.speak(np.full(400, 77, "<i2"))
            async with asyncio.timeout(PATIENCE_S):
                while not any(said[0] == "audio" for said in ear.said):
                    await asyncio.sleep(0.005)
                while not clients.counters.media_dropped:
                    for _ in range(100):
                        client.frame("inbound", frame_of(client))
                    await asyncio.sleep(0)
            for name in [str(said[1]) for said in ear.said if said[0] == "mark"]:
                client.passed(name, cleared=False)
            talk.go_on_reading()
            # The oldest audio was dropped: the end comes, and whatever is no audio.
            async with asyncio.timeout(PATIENCE_S):
                while not talk.pieces or talk.pieces[-1].max() < LOUD / 2:
                    client.frame("inbound", frame_of(client, LOUD))
                    await asyncio.sleep(0.005)
            if kind.marks:
                await talk.until(lambda: talk.marks() == ["m"], "the mark is lost")
            client.stop()
            assert (await asyncio.wait_for(running, PATIENCE_S)).status == "stopped"
            await talk.until(lambda: talk.over, "the switch did not close")

    run(loop_factory, scene())


@EACH
async def test_service_that_answers_late_is_waited_for(kind: type[Protocol]) -> None:
    async with DialectBot(kind) as bot:
        bot.shaking.clear()
        bot.answering.clear()
        client, running, ear, clients = begin(bot, kind)
        async with asyncio.timeout(PATIENCE_S):
            while not bot.requests:
                client.frame("inbound", frame_of(client))
                await asyncio.sleep(0.005)
            assert (ear.said, clients.counters.opened) == ([], 0)
            bot.shaking.set()
            while not bot.talks or not (bot.talks[0].owes or bot.talks[0].pieces):
                client.frame("inbound", frame_of(client))
                await asyncio.sleep(0.005)
        if bot.talks[0].owes:  # Not ready: it is sent no audio, and the switch is not told of it.
            assert (ear.said, bot.talks[0].pieces) == ([], [])
        bot.answering.set()
        talk = await first_audio(bot, client, ear)
        await talk.speak(np.full(400, 77, "<i2"))
        async with asyncio.timeout(PATIENCE_S):
            while not any(said[0] == "audio" for said in ear.said):
                await asyncio.sleep(0.005)
        client.stop()
        assert (await asyncio.wait_for(running, PATIENCE_S)).status == "stopped"


async def first_audio(bot: DialectBot, client: StreamClient, ear: Ear) -> Talk:
    """Return the connection to a bot, once the switch was told of it and audio has come."""
    await ear.wait(1)
    client.frame("inbound", frame_of(client))
    return await bot.talk()


def frame_of(client: StreamClient, level: int = 0) -> bytes:
    """Return audio for one call of `frame`."""
    pcm = np.full(client.sample_rate * client.frame_ms // 1000, level, "<i2")
    if client.encoding == "pcm16":
        return pcm.tobytes()
    return g711.encode(g711.ENCODING[client.encoding.upper()], pcm.astype(np.float32)).tobytes()


@pytest.mark.parametrize(
    "kind", [one for one in AGENTS if one.name != "ultravox"], ids=lambda one: str(one.name)
)
async def test_agent_that_says_nothing_is_given_up_and_hears_nothing(monkeypatch, kind: type[Agent]) -> None:
    monkeypatch.setattr(module, "READY_S", 0.3)

    def silent() -> Agent:
        agent = kind()
        agent.silent = True
        return agent

    async with DialectBot(silent) as bot:
        client, running, *_ = begin(bot, kind)
        async with asyncio.timeout(PATIENCE_S):
            while not bot.talks:
                client.frame("inbound", frame_of(client))
                await asyncio.sleep(0.01)
            over = await running
        assert over.status == "failed"
        assert "did not become ready" in over.reason
        assert not bot.talks[0].pieces


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [
        ("openai-realtime", '{"type":"error","event_id":"e","error":{"type":"x","message":"no such voice"}}'),
        ("deepgram-agent", '{"type":"Error","code":"X","description":"no such voice"}'),
    ],
)
async def test_refusal_of_the_settings_is_the_reason_of_the_failure(kind: str, refusal: str) -> None:
    class Refusing(next(one for one in AGENTS if one.name == kind)):  # type: ignore[misc]
        def check(self, message: Any) -> list[str | bytes]:
            return [refusal]

    async with DialectBot(Refusing) as bot:
        _, running, ear, _ = begin(bot, Refusing)
        over = await asyncio.wait_for(running, PATIENCE_S)
        assert over.status == "failed"
        assert "no such voice" in over.reason
        assert ear.said == []


def begin(
    bot: DialectBot, kind: type[Protocol]
) -> tuple[StreamClient, "asyncio.Task[StreamOver]", Ear, StreamClients]:
    """Return a client that dials a bot, its run, what the switch hears, and its factory with the counters."""
    clients = StreamClients(EgressClient(("127.0.0.0/8",)), StreamTerms(), stream_dialects(Settings()))
    ear = Ear()
    request = StreamRequest("call", "stream", bot.url, two_way=True, channel="inbound", protocol=kind.name)
    client = clients(request, ear)
    return client, asyncio.ensure_future(client.run()), ear, clients
