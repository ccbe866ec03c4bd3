"""Tracks of streams whose audio the tick reads against those that are fed: the same sound and reports."""

import base64
import json
import random
import socket

import numpy as np
import pytest

from softswitch.audio.pcm import FRAME, from_bytes, to_bytes
from softswitch.legs.websocket.frames import TEXT, header
from softswitch.media import messages as m
from softswitch.media.engine.engine import Engine
from softswitch.media.feeds.stream_queue import StreamQueue
from softswitch.media.tracks.convert import Converters
from softswitch.media.tracks.pcm_fifo import PcmFifo
from softswitch.media.tracks.queue_fifo import QueueFifo
from tests.media.rig import ramp
from tests.support.compiled import compiled_code

TICK_S = 0.02
STREAM = "s"


@pytest.fixture(autouse=True)
def code():
    compiled_code()


@pytest.mark.parametrize("seed", range(10))
def test_fifo_does_what_that_of_other_tracks_does(seed):
    rng, noise = random.Random(seed), np.random.default_rng(seed)
    plain, fast = PcmFifo(Converters()), QueueFifo(StreamQueue(1, STREAM, 1000))
    for _ in range(600):
        match rng.randrange(8):
            case 0 | 1 | 2:
                data = to_bytes((noise.standard_normal(rng.randrange(900)) * 5000).astype(np.float32))
                data += bytes(rng.randrange(2))
                room = rng.choice((24_000, 500, 0)) - plain.waiting
                assert plain.feed(data, 24000, room) == fast.feed(data, 24000, room)
            case 3 if rng.random() < 0.2:
                samples = rng.randrange(500)
                plain.fade_out(samples)
                fast.fade_out(samples)
            case _:
                samples = rng.choice((FRAME, FRAME, 7, 1000))
                np.testing.assert_array_equal(plain.take(samples), fast.take(samples))
        assert (plain.taken, plain.end, plain.waiting) == (fast.taken, fast.end, fast.waiting)
    # Nothing is fed to a track that ends at a position.
    position = plain.taken + rng.randrange(-50, 700)
    plain.end_at(position)
    fast.end_at(position)
    assert (plain.end, plain.waiting) == (fast.end, fast.waiting)
    np.testing.assert_array_equal(plain.take(2000), fast.take(2000))


def test_other_rates_are_refused():
    with pytest.raises(ValueError, match="24000"):
        QueueFifo(StreamQueue(1, STREAM, 1000)).feed(bytes(4), 8000, 100)


class Side:
    """An engine with two calls, and a track of a stream in the first."""

    def __init__(self, *, reads: bool, prebuffer_ms: int, live: bool, by_message: bool = False) -> None:
        self.by_message = by_message
        self.engine = Engine()
        for port in (1, 2):
            self.post(m.AddFeedPort(port, port, "pcm", 24000, prebuffer_ms=0))
        self.near, self.service = socket.socketpair()
        self.near.setblocking(False)
        self.queue = self.engine.open_stream(9, STREAM, 2000) if reads else None
        if self.queue is not None:
            self.queue.connect(self.near.fileno(), 1 << 23, listens=True)
        self.post(m.AddTrack(9, 1, capacity_ms=2000, prebuffer_ms=prebuffer_ms, live=live))
        if self.queue is not None:
            self.queue.read(on=True)
        self.seated = 0

    def post(self, message: m.Message) -> None:
        self.engine.post(message)

    def say(self, pcm: bytes) -> None:
        if self.queue is None or self.by_message:
            self.post(m.FeedTrack(9, 24000, pcm))
            return
        text = json.dumps({"event": "media", "media": {"payload": base64.b64encode(pcm).decode()}}).encode()
        self.service.sendall(header(TEXT, len(text)) + text)

    def tick(self, now: float) -> m.Output:
        self.engine.read_sockets(now)
        if self.queue is not None and not self.queue.reads and not self.queue.ended:
            # As the event loop does with what the tick leaves.
            strays, at = self.queue.take_strays(), 0
            while at < len(strays):
                size = int.from_bytes(strays[at + 2 : at + 4]) if strays[at + 1] == 126 else strays[at + 1]
                at += 4 if strays[at + 1] == 126 else 2
                text = json.loads(strays[at : at + size])
                at += size
                self.post(m.FeedTrack(9, 24000, base64.b64decode(text["media"]["payload"])))
            self.queue.read(on=True)
        output = self.engine.tick(now)
        steady = self.engine._parts.playback.steady
        self.seated += steady is not None and len(steady) > 0
        return output

    def close(self) -> None:
        if self.queue is not None:
            self.queue.disconnect()
        self.near.close()
        self.service.close()


@pytest.mark.parametrize("seed", range(16))
def test_track_sounds_and_reports_as_one_that_is_fed(seed):
    rng, noise = random.Random(seed), np.random.default_rng(seed)
    options = {"prebuffer_ms": rng.choice((0, 60, 60)), "live": seed % 8 == 7}
    # Where the socket cannot be shared (TLS), messages feed the queue.
    fast, slow = Side(reads=True, by_message=seed % 3 == 2, **options), Side(reads=False, **options)
    others, now, pace = 100, 1000.0, rng.choice((0.9, 1.0, 1.02))
    due, talks, reports = 0.0, True, 0
    for _ in range(1200):
        if rng.random() < 0.01:
            talks = not talks
        due += pace if talks else 0.0
        if rng.random() < 0.02:
            kind = rng.randrange(8)
            message: m.Message = m.PlaceMark(9, f"{rng.random()}")
            if kind == 0:
                message = m.ClearTrack(9)
            elif kind == 1:
                others += 1
                message = m.AddTrack(others, 1, duck_to=rng.choice((None, 0.2)))
            elif kind == 2 and others > 100:
                pcm = to_bytes((noise.standard_normal(20_000) * 3000).astype(np.float32))
                message = m.FeedTrack(others, 24000, pcm)
            elif kind == 3:
                message = m.SetTrack(9, paused=rng.random() < 0.3)
            elif kind == 4:
                message = m.SetTrack(9, gain=rng.choice((0.5, 1.0)), ramp_ms=60)
            fast.post(message)
            slow.post(message)
        else:
            while due >= 1.0:
                due -= 1.0
                samples = rng.choice((FRAME, FRAME, FRAME, FRAME, 5 * FRAME, 100))
                pcm = to_bytes((noise.standard_normal(samples) * 5000).astype(np.float32))
                fast.say(pcm)
                slow.say(pcm)
        one, other = fast.tick(now), slow.tick(now)
        assert one.reports == other.reports
        reports += len(one.reports)
        assert [port for port, _ in one.frames] == [port for port, _ in other.frames]
        for (_, sound), (_, expected) in zip(one.frames, other.frames, strict=True):
            assert np.abs(from_bytes(sound) - from_bytes(expected)).max() <= 1.0
        now += TICK_S
    assert reports > 10
    assert fast.seated > 20 or options["live"]
    for side in (fast, slow):
        side.post(m.DropTrack(9))
    one, other = fast.tick(now), slow.tick(now)
    assert one.reports == other.reports
    assert fast.engine.counters == slow.engine.counters
    fast.close()
    slow.close()


def test_audio_behind_a_clear_is_kept():
    side = Side(reads=True, prebuffer_ms=0, live=False)
    assert side.queue is not None
    side.say(to_bytes(ramp(4800)))
    side.tick(1000.0)
    # The loop got a clear: it posts that, and lets the tick read on behind it.
    side.queue.read(on=False)
    side.post(m.ClearTrack(9))
    side.queue.read(on=True)
    side.say(to_bytes(np.full(FRAME, 5000, np.float32)))
    side.tick(1000.02)
    side.tick(1000.04)
    last = dict(side.tick(1000.06).frames) or dict(side.tick(1000.08).frames)
    assert side.queue.fed == 4800 + FRAME
    assert not last or np.abs(from_bytes(last[1])).max() <= 5000
    side.close()
