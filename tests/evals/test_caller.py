"""A scenario against loopback bots: one that gives way, one that barges in late, one that is silent."""

import asyncio

import numpy as np
import pytest
from aiohttp import WSMsgType, web
from pytest_aiohttp.plugin import AiohttpServer

from softswitch.evals import caller
from softswitch.evals.caller import evaluate
from softswitch.evals.scenario import Bot, Limits, Scenario, Turn
from tests.support import sound
from tests.support.switch import SwitchThread

FRAME = 640
VOICE = (6000 * np.sin(2 * np.pi * 300 * np.arange(320) / 16000)).astype("<i2").tobytes()


class LoopbackBot:
    """Greets for a second, replies for three, and falls silent `late_s` after it is spoken over.

    It speaks raw PCM, never ahead of time.
    """

    def __init__(self, late_s: float = 0.0, think_s: float = 0.3, *, mute: bool = False) -> None:
        self._late, self._think, self._mute = late_s, think_s, mute

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._speak_until = 0.0 if self._mute else asyncio.get_running_loop().time() + 1.0
        talking = asyncio.create_task(self._talk(socket))
        try:
            await self._listen(socket)
        finally:
            talking.cancel()
        return socket

    async def _listen(self, socket: web.WebSocketResponse) -> None:
        loop, loud, last = asyncio.get_running_loop(), 0, 0.0
        async for message in socket:
            if message.type is not WSMsgType.BINARY:
                continue
            samples = np.frombuffer(message.data[: len(message.data) // 2 * 2], "<i2").astype(float)
            now = loop.time()
            if samples.size and np.sqrt(np.mean(samples**2)) > 800:
                loud, last = loud + 1, now
                if loud == 4:
                    self._speak_until = min(self._speak_until, now + self._late)
            elif last and now - last > 0.4:
                loud, last = 0, 0.0
                if not self._mute:
                    loop.call_later(max(0.0, self._think - 0.4), self._reply)

    def _reply(self) -> None:
        self._speak_until = asyncio.get_running_loop().time() + 3.0

    async def _talk(self, socket: web.WebSocketResponse) -> None:
        loop = asyncio.get_running_loop()
        begin, number = loop.time(), 0
        while not socket.closed:
            if loop.time() < self._speak_until:
                await socket.send_bytes(VOICE)
            number += 1
            await asyncio.sleep(max(0.0, begin + number * 0.02 - loop.time()))


async def serve(aiohttp_server: AiohttpServer, bot: LoopbackBot) -> str:
    application = web.Application()
    application.router.add_get("/", bot.serve)
    server = await aiohttp_server(application)
    return str(server.make_url("/").with_scheme("ws"))


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    with SwitchThread(tmp_path_factory.mktemp("evals") / "data") as running:
        yield running


@pytest.fixture(autouse=True)
def _tones_for_words(monkeypatch):
    async def speech_of(url, token, text, voice):
        return sound.tone(700, 0.8, level=0.3).tobytes()

    monkeypatch.setattr(caller, "speech_of", speech_of)


def scenario(url: str) -> Scenario:
    # Wide enough for a loaded machine, and far from what the slow bot does.
    limits = Limits(greeting_ms=3000, response_ms=5000, barge_in_ms=1000)
    turns = (Turn("good day"), Turn("stop that", interrupt_after_ms=500))
    return Scenario(bot=Bot(url=url), turn=turns, limits=limits, noise_db=-60, patience_s=6)


async def test_a_good_bot_passes(switch, aiohttp_server):
    url = await serve(aiohttp_server, LoopbackBot())
    report = await evaluate(scenario(url), switch.socket_url("/call"))
    assert report.passed, report
    assert report.greeting_ms is not None
    assert report.greeting_ms < 1500
    # It waits for 400 ms of silence before it replies.
    assert 300 < (report.response_ms_p50 or 0) < 1500
    assert [turn.barge_in_ms is None for turn in report.turns] == [True, False]


async def test_a_bot_that_barges_in_late_is_found(switch, aiohttp_server):
    url = await serve(aiohttp_server, LoopbackBot(late_s=1.5, think_s=2.2))
    report = await evaluate(scenario(url), switch.socket_url("/call"))
    assert not report.passed
    assert 1300 < (report.barge_in_ms_max or 0) < 3000
    (fault,) = report.faults
    assert fault.startswith("barge_in_ms is")


async def test_a_silent_bot_is_found(switch, aiohttp_server):
    url = await serve(aiohttp_server, LoopbackBot(mute=True))
    wanted = Scenario(bot=Bot(url=url), turn=(Turn("good day"),), patience_s=0.5)
    report = await evaluate(wanted, switch.socket_url("/call"))
    assert report.faults == ["no reply to 'good day'", "the bot did not greet"]
