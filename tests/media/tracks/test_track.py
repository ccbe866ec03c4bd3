"""Tracks that are paused, resumed, interrupted, cleared and ended in any order, within a tick and across."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.audio.pcm import FRAME, to_bytes
from softswitch.media import messages as m
from tests.media.rig import Rig, steady

LEVEL = 8000.0
LONGEST_MS = 3000
"""Beyond all that a test feeds, and beyond the longest fade."""

WORDS = [
    "pause", "resume", "interrupt", "interrupt 0", "interrupt 2000", "interrupt 9999", "finish sentence",
    "clear", "end", "feed", "feed sentence", "mark", "louder", "tick", "tick", "tick 3", "deaf", "hears",
]  # fmt: skip


@dataclass
class Scenario:
    """One track in the hands of a client that does anything at any time."""

    prebuffer_ms: int = 0
    rig: Rig = field(default_factory=Rig)
    marks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open a track that a telephone hears."""
        self.phone = self.rig.rtp_port()
        self.track = self.rig.track(prebuffer_ms=self.prebuffer_ms)
        self.feed(1000)

    def feed(self, ms: int, sentence: bool = False) -> None:
        pcm = to_bytes(steady(LEVEL, ms * 24))
        self.rig.post(m.FeedTrack(self.track, 24000, pcm, boundary=sentence))

    def do(self, word: str) -> None:
        track, post = self.track, self.rig.post
        match word.split():
            case ["pause"]:
                post(m.SetTrack(track, paused=True))
            case ["resume"]:
                post(m.SetTrack(track, paused=False))
            case ["louder"]:
                post(m.SetTrack(track, gain=1.5, ramp_ms=100))
            case ["interrupt", *fade]:
                post(m.DropTrack(track, fade_ms=int(fade[0]) if fade else 10))
            case ["finish", _]:
                post(m.DropTrack(track, at_boundary=True))
            case ["clear"]:
                post(m.ClearTrack(track))
            case ["end"]:
                post(m.EndTrack(track))
            case ["feed", *sentence]:
                self.feed(70, bool(sentence))
            case ["mark"]:
                self.marks.append(f"mark {len(self.marks)}")
                post(m.PlaceMark(track, self.marks[-1]))
            case ["tick", *ticks]:
                self.rig.tick(int(ticks[0]) if ticks else 1)
            case ["deaf"]:
                # The only listener has gone, and the next one is not connected yet.
                post(m.RemovePort(self.phone))
                self.phone = self.rig.rtp_port(connected=False)
            case ["hears"]:
                post(m.ConnectPlain(self.phone, -1, "127.0.0.1", 9))

    def ends(self) -> list[m.TrackEnded | m.TrackDropped]:
        ends: list[m.TrackEnded | m.TrackDropped] = []
        ends += self.rig.reported(m.TrackEnded)
        ends += self.rig.reported(m.TrackDropped)
        return [end for end in ends if end.track == self.track]

    def assert_over(self) -> None:
        """Assert that the track has ended once, with all its marks, silently, and that another one sounds."""
        rig = self.rig
        for _ in range(LONGEST_MS // 20):
            if self.ends():
                break
            rig.tick()
        rig.tick(3)
        assert len(self.ends()) == 1
        assert Counter(mark.name for mark in rig.reported(m.MarkReached)) == Counter(self.marks)
        assert not len(rig.engine._parts.playback)
        assert rig.engine.counters["step_errors"] == 0
        monitor = rig.feed_port(speaks=False)
        rig.tick()
        rig.forget()
        rig.tick(2)
        assert not rig.heard(monitor).any()
        following = rig.track(pcm=steady(LEVEL, FRAME), end=True)
        rig.forget()
        rig.tick(2)
        assert (rig.heard(monitor)[:FRAME] == LEVEL).all()
        assert [end.track for end in rig.reported(m.TrackEnded)][-1] == following


@settings(deadline=None, max_examples=300, derandomize=True)
@given(
    words=st.lists(st.sampled_from(WORDS), max_size=14),
    last=st.sampled_from(["interrupt", "interrupt 0", "interrupt 2000"]),
    prebuffer_ms=st.sampled_from([0, 60]),
)
def test_interrupted_track_ends_once_and_the_next_one_sounds(words, last, prebuffer_ms):
    scenario = Scenario(prebuffer_ms)
    for word in (*words, last):
        scenario.do(word)
    scenario.assert_over()


@settings(deadline=None, max_examples=200, derandomize=True)
@given(words=st.lists(st.sampled_from(WORDS), max_size=14), last=st.permutations(["resume", "end", "hears"]))
def test_ended_track_that_is_let_go_on_ends_once(words, last):
    scenario = Scenario()
    for word in (*words, *last):
        scenario.do(word)
    scenario.assert_over()


@pytest.mark.parametrize("ticks", [0, 1, 2])
def test_every_order_of_five_orders_in_a_row_ends_once(ticks):
    orders = ["pause", "resume", "interrupt 2000", "finish sentence", "clear"]
    for order in permutations(orders):
        scenario = Scenario()
        scenario.rig.tick(ticks)
        for word in order:
            scenario.do(word)
        scenario.do("tick")
        if order[-1] == "pause" and not scenario.ends():
            scenario.do("resume")
        scenario.assert_over()


@pytest.mark.parametrize("fade_ms", [0, 5, 10, 20, 2000])
@pytest.mark.parametrize("between", [0, 1])
def test_interrupt_of_a_paused_track_ends_it_within_a_tick(fade_ms, between):
    scenario = Scenario()
    scenario.rig.tick(3)
    scenario.do("pause")
    scenario.rig.tick(between)
    scenario.do(f"interrupt {fade_ms}")
    scenario.rig.tick()
    assert len(scenario.ends()) == 1
    heard = scenario.rig.heard(scenario.phone)
    assert np.abs(np.diff(heard[: 3 * FRAME + FRAME])).max() < (LEVEL + 1 if fade_ms < 5 else 500)


def test_pause_of_a_fading_track_makes_the_fade_short():
    scenario = Scenario()
    scenario.rig.tick(3)
    scenario.do("interrupt 2000")
    scenario.rig.tick(2)
    scenario.do("pause")
    scenario.rig.tick()
    [end] = scenario.ends()
    assert isinstance(end, m.TrackDropped)
    assert end.played_ms == 110


def test_pause_holds_a_track_that_finishes_its_sentence():
    scenario = Scenario()
    scenario.feed(20, sentence=True)
    scenario.rig.tick(3)
    scenario.do("finish sentence")
    scenario.do("pause")
    scenario.rig.tick(100)
    assert scenario.ends() == []
    scenario.do("resume")
    scenario.rig.tick(60)
    [end] = scenario.ends()
    assert isinstance(end, m.TrackDropped)
    assert end.played_ms == 1020


def test_interrupt_cuts_short_what_finishes_its_sentence_even_paused():
    for pause in ([], ["pause"], ["pause", "tick 3"]):
        scenario = Scenario()
        scenario.rig.tick(3)
        for word in ("finish sentence", *pause, "interrupt", "tick"):
            scenario.do(word)
        assert len(scenario.ends()) == 1


def test_interrupt_ends_a_track_at_once_where_its_listener_has_gone():
    for word in ("interrupt", "interrupt 2000", "finish sentence"):
        scenario = Scenario()
        scenario.rig.tick(3)
        scenario.do("deaf")
        scenario.do(word)
        scenario.rig.tick()
        assert len(scenario.ends()) == 1


def test_nothing_sounds_while_paused_and_no_sample_is_lost():
    scenario = Scenario()
    for word in ("tick", "pause", "resume", "pause", "tick"):
        scenario.do(word)
    scenario.rig.forget()
    scenario.do("tick 3")
    assert not scenario.rig.heard(scenario.phone).any()
    scenario.do("resume")
    scenario.do("end")
    scenario.rig.tick(60)
    [end] = scenario.ends()
    assert isinstance(end, m.TrackEnded)
    assert end.played_ms == 1000
