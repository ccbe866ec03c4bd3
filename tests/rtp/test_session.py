import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.rtp import rtcp
from softswitch.rtp.session import Sessions
from tests.rtp.player import CODINGS, KINDS, Player, numbered, stream
from tests.rtp.wire import STRIDE, case, packet, rows


@pytest.fixture
def sessions():
    sessions = Sessions(CODINGS, 4)
    for slot in range(4):
        sessions.open(slot, ssrc=100 + slot, sequence=1, timestamp=1, cname="x", now=0.0)
        sessions.set_formats(slot, KINDS, {101: 8000})
    return sessions


def take(sessions, arrivals, now=1.0):
    """Hand over (slot, datagram) pairs at once."""
    data, lengths = rows([datagram for _, datagram in arrivals])
    sessions.receive(data, lengths, np.array([slot for slot, _ in arrivals], np.intp), now)


def test_several_packets_of_a_slot_are_taken_in_order(sessions):
    take(
        sessions, [(slot, packet(n, 160 * n, numbered(n), ssrc=slot)) for n in range(3) for slot in (2, 0, 1)]
    )
    assert sessions.received == 9
    assert [sessions.sources.packets(slot) for slot in range(4)] == [3, 3, 3, 0]
    assert [sessions.sources.lost(slot) for slot in range(3)] == [0, 0, 0]


def test_what_is_no_packet_is_counted_and_kept_off(sessions):
    broken = [b"", b"\x80", b"\x00" * 20, packet(first=0x9F, payload=b"")]
    take(sessions, [(1, data) for data in broken])
    assert sessions.malformed == 4
    assert sessions.refused[1] == 4
    assert sessions.received == 0


def test_unknown_types_are_counted_and_do_not_become_the_source(sessions):
    take(sessions, [(1, packet(payload_type=77, ssrc=9)), (1, packet(5, ssrc=3))])
    assert sessions.unknown == 1
    assert sessions.sources.ssrc(1) == 3


@pytest.mark.parametrize(
    ("name", "played"),
    [
        ("hdr-only", 5),
        ("ok-pcmu", 6),
        ("pt-unknown", 5),
        ("pt19-cn-old", 5),
        ("red", 5),
        ("ext-onebyte-15", 6),
    ],
)
def test_edge_cases_cost_at_most_one_frame(name, played):
    edge = bytearray(case(f"rtp/edge/{name}.bin"))
    player = Player()
    arrivals = stream(6, ssrc=0xDEADBEEF, timestamp=0)
    edge[2:4], edge[4:8] = (3).to_bytes(2), (320).to_bytes(4)
    arrivals[2] = (arrivals[2][0], bytes(edge))
    player.run(arrivals)
    assert len(player.played) == played


def test_comfort_noise_makes_the_hole_silent():
    player = Player()
    arrivals = stream(20)
    pause = (0.4, packet(21, 3200, b"\x28", payload_type=13))
    later = stream(20, sequence=22, timestamp=3200 + 8000, start=1.4, first=20)
    player.run([*arrivals, pause, *later])
    assert player.played == list(range(40))
    gap = {what for at, what, _ in player.steps if 440 <= at < 1400}
    assert gap == {"silence"}
    assert player.sessions.noise[player.slot] == pytest.approx(32768 * 10 ** (-40 / 20), rel=0.01)


def test_comfort_noise_is_never_loud(sessions):
    take(sessions, [(0, packet(1, 0, b"\x00", payload_type=13))])
    assert sessions.noise[0] < 0.04 * 32768
    take(sessions, [(0, packet(2, 0, b"", payload_type=19))])
    assert sessions.noise[0] < 1


def key(code, duration, *, end=False):
    return bytes((code, 0x8A if end else 0x0A)) + duration.to_bytes(2)


def test_keys_are_reported_once_and_their_time_is_silent():
    player = Player()
    arrivals = stream(20)
    arrivals += [
        (0.4 + n * 0.02, packet(21 + n, 3200, key(5, 160 * (n + 1), end=n > 4), payload_type=101))
        for n in range(8)
    ]
    arrivals += stream(20, sequence=29, timestamp=3200 + 160 * 8, start=0.56, first=20)
    player.run(arrivals)
    [(slot, press)] = player.sessions.take_presses()
    assert (slot, press.digit, press.duration_ms) == (player.slot, "5", 160 - 40)
    assert player.sessions.take_presses() == []
    assert player.played == list(range(40))
    assert player.sessions.sources.lost(player.slot) == 0
    assert {what for at, what, _ in player.steps if 440 <= at < 560} == {"silence"}


def test_key_without_end_is_reported_in_time(sessions):
    take(sessions, [(0, packet(1, 8000, key(11, 160), payload_type=101))], now=1.0)
    sessions.poll(1.1)
    assert sessions.take_presses() == []
    sessions.poll(1.2)
    assert [press.digit for _, press in sessions.take_presses()] == ["#"]


def test_keys_between_packets_of_audio_disturb_nothing():
    player = Player()
    arrivals = []
    for index, (at, data) in enumerate(stream(40)):
        arrivals.append((at, packet(1 + 2 * index, 160 * index, data[12:])))
        arrivals.append((at, packet(2 + 2 * index, 1600, key(1, 160 * index + 160), payload_type=101)))
    player.run(arrivals)
    assert player.played == list(range(40))


def test_reports_keep_a_slot_alive(sessions):
    take(sessions, [(1, rtcp.ReceiverReport(5).to_bytes())], now=7.0)
    assert sessions.reported[1] == 7.0
    assert sessions.sources.heard(1) == -1
    take(sessions, [(1, b"\x80\xc8\x00\x01abcd")], now=8.0)
    assert sessions.reported[1] == 7.0
    assert sessions.malformed == 1


def test_formats_of_a_closed_slot_are_forgotten(sessions):
    sessions.close(1)
    take(sessions, [(1, packet())])
    assert sessions.received == 0
    assert sessions.unknown == 1


def test_jitter_is_reported_in_steps_of_the_clock():
    player = Player()
    rng = np.random.default_rng(2)
    for _, (at, data) in enumerate(stream(200)):
        player.receive(data, now=100.0 + at + abs(rng.normal(0, 0.01)))
    stamps = player.sessions.jitter_stamps(player.slot, 8000, 100.0 + 4.0)
    assert 20 < stamps < 200


@given(
    st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=40)), max_size=30),
    st.integers(0, 255),
)
@settings(deadline=None, max_examples=150)
def test_no_datagram_raises(arrivals, filler):
    sessions = Sessions(CODINGS, 4)
    for slot in range(3):
        sessions.open(slot, ssrc=slot, sequence=1, timestamp=1, cname="x", now=0.0)
        sessions.set_formats(slot, KINDS, {101: 8000})
    data = np.full((len(arrivals), STRIDE), filler, np.uint8)
    for row, (_, datagram) in zip(data, arrivals, strict=True):
        row[: len(datagram)] = np.frombuffer(datagram, np.uint8)
    lengths = np.array([len(datagram) for _, datagram in arrivals], np.intp)
    sessions.receive(data, lengths, np.array([slot for slot, _ in arrivals], np.intp), 1.0)
    sessions.jitter.pop(np.arange(4), 48000)


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_slots_hear_the_same_together_as_alone(data):
    """The engine hands over all slots at once; none may hear another."""
    plan = data.draw(
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(1, 60)), min_size=1, max_size=30
        )
    )
    arrivals = [(slot, packet(n, 160 * n, numbered(n), ssrc=slot + 1)) for slot, n, _ in plan]

    def heard(chosen):
        sessions = Sessions(CODINGS, 3)
        for slot in range(3):
            sessions.open(slot, ssrc=slot, sequence=1, timestamp=1, cname="x", now=0.0)
            sessions.set_formats(slot, KINDS, {})
        take(sessions, [arrival for arrival in arrivals if arrival[0] in chosen] or [(3 - 1, b"")])
        due = sessions.jitter.pop(np.arange(3), 48000 + 1920)
        return [(int(due.action[slot]), int(due.duration[slot])) for slot in range(3)]

    together = heard({0, 1, 2})
    for slot in range(3):
        assert heard({slot})[slot] == together[slot]
