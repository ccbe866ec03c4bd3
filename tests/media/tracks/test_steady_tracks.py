"""Tracks in compiled code against Python's: the same messages, the same sound, the same reports."""

import random

import numpy as np
import pytest

from softswitch.audio.pcm import FRAME, from_bytes, to_bytes
from softswitch.media import messages as m
from softswitch.media.engine.engine import Engine
from tests.media.rig import ramp
from tests.support.compiled import compiled_code

MIXES, TRACKS = 6, 24
TICK_S = 0.02


@pytest.fixture(autouse=True)
def code():
    compiled_code()


def engine(*, steady: bool) -> Engine:
    made = Engine()
    if not steady:
        made._parts.playback.steady = None
    for port in range(1, MIXES):
        made.post(m.AddFeedPort(port, port, "pcm", 24000, prebuffer_ms=0))
    # Two ports in one mix, and one of another call that came in.
    made.post(m.AddFeedPort(50, 1, "pcm", 24000, prebuffer_ms=0))
    made.post(m.AddFeedPort(51, MIXES, "pcm", 24000, prebuffer_ms=0))
    made.post(m.JoinMix(51, 2))
    return made


def seated(made: Engine) -> int:
    steady = made._parts.playback.steady
    return 0 if steady is None else len(steady)


class Script:
    """Messages by a seed: tracks that are opened, fed, marked, ducked, paused, cleared and dropped."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._noise = np.random.default_rng(seed)
        self._open: list[int] = []
        self._next = 1000

    def messages(self) -> list[m.Message]:
        found: list[m.Message] = []
        if len(self._open) < TRACKS and self._random.random() < 0.3:
            found += self._begin()
        for track in self._open:
            if self._random.random() < 0.03:
                found.append(self._change(track))
        return found

    def ended(self, track: int) -> None:
        if track in self._open:
            self._open.remove(track)

    def _begin(self) -> list[m.Message]:
        self._next += 1
        self._open.append(self._next)
        duck = self._random.choice((None, None, 0.2, 1.0))
        gain = self._random.choice((1.0, 1.0, 0.5, 2.0))
        mix = self._random.randint(1, MIXES + 1)
        live = self._random.random() < 0.1
        return [
            m.AddTrack(
                self._next, mix, gain, duck, low_ms=self._random.choice((0, 300, 2000)),
                prebuffer_ms=60 if live else 0, live=live,
            ),
            self._feed(self._next),
        ]  # fmt: skip

    def _feed(self, track: int) -> m.Message:
        rate = 24000 if track % 3 else self._random.choice((8000, 16000, 44100))
        pcm = self._noise.standard_normal(self._random.choice((10, 700, 20_000, 60_000))) * 6000
        return m.FeedTrack(track, rate, to_bytes(pcm.astype(np.float32)), self._random.random() < 0.5)

    def _change(self, track: int) -> m.Message:
        match self._random.randrange(12):
            case 0:
                return m.SetTrack(track, gain=self._random.choice((0.0, 0.7, 1.0)), ramp_ms=100)
            case 1 | 2:
                return m.SetTrack(track, paused=self._random.random() < 0.3)
            case 3 | 4 | 5:
                return m.PlaceMark(track, f"{self._random.randrange(1000)}")
            case 6:
                return m.DropTrack(track, 40, self._random.random() < 0.5)
            case 7:
                return m.ClearTrack(track)
            case 8:
                return m.EndTrack(track)
            case _:
                return self._feed(track)


@pytest.mark.parametrize("seed", range(6))
def test_steady_tracks_sound_and_report_as_all_tracks_do(seed):
    compiled, plain, script = engine(steady=True), engine(steady=False), Script(seed)
    now, most = 1000.0, 0
    for _ in range(1500):
        for message in script.messages():
            compiled.post(message)
            plain.post(message)
        fast, slow = compiled.tick(now), plain.tick(now)
        most = max(most, seated(compiled))
        assert fast.reports == slow.reports
        assert [port for port, _ in fast.frames] == [port for port, _ in slow.frames]
        for (_, one), (_, other) in zip(fast.frames, slow.frames, strict=True):
            # Two tracks are added with one rounding less.
            assert np.abs(from_bytes(one) - from_bytes(other)).max() <= 1.0
        for report in fast.reports:
            if isinstance(report, m.TrackEnded | m.TrackDropped):
                script.ended(report.track)
        now += TICK_S
    assert most >= 3
    assert compiled.counters == plain.counters
    assert not compiled.counters["step_errors"]


def test_steady_track_is_heard_to_the_sample():
    made, heard = Engine(), []
    made.post(m.AddFeedPort(1, 1, "pcm", 24000))
    made.post(m.AddTrack(2, 1))
    pcm = ramp(50 * FRAME + 7)
    made.post(m.FeedTrack(2, 24000, to_bytes(pcm)))
    made.post(m.EndTrack(2))
    seats = []
    for tick in range(52):
        heard += [from_bytes(frame) for _, frame in made.tick(1000.0 + tick * TICK_S).frames]
        seats.append(seated(made))
    assert sum(seats) > 35
    assert not seats[-1]
    np.testing.assert_array_equal(np.concatenate(heard)[: len(pcm)], pcm)


def test_seat_is_given_up_when_the_last_listener_of_a_mix_leaves_and_another_is_not_ready():
    made = Engine()
    made.post(m.AddFeedPort(1, 1, "pcm", 24000))
    made.post(m.AddTrack(2, 1))
    made.post(m.FeedTrack(2, 24000, bytes(48000)))
    for tick in range(10):
        made.tick(1000.0 + tick * TICK_S)
    assert seated(made) == 1
    rtp = m.RtpParameters((), m.PayloadFormat("PCMU", 0, 8000), ssrc=1, cname="a")
    made.post(m.AddRtpPort(3, 1, rtp))
    made.post(m.RemovePort(1))
    made.tick(1000.3)
    made.tick(1000.32)
    assert seated(made) == 0


def test_many_mixes_get_places_and_leave_them_to_others():
    made = Engine()
    for first in (0, 100):
        for mix in range(40):
            made.post(m.AddTrack(1000 + first + mix, first + mix))
            made.post(m.FeedTrack(1000 + first + mix, 24000, bytes(480 * 2 * 20)))
            made.post(m.EndTrack(1000 + first + mix))
        for tick in range(4):
            made.tick(1000.0 + tick * TICK_S)
        assert seated(made) == 40
        for tick in range(4, 30):
            made.tick(1000.0 + tick * TICK_S)
        assert seated(made) == 0
    steady = made._parts.playback.steady
    assert steady is not None
    assert len(steady._mix_of) == 64
