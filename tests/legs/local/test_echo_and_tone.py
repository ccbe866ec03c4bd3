"""Echo and tone: parties within the switch, heard through the real engine."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from softswitch.call.interfaces import LegRequest
from softswitch.call.vocabulary.reports import LegAnswered, Report
from softswitch.legs.local.echo_and_tone import local_dialers
from softswitch.legs.websocket.leg import WebSocketEndpoint
from softswitch.media import messages as m
from softswitch.media.engine.engine import Engine
from softswitch.switch.routes import Routes


def request(leg: str, port: int, **more: object) -> LegRequest:
    return LegRequest(call="c", leg=leg, port=port, mix=9, **more)  # type: ignore[arg-type]


class Stage:
    """A caller on a WebSocket leg and a local party, in one mix."""

    def __init__(self, callee: str) -> None:
        self.engine, self.routes = Engine(), Routes()
        self.reports: list[Report] = []
        self.heard = bytearray()
        self.caller = WebSocketEndpoint(
            request("party", 1), self.reports.append, self.engine, self.routes.frames, self.heard.extend
        )
        self.callee = local_dialers(self.engine, self.routes.frames)[callee](
            request("second", 2), self.reports.append
        )
        self.caller.answer()
        self.callee.answer()

    def tick(self, count: int, say: np.ndarray | None = None) -> np.ndarray:
        """Let time pass; return what the caller heard."""
        self.heard.clear()
        for number in range(count):
            if say is not None:
                self.caller.feed(say[number * 320 : (number + 1) * 320].astype("<i2").tobytes())
            self.routes.deliver(self.engine.tick(100.0 + number * 0.02))
        return np.frombuffer(bytes(self.heard), "<i2").astype(np.float64)


def loudest(pcm: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(pcm.size)))
    return float(np.argmax(spectrum) * 16000 / pcm.size)


async def test_echo_says_back_what_it_hears() -> None:
    stage = Stage("echo")
    t = np.arange(16000) / 16000
    heard = stage.tick(50, 8000 * np.sin(2 * np.pi * 700 * t))
    assert abs(loudest(heard[-8000:]) - 700) < 5
    assert 4000 < np.sqrt(np.mean(heard[-8000:] ** 2)) < 7000


async def test_tone_hums_and_falls_silent_when_hung_up() -> None:
    stage = Stage("tone")
    assert abs(loudest(stage.tick(50)[-8000:]) - 440) < 5
    stage.callee.hangup()
    await asyncio.wait_for(stage.callee.closed(), 1)
    stage.tick(5)
    assert not np.any(np.abs(stage.tick(20)) > 50)


class LateLoop:
    """The clock of a loop whose callbacks come late."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, work: Callable[[], None]) -> None:
        self.due.append((when, work))

    def call_later(self, delay: float, work: Callable[[], None]) -> None:
        self.call_at(self.now + delay, work)

    def run(self, late_s: float) -> None:
        """Run what has been due for that long."""
        due = [work for when, work in self.due if when + late_s <= self.now]
        self.due = [(when, work) for when, work in self.due if when + late_s > self.now]
        for work in due:
            work()


@pytest.mark.parametrize("late_s", [0.03, 0.7])
def test_tone_has_no_gap_where_the_loop_is_always_late(
    late_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = LateLoop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    stage = Stage("tone")
    heard = []
    for _ in range(40 * 50):
        loop.now += 0.02
        loop.run(late_s)
        heard.append(stage.tick(1))
    assert not [number for number, piece in enumerate(heard) if number > 5 and not piece.any()]


@pytest.mark.parametrize("callee", ["echo", "tone"])
async def test_local_party_answers_and_takes_every_verb(callee: str) -> None:
    stage = Stage(callee)
    assert [report.leg for report in stage.reports if isinstance(report, LegAnswered)] == ["party", "second"]
    stage.callee.ring()
    stage.callee.offer("")
    stage.callee.candidates(())
    stage.callee.dtmf("1")
    stage.callee.hangup()
    stage.callee.hangup()
    assert [type(message) for message in _posted(stage.engine)].count(m.RemovePort) == 1


def _posted(engine: Engine) -> list[m.Message]:
    return list(engine._inbox)
