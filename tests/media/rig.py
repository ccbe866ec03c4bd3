"""An engine in the hands of a test: time passes when the test says so."""

from itertools import count
from typing import Any, TypeVar

import numpy as np

from softswitch.audio.pcm import FRAME, from_bytes, to_bytes
from softswitch.media import messages as m
from softswitch.media.engine.engine import Engine
from tests.media.fake_plane import PARAMETERS, FakePlane, packet, sound

TICK = 0.02

AnyReport = TypeVar("AnyReport", bound=m.Report)


class Rig:
    """Drives an engine and keeps what comes out of it."""

    def __init__(self, **options) -> None:
        self.plane = FakePlane()
        self.engine = Engine(plane=self.plane, **options)
        self.now = 1000.0
        self.reports: list = []
        self.frames: dict = {}
        self.datagrams: dict = {}
        self.strays: list[tuple[int, bytes, tuple[str, int]]] = []
        self._ids = count(1)

    def new_id(self) -> int:
        return next(self._ids)

    def post(self, *messages) -> None:
        for message in messages:
            self.engine.post(message)

    def tick(self, ticks: int = 1) -> list[Any]:
        """Let 20 ms pass, or several times that; return the reports of that time."""
        fresh = []
        for _ in range(ticks):
            output = self.engine.tick(self.now)
            self.now += TICK
            fresh += output.reports
            for port, data in output.frames:
                self.frames.setdefault(port, []).append(data)
            for port, datagram in output.datagrams:
                self.datagrams.setdefault(port, []).append(datagram)
            self.strays += output.strays
        self.reports += fresh
        return fresh

    def reported(self, kind: type[AnyReport]) -> list[AnyReport]:
        return [report for report in self.reports if isinstance(report, kind)]

    def feed_port(self, mix: int = 1, **options: Any) -> int:
        """Open a feed port at the bus's own rate, primed at once."""
        port = self.new_id()
        self.post(m.AddFeedPort(port, mix, **{"sample_rate": 24000, "prebuffer_ms": 0} | options))
        return port

    def rtp_port(self, mix: int = 1, connected: bool = True) -> int:
        port = self.new_id()
        self.post(m.AddRtpPort(port, mix, PARAMETERS))
        if connected:
            self.post(m.ConnectPlain(port, -1, "127.0.0.1", 9))
        return port

    def track(self, mix: int = 1, pcm=None, end: bool = False, **options) -> int:
        track = self.new_id()
        self.post(m.AddTrack(track, mix, **options))
        if pcm is not None:
            self.post(m.FeedTrack(track, 24000, to_bytes(np.asarray(pcm, np.float32))))
        if end:
            self.post(m.EndTrack(track))
        return track

    def say(self, port: int, pcm) -> None:
        """Send `pcm` as the remote party of a feed port (any length) or of an RTP port (a frame)."""
        if port in self.engine._parts.ingress.inboxes:
            self.engine.deliver(port, packet(pcm))
        else:
            self.engine.feed(port, to_bytes(np.asarray(pcm, np.float32)))

    def heard(self, port: int):
        """Return the audio that the remote party of `port` (or a tap) received so far, at the bus rate."""
        if port in self.datagrams:
            return np.concatenate([sound(datagram) for datagram in self.datagrams[port]])
        return from_bytes(b"".join(self.frames.get(port, [])))

    def forget(self) -> None:
        """Forget what was sent so far."""
        self.frames.clear()
        self.datagrams.clear()


def steady(level: float, samples: int = FRAME):
    """Return a constant signal, whose every sample is known."""
    return np.full(samples, level, np.float32)


def ramp(samples: int, first: int = 1):
    """Return samples that count up, so that each tells its own position."""
    return (np.arange(samples) + first).astype(np.float32)


def sine(samples: int, hertz: float = 440.0, level: float = 8000.0, rate: int = 24000):
    return (level * np.sin(2 * np.pi * hertz * np.arange(samples) / rate)).astype(np.float32)
