import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.rtp.packet import UNITS_PER_MS
from softswitch.rtp.statistics import Sources


class Listening:
    """One slot, and what it admits."""

    def __init__(self):
        self.sources = Sources(3)
        self.now = 0

    def take(self, ssrc, *sequences, step_ms=20):
        """Return the extended number of each packet, None for one that is refused."""
        found = []
        for sequence in sequences:
            self.now += step_ms * UNITS_PER_MS
            extended, admitted = self.sources.admit(
                np.array([1]), np.array([ssrc]), np.array([sequence & 0xFFFF]), self.now
            )
            good = admitted is None or bool(admitted[0])
            found.append(int(extended[0]) if good else None)
        return found


@pytest.fixture
def listening():
    return Listening()


def test_sequence_wraps_into_extended_numbers(listening):
    assert listening.take(1, *range(65400, 65600)) == list(range(65400, 65600))
    report = listening.sources.report(1)
    assert report is not None
    assert (report.lost, report.fraction_lost, report.highest) == (0, 0, 65599)


def test_losses_reorder_and_duplicates_are_counted(listening):
    listening.take(1, 10, 11, 13, 12, 14, 14, 18)
    report = listening.sources.report(1)
    assert report is not None
    assert report.lost == 9 - 7
    assert report.fraction_lost == 2 * 256 // 9
    assert listening.sources.lost(1) == 2


def test_fraction_is_of_the_interval_alone(listening):
    listening.take(1, 1, 2, 5)
    assert listening.sources.report(1).fraction_lost == 2 * 256 // 5
    listening.take(1, 6, 7, 8)
    assert listening.sources.report(1).fraction_lost == 0
    assert listening.sources.report(1).lost == 2


def test_sender_that_begins_anew_is_followed_after_two_packets(listening):
    assert listening.take(1, 1, 2, 3) == [1, 2, 3]
    assert listening.take(1, 5000, 5001, 5002) == [None, 5, 6]
    assert listening.sources.report(1).highest == 5002


def test_single_wild_number_is_refused(listening):
    assert listening.take(1, 1, 2, 40000, 3, 4) == [1, 2, None, 3, 4]


def test_new_source_takes_over_after_three_packets(listening):
    assert listening.take(1, 10, 11) == [10, 11]
    assert listening.take(2, 50000, 50001, 50002, 50003) == [None, None, 14, 15]
    assert listening.sources.ssrc(1) == 2
    assert listening.sources.report(1).highest == 50003


def test_new_source_must_come_in_sequence(listening):
    listening.take(1, 10)
    assert listening.take(2, 1, 3, 5, 7, 9) == [None] * 5


def test_interleaved_source_is_never_heard(listening):
    for number in range(100):
        assert listening.take(1, number, step_ms=10) == [number]
        assert listening.take(2, number, step_ms=10) == [None]


def test_burst_of_another_source_between_two_packets_is_refused(listening):
    listening.take(1, 1)
    assert listening.take(2, 1, 2, 3, 4, 5, step_ms=0) == [None] * 5
    assert listening.take(1, 2) == [2]


def test_flood_of_sources_keeps_one(listening):
    listening.take(1, 1)
    rng = np.random.default_rng(5)
    sources = rng.integers(2, 2**32, 5000).tolist()
    assert all(listening.take(ssrc, 7) == [None] for ssrc in sources)
    assert listening.sources.ssrc(1) == 1
    assert listening.take(1, 2, 3) == [2, 3]


def test_packets_and_losses_of_all_sources_are_summed(listening):
    listening.take(1, 1, 3)
    listening.take(2, 10, 11, 12, 14)
    assert listening.sources.packets(1) == 4
    assert listening.sources.lost(1) == 2


def test_slots_do_not_know_each_other():
    sources = Sources(2)
    slots = np.array([0, 1])
    extended, admitted = sources.admit(slots, np.array([5, 6]), np.array([1, 60000]), 0)
    assert admitted is not None
    assert admitted.all()
    extended, admitted = sources.admit(slots, np.array([5, 5]), np.array([2, 60001]), 960)
    assert admitted is not None
    assert admitted.tolist() == [True, False]
    assert extended[0] == 2


def test_reopened_slot_has_no_past(listening):
    listening.take(1, 1, 2, 9)
    listening.sources.open(1)
    assert listening.sources.report(1) is None
    assert (listening.sources.ssrc(1), listening.sources.lost(1), listening.sources.packets(1)) == (-1, 0, 0)
    assert listening.sources.heard(1) == -1


@given(st.integers(0, 65535), st.lists(st.integers(-60, 100), min_size=1, max_size=60))
@settings(deadline=None, max_examples=100)
def test_numbers_within_reach_are_extended_exactly(first, steps):
    listening = Listening()
    listening.take(1, first)
    highest = place = first
    for step in steps:
        place = highest + step
        assert listening.take(1, place) == [place]
        highest = max(highest, place)


def test_total_of_lost_packets_is_the_sum_over_slots():
    sources, now = Sources(4), 0
    sequences = {0: (1, 2, 5), 1: (7,), 3: (65530, 65535, 3)}
    for slot, numbers in sequences.items():
        for sequence in numbers:
            now += 20 * UNITS_PER_MS
            sources.admit(np.array([slot]), np.array([slot + 9]), np.array([sequence]), now)
    slots = np.arange(4)
    assert sources.total_lost(slots) == sum(sources.lost(slot) for slot in range(4)) == 2 + 7
    # A source that takes over keeps what its predecessor lost.
    for sequence in (40, 41, 42, 50):
        now += 20 * UNITS_PER_MS
        sources.admit(np.array([0]), np.array([77]), np.array([sequence]), now)
    assert sources.total_lost(slots) == sum(sources.lost(slot) for slot in range(4)) == 2 + 7 + 7
    assert sources.total_lost(np.zeros(0, np.intp)) == 0
