"""The media of two SIP legs, joined over loopback, with one real engine behind both."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, TypeVar

import numpy as np
import pytest

from softswitch.legs.sip.media.negotiation import SipMedia
from softswitch.legs.sip.media.shared import MediaOptions, SipMediaShared
from softswitch.media.engine.engine import Engine
from softswitch.media.messages import (
    AddTap,
    AddTrack,
    DigitReceived,
    FeedTrack,
    Message,
    Output,
    PortClosed,
    Report,
    SetInbandDtmf,
)
from softswitch.settings import Ice, Rtp
from tests.support.waiting import until

Kind = TypeVar("Kind")
RATE = 16000


class Owner:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.held: list[bool] = []
        self.failed: list[tuple[str, str, int]] = []
        self.ended: list[str] = []
        self.warned: list[tuple[str, str, int]] = []

    def media_held(self, on_hold: bool) -> None:
        self.held.append(on_hold)

    def media_failed(self, sender: str, error: str, code: int) -> None:
        self.failed.append((sender, error, code))

    def media_ended(self, reason: str) -> None:
        self.ended.append(reason)

    def media_warned(self, sender: str, error: str, code: int) -> None:
        self.warned.append((sender, error, code))


class RecordingEngine(Engine):
    """The real engine; remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []

    def post(self, message: Message) -> None:
        self.messages.append(message)
        super().post(message)

    def of(self, kind: type[Kind], port: int) -> list[Kind]:
        return [item for item in self.messages if isinstance(item, kind) and getattr(item, "port", 0) == port]


def shared_of(
    engine: Any, *, ports: tuple[int, int] = (42000, 44999), host: str = "127.0.0.1", **options: Any
) -> SipMediaShared:
    rtp = Rtp(host=host, port_min=ports[0], port_max=ports[1])
    return SipMediaShared(engine, rtp, Ice(host_addresses=("127.0.0.1",)), random=Random(5), **options)


class Side:
    """One of the two: its media, what it hears, and the tone it is sent."""

    def __init__(self, pair: "Pair", number: int, options: MediaOptions) -> None:
        self.number, self.port, self.mix, self.tap = number, number, 100 * number, 10 + number
        self.owner = Owner()
        self.media = SipMedia(pair.shared, self.port, self.mix, options, self.owner)
        self.heard = bytearray()
        self._engine = pair.engine

    def listen(self) -> None:
        self._engine.post(AddTap(self.tap, self.port, sample_rate=RATE))

    def say(self, hz: int, seconds: float = 20.0) -> None:
        """Have the peer of this side hear a tone."""
        track = 1000 + self.number
        self._engine.post(AddTrack(track, self.mix))
        time = np.arange(int(seconds * 24000)) / 24000
        tone = (8000 * np.sin(2 * np.pi * hz * time)).astype(np.int16)
        self._engine.post(FeedTrack(track, 24000, tone.tobytes()))

    def pitch(self, seconds: float = 0.5) -> float:
        """Return the frequency of what was heard last; 0 where that was silence."""
        pcm = np.frombuffer(bytes(self.heard[-int(2 * RATE * seconds) :]), np.int16).astype(np.float64)
        if len(pcm) < RATE * seconds or np.abs(pcm).max() < 1000:
            return 0.0
        spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
        return float(np.argmax(spectrum) * RATE / len(pcm))

    async def hears(self, hz: float, limit_s: float = 15.0) -> None:
        await until(lambda: abs(self.pitch() - hz) < 8, "another tone is heard", limit_s)
        assert self.pitch() == pytest.approx(hz, abs=8)


class Pair:
    """Both sides and the engine."""

    def __init__(self, first: MediaOptions, second: MediaOptions, **options: Any) -> None:
        self.engine = RecordingEngine()
        self.shared = shared_of(self.engine, **options)
        self.a, self.b = Side(self, 1, first), Side(self, 2, second)
        self.reports: list[Report] = []
        self.sides = {side.tap: side for side in (self.a, self.b)}

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.engine.start(lambda output: _hand(loop, self._take, output))

    def _take(self, output: Output) -> None:
        self.reports += output.reports
        for port, datagram in output.datagrams:
            self.shared.send(port, datagram)
        for tap, pcm in output.frames:
            if side := self.sides.get(tap):
                side.heard += pcm

    async def connect(self) -> tuple[str, str]:
        """Let a call b; return offer and answer."""
        offer = await self.a.media.offer()
        answer = await self.b.media.answer(offer)
        await self.a.media.take_answer(answer)
        self.a.listen()
        self.b.listen()
        return offer, answer

    def another(self, options: MediaOptions) -> Side:
        """Return a third side, to be closed by who asked for it."""
        side = Side(self, 3, options)
        self.sides[side.tap] = side
        return side

    async def talk(self) -> None:
        """See that sound goes both ways."""
        self.a.say(440)
        self.b.say(700)
        await self.a.hears(700)
        await self.b.hears(440)
        assert (self.a.owner.failed, self.b.owner.failed) == ([], [])

    def detect_tones(self, port: int) -> None:
        self.engine.post(SetInbandDtmf(port, on=True))

    async def digits(self, digits: str, port: int, method: str = "rfc4733") -> None:
        """See that digits arrive at a port."""

        def heard() -> str:
            found = [item for item in self.reports if isinstance(item, DigitReceived) and item.port == port]
            return "".join(item.digit for item in found if item.method == method)

        await until(lambda: heard() == digits)
        assert heard() == digits

    async def reports_come(self) -> None:
        """Wait until RTCP of both has met: a report of one on what the other has reported."""
        parts: Any = self.engine._parts

        def round_trip(port: int) -> float:
            return float(parts.plane.statistics(parts.registry.get(port).slot)["round_trip_ms"])

        await until(lambda: max(round_trip(1), round_trip(2)) > 0)
        assert max(round_trip(1), round_trip(2)) > 0

    async def statistics(self) -> dict[int, dict[str, float]]:
        """Close both, and return what the engine counted, by port."""
        self.a.media.close()
        self.b.media.close()
        await until(lambda: sum(isinstance(item, PortClosed) for item in self.reports) == 2)
        return {item.port: item.statistics for item in self.reports if isinstance(item, PortClosed)}


def _hand(loop: asyncio.AbstractEventLoop, take: Callable[[Output], None], output: Output) -> None:
    loop.call_soon_threadsafe(take, output)


@asynccontextmanager
async def pair(
    first: MediaOptions | None = None, second: MediaOptions | None = None, **options: Any
) -> AsyncIterator[Pair]:
    both = Pair(first or MediaOptions(), second or first or MediaOptions(), **options)
    both.start()
    try:
        yield both
    finally:
        both.a.media.close()
        both.b.media.close()
        await both.a.media.closed()
        await both.b.media.closed()
        both.engine.stop()
