"""Tracks of live sources behind a stall, as a stream of a service has them."""

import numpy as np
import pytest

from softswitch.audio import stretch
from softswitch.audio.pcm import FRAME, to_bytes
from softswitch.media import messages as m
from tests.media.feeds.test_catching_up import voice
from tests.media.rig import Rig

PREBUFFER_MS = 60


class Service:
    """Speaks in real time into a track."""

    def __init__(self, rig: Rig, *, live: bool = True, mix: int = 1, loudness: float = 1.0) -> None:
        self.rig = rig
        self.track = rig.track(mix=mix, prebuffer_ms=PREBUFFER_MS, live=live, capacity_ms=120_000)
        self.pcm = voice(20) * np.float32(loudness)
        self.spoken = self.sent = 0

    @property
    def delay_ms(self) -> float:
        waiting: int = self.rig.engine._parts.playback._tracks[self.track]._fifo.waiting
        return waiting / 24

    def speak(self, *, stalled: bool = False) -> None:
        self.spoken += FRAME
        if not stalled:
            self.rig.post(m.FeedTrack(self.track, 24000, to_bytes(self.pcm[self.sent : self.spoken])))
            self.sent = self.spoken


@pytest.fixture
def rig() -> Rig:
    return Rig()


def run(rig: Rig, services: list[Service], seconds: float, *, stalled: bool = False) -> None:
    for _ in range(round(seconds * 50)):
        for service in services:
            service.speak(stalled=stalled)
        rig.tick()


def thrown(rig: Rig) -> int:
    return sum(rig.engine.counters[f"late_{how}_ms"] for how in ("cut", "compressed", "dropped"))


@pytest.mark.parametrize("stall_s", [0.4, 1.0, 4.0])
@pytest.mark.parametrize("loudness", [1.0, 0.001])
def test_live_service_is_back_in_time_within_two_seconds(rig, stall_s, loudness):
    service = Service(rig, loudness=loudness)
    run(rig, [service], 2.0)
    run(rig, [service], stall_s, stalled=True)
    run(rig, [service], 2.0)
    assert service.delay_ms <= PREBUFFER_MS + 40
    assert thrown(rig) == pytest.approx(1000 * stall_s - PREBUFFER_MS, abs=80)
    assert rig.engine.counters["step_errors"] == 0
    if loudness == 1.0 and stall_s < 1:
        assert rig.engine.counters["late_compressed_ms"] > 200


def test_service_that_is_not_live_may_be_ahead(rig):
    service = Service(rig, live=False)
    run(rig, [service], 1.0)
    service.spoken += 24000
    run(rig, [service], 4.0)
    assert service.delay_ms >= 900
    assert thrown(rig) == 0


def test_marks_of_a_late_service_all_come_back_as_reached(rig):
    service = Service(rig)
    run(rig, [service], 1.0)
    run(rig, [service], 1.0, stalled=True)
    for number in range(100):
        rig.post(m.PlaceMark(service.track, str(number)))
        run(rig, [service], 0.02)
    rig.tick(20)
    marks = rig.reported(m.MarkReached)
    assert [mark.name for mark in marks] == [str(number) for number in range(100)]
    assert not any(mark.cleared for mark in marks)


def test_late_track_that_is_paused_and_interrupted_ends(rig):
    service = Service(rig)
    run(rig, [service], 1.0)
    run(rig, [service], 1.0, stalled=True)
    run(rig, [service], 0.7)
    rig.post(m.SetTrack(service.track, paused=True))
    rig.tick(3)
    rig.post(m.SetTrack(service.track, paused=False))
    rig.tick(2)
    rig.post(m.DropTrack(service.track, fade_ms=200))
    rig.tick(15)
    [dropped] = rig.reported(m.TrackDropped)
    assert dropped.track == service.track


def test_work_of_a_tick_is_bounded_and_every_track_gets_a_turn(rig, monkeypatch):
    calls: list[int] = []

    def accelerate(pcm):
        calls.append(rig.engine._ticks)
        return stretch.accelerate(pcm)

    monkeypatch.setattr("softswitch.media.tracks.live_tracks.accelerate", accelerate)
    services = [Service(rig, mix=number) for number in range(1, 13)]
    run(rig, services, 2.0)
    run(rig, services, 0.4, stalled=True)
    run(rig, services, 2.2)
    assert max(calls.count(tick) for tick in calls) <= 4
    assert all(service.delay_ms <= PREBUFFER_MS + 40 for service in services)
