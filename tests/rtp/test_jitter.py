import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.rtp.jitter import DEPTH, JitterBuffer
from softswitch.rtp.packet import UNITS, UNITS_PER_MS
from softswitch.rtp.playout import SILENCE
from tests.rtp.player import Player, numbered, stream
from tests.rtp.wire import case, packet


def played(arrivals):
    player = Player()
    player.run(arrivals)
    return player


def base_delay(player, arrivals, since=0.0, until=1e9):
    """Return the median ms from arrival to playing, of packets that came between two times, seconds."""
    arrived = {int.from_bytes(data[12:16]): at * 1000 for at, data in arrivals}
    delays = [
        at - arrived[index]
        for at, what, index in player.steps
        if what == "play" and since * 1000 <= arrived[index] < until * 1000
    ]
    return float(np.median(delays))


def test_even_stream_is_played_once_in_order_without_a_hole():
    player = played(stream(200))
    assert player.played == list(range(200))
    assert player.count("recover") == 0
    # One packet is kept in reserve.
    assert base_delay(player, stream(200)) == pytest.approx(20, abs=1)


def test_slots_without_a_packet_sleep_and_playing_them_changes_nothing():
    buffer, slots = JitterBuffer(4), np.array([2, 0, 3])
    buffer.open(2)
    assert buffer.sleeps(slots)
    before = buffer._state.copy()
    due = buffer.pop(slots, 5 * UNITS)
    assert (due.action == SILENCE).all()
    assert (due.duration == 20 * UNITS_PER_MS).all()
    np.testing.assert_array_equal(buffer._state, before)
    buffer._begin(np.array([0]), np.array([7]), 5 * UNITS)
    assert not buffer.sleeps(slots)
    assert buffer.sleeps(slots[[0, 2]])


@pytest.mark.parametrize("ptime_ms", [10, 20, 30, 40, 60])
def test_every_ptime_is_played_without_a_hole(ptime_ms):
    arrivals = stream(100, ptime_ms=ptime_ms)
    player = Player()
    player.run(arrivals)
    assert player.played == list(range(100))
    assert player.steps[0][1] == "silence"
    between = [what for at, what, _ in player.steps if at < 100 * ptime_ms][10:-6]
    assert set(between) == {"play"}


def test_packet_of_120_ms_is_played():
    player = Player()
    for index in range(20):
        player.receive(packet(index + 1, index * 960, numbered(index, 120)))
        for _ in range(6):
            player.tick()
    assert player.played == list(range(19)) or player.played == list(range(20))
    assert player.count("conceal") == 0


def test_lost_packet_is_made_up_for_once_from_the_next():
    arrivals = stream(100)
    del arrivals[50]
    player = played(arrivals)
    assert player.played == [*range(50), *range(51, 100)]
    assert player.count("recover") == 1
    assert base_delay(player, arrivals, since=1.2) == pytest.approx(
        base_delay(player, arrivals, until=0.8), abs=1
    )


def test_two_lost_packets_are_concealed_and_recovered():
    arrivals = stream(100)
    del arrivals[50:52]
    player = played(arrivals)
    where = [what for _, what, _ in player.steps]
    assert where[where.index("conceal") : where.index("conceal") + 3] == ["conceal", "recover", "play"]


def test_long_loss_fades_to_silence_and_the_first_packet_is_played():
    arrivals = stream(500)
    del arrivals[200:250]
    player = played(arrivals)
    assert player.played == [*range(200), *range(250, 500)]
    lost = [what for at, what, _ in player.steps if 4030 <= at < 5000]
    assert 4 <= lost.count("conceal") <= 6
    assert lost[-1] == "silence"
    assert base_delay(player, arrivals, since=6) == pytest.approx(20, abs=1)


def test_single_loss_in_a_minute_leaves_the_delay():
    arrivals = stream(1000)
    del arrivals[100]
    player = played(arrivals)
    late = base_delay(player, arrivals, since=4)
    assert late == pytest.approx(base_delay(player, arrivals, until=1.8), abs=1)


def test_swapped_pairs_are_played_in_order():
    arrivals = stream(100)
    for index in range(0, 100, 2):
        (first, one), (second, other) = arrivals[index], arrivals[index + 1]
        arrivals[index], arrivals[index + 1] = (first, other), (second, one)
    assert played(arrivals).played == list(range(100))


def test_duplicates_are_played_once():
    arrivals = [arrival for arrival in stream(100) for _ in range(2)]
    player = played(arrivals)
    assert player.played == list(range(100))
    assert player.sessions.jitter.duplicate_total == 100


def test_late_packet_is_dropped_and_the_delay_unchanged():
    arrivals = stream(100)
    arrivals[50] = (arrivals[50][0] + 0.5, arrivals[50][1])
    player = played(arrivals)
    assert player.played == [*range(50), *range(51, 100)]
    assert player.sessions.jitter.late[player.slot] == 1
    assert base_delay(player, arrivals, since=1.5) == pytest.approx(20, abs=1)


def test_burst_of_late_packets_is_played_late_and_the_delay_comes_back():
    arrivals = stream(400)
    for index in range(100, 110):
        arrivals[index] = (2.2, arrivals[index][1])
    player = played(arrivals)
    assert len(player.played) >= 396
    assert player.played == sorted(player.played)
    assert base_delay(player, arrivals, since=2.2 + 2) <= 46


def test_pause_in_the_stream_ends_without_a_burst():
    arrivals = stream(50) + stream(50, sequence=51, timestamp=8000, start=31.0, first=50, marker=True)
    player = played(arrivals)
    assert player.played == list(range(100))
    assert base_delay(player, arrivals, since=31) <= 46


def test_pause_known_to_the_timestamps_ends_likewise():
    arrivals = stream(50) + stream(50, sequence=51, timestamp=8000 * 31, start=31.0, first=50, marker=True)
    player = played(arrivals)
    assert player.played == list(range(100))
    assert base_delay(player, arrivals, since=31) <= 46


def test_poured_packets_are_bounded():
    player = Player()
    player.receive(*(data for _, data in stream(400)))
    for _ in range(100):
        player.tick()
    assert len(player.played) <= DEPTH
    assert player.played == sorted(player.played)
    assert player.sessions.jitter.overflown_total >= 400 - 2 * DEPTH


def test_engine_that_stood_still_catches_up():
    arrivals = stream(300)
    player = Player()
    player.run(arrivals[:100])
    player.now += 1.0
    rest = [(at + 1.3, data) for at, data in stream(200, sequence=101, timestamp=16000, start=2.0, first=100)]
    player.run(rest)
    assert player.played[-1] == 299
    delays = [
        at - (rest[index - 100][0] * 1000)
        for at, what, index in player.steps
        if what == "play" and index > 250
    ]
    assert np.median(delays) <= 65


def test_big_payload_after_small_ones_is_kept_whole():
    player = Player()
    player.receive(packet(1, 0, numbered(0)), packet(2, 160, numbered(1, 120)))
    for _ in range(4):
        player.tick()
    due = player.sessions.jitter
    assert due.ring.shape[1] >= 960


@pytest.mark.parametrize("ppm", [2000, -2000])
def test_clock_drift_is_stretched_away_without_a_hole(ppm):
    arrivals = [(at * (1 - ppm / 1e6), data) for at, data in stream(9000)]
    player = played(arrivals)
    assert player.played == list(range(9000))
    assert player.sessions.jitter.late_total == 0
    inside = [what for at, what, _ in player.steps if 1000 < at < 178000]
    assert set(inside) == {"play"}


def traces():
    return json.loads(case("net/traces.json"))


def test_delay_in_the_20_ms_trace_is_at_most_60_ms_in_the_median():
    trace = traces()["jit_20ms"]
    arrivals = [
        (at + delay / 1000, data) for (at, data), delay in zip(stream(3000), trace["delay"], strict=True)
    ]
    player = played(arrivals)
    assert base_delay(player, arrivals, since=2) <= 60
    assert len(player.played) >= 0.95 * 3000


def test_delay_is_back_at_its_base_two_seconds_after_the_jitter():
    rng = np.random.default_rng(4)
    arrivals = [(at + (abs(rng.normal(0, 0.03)) if at < 10 else 0), data) for at, data in stream(1000)]
    player = played(arrivals)
    assert base_delay(player, arrivals, since=12) <= 46


@given(st.data())
@settings(deadline=None, max_examples=25)
def test_no_network_makes_it_play_twice_or_backwards(data):
    count = 60
    drops = data.draw(st.sets(st.integers(0, count - 1), max_size=30))
    delays = data.draw(st.lists(st.floats(0, 0.4), min_size=count, max_size=count))
    ptime = data.draw(st.sampled_from((10, 20, 60)))
    arrivals = [
        (at + delay, packet)
        for index, ((at, packet), delay) in enumerate(
            zip(stream(count, sequence=65500, ptime_ms=ptime), delays, strict=True)
        )
        if index not in drops
    ]
    player = played(arrivals)
    assert player.played == sorted(set(player.played))
    # Time is never stretched by more than what is held back.
    heard = len(player.steps)
    assert heard > 0


@given(
    st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(1, 500)), max_size=80)
)
@settings(deadline=None, max_examples=60)
def test_no_stream_raises_or_fills_more_than_its_ring(packets):
    player = Player()
    for sequence, stamp, octets in packets:
        player.receive(packet(sequence, stamp, bytes(octets)))
        player.tick()
    assert len(player.steps) <= 40 * max(len(packets), 1)


def test_reopened_slot_has_no_past():
    player = Player()
    player.run(stream(20))
    jitter = player.sessions.jitter
    jitter.open(player.slot)
    due = jitter.pop(np.array([player.slot]), round(player.now * UNITS))
    assert int(due.action[0]) == 0
    assert jitter.delay(player.slot, 0, 10**7) == 0


def test_delay_is_reported_in_units():
    player = Player()
    player.run(stream(60))
    now = round((player.now - 0.3) * UNITS)
    assert player.sessions.jitter.delay(player.slot, 0, now) / UNITS_PER_MS < 200


def test_listener_that_stood_still_leaps_to_what_is_new():
    player = Player()
    arrivals = stream(200)
    player.run(arrivals[:20])
    for index in range(20, 50):
        player.receive(arrivals[index][1], now=player.began + arrivals[index][0] + 0.3)
    player.now = player.began + 1.3
    for index in range(50, 80):
        player.receive(arrivals[index][1], now=player.now)
        player.tick()
    assert player.sessions.jitter.late[player.slot] > 5
    late = [at - arrivals[index][0] * 1000 for at, what, index in player.steps if what == "play"]
    assert late[-1] <= 300 + 110
