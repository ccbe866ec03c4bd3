import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.rtp.telephone_event import DIGITS, FLASH, EventReceiver, EventSender, Press
from tests.rtp.wire import case

CLOCK = 8000


def cases():
    return json.loads(case("rtp/dtmf-4733.json"))


def event(code, duration, *, end=False):
    return bytes((code, 0x8A if end else 0x0A)) + duration.to_bytes(2)


def heard(packets, until=2000):
    """Return what is pressed when `packets`, (milliseconds, timestamp, payload), come and time goes by."""
    receiver = EventReceiver(CLOCK)
    presses = []
    clock = 0
    for at, timestamp, payload in packets:
        while clock < at:
            clock += 20
            presses += receiver.poll(clock / 1000)
        presses += receiver.receive(payload, timestamp, max(at, clock) / 1000)
    while clock < until:
        clock += 20
        presses += receiver.poll(clock / 1000)
    return presses


@pytest.mark.parametrize("entry", cases(), ids=lambda entry: entry["name"])
def test_shared_case_yields_the_digits_it_asks_for(entry):
    packets = []
    for item in entry["packets"]:
        data = bytes.fromhex(item["rtp"])
        packets.append((item["t_ms"], int.from_bytes(data[4:8]), data[12:]))
    presses = heard(packets, until=entry["packets"][-1]["t_ms"] + 1000)
    assert [press.digit for press in presses] == entry["expect"]


def test_lost_ends_are_made_up_for_within_200_ms():
    receiver = EventReceiver(CLOCK)
    receiver.receive(event(5, 160), 0, 1.0)
    assert receiver.open
    assert receiver.poll(1.14) == []
    assert receiver.poll(1.2) == [Press("5", 20)]
    assert receiver.receive(event(5, 320, end=True), 0, 1.3) == []


def test_long_press_of_several_segments_is_one_press():
    packets, segment, timestamp = [], 0, 5000
    for tick in range(1, 1001):
        if segment + 160 > 0xFFFF:
            timestamp, segment = timestamp + segment, 0
        segment += 160
        packets.append((tick * 20, timestamp, event(9, segment, end=tick == 1000)))
    packets.append((20020, timestamp, packets[-1][2]))
    assert heard(packets, until=21000) == [Press("9", 20000)]


def test_press_of_the_same_key_right_after_a_full_one_is_another():
    packets = [(0, 0, event(1, 0xFFFF)), (20, 0xFFFF * 3, event(1, 160, end=True))]
    assert [press.digit for press in heard(packets)] == ["1", "1"]


def test_flash_is_no_digit():
    assert heard([(0, 0, event(16, 400, end=True))]) == [Press(FLASH, 50)]
    assert FLASH not in DIGITS


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 2**32 - 1), st.binary(max_size=6)), max_size=40)
)
@settings(deadline=None, max_examples=100)
def test_no_payload_raises(packets):
    heard(sorted(packets), until=800)


def sent(digits, duration=100, gap=70, clock=CLOCK, ticks=400):
    """Return the packets, (tick, payload, marker, timestamp), of dialling, and when it was complete."""
    sender = EventSender(clock)
    sender.queue(digits, duration, gap)
    packets, silent, complete = [], [], None
    for tick in range(ticks):
        some, instead, text = sender.step()
        now = tick * clock // 50
        packets += [(tick, packet.payload, packet.marker, now - packet.behind) for packet in some]
        if instead:
            silent.append(tick)
        if text:
            assert complete is None
            complete = (tick, text)
    assert not sender.busy
    return packets, silent, complete


def test_digit_is_sent_with_updates_and_three_ends():
    packets, silent, complete = sent("5")
    assert [tick for tick, *_ in packets] == [0, 1, 2, 3, 4, 5, 6]
    assert silent == [0, 1, 2, 3, 4]
    assert [marker for *_, marker, _ in packets] == [True] + [False] * 6
    assert {timestamp for *_, timestamp in packets} == {0}
    assert {payload[0] for _, payload, *_ in packets} == {5}
    durations = [int.from_bytes(payload[2:]) for _, payload, *_ in packets]
    assert durations == [160, 320, 480, 640, 800, 800, 800]
    assert [payload[1] >> 7 for _, payload, *_ in packets] == [0, 0, 0, 0, 1, 1, 1]
    assert complete == (8, "5")


def test_digits_are_sent_one_after_another_with_a_gap():
    packets, _, complete = sent("12#", duration=40, gap=100)
    starts = [tick for tick, _, marker, _ in packets if marker]
    assert starts == [0, 7, 14]
    assert complete == (20, "12#")


@pytest.mark.parametrize("clock", [8000, 48000])
def test_what_is_sent_is_heard_again(clock):
    packets, *_ = sent(DIGITS.lower(), duration=90, gap=60, clock=clock)
    receiver = EventReceiver(clock)
    presses = []
    for tick, payload, _, timestamp in packets:
        presses += receiver.receive(payload, timestamp, tick / 50)
    assert "".join(press.digit for press in presses) == DIGITS
    assert {press.duration_ms for press in presses} == {90}


def test_press_longer_than_16_bits_is_sent_in_segments():
    packets, *_ = sent("7", duration=3000, clock=48000)
    stamps = sorted({timestamp for *_, timestamp in packets})
    assert len(stamps) == 3
    assert max(int.from_bytes(payload[2:]) for _, payload, *_ in packets) <= 0xFFFF
    receiver = EventReceiver(48000)
    presses = []
    for tick, payload, _, timestamp in packets:
        presses += receiver.receive(payload, timestamp, tick / 50)
    assert presses == [Press("7", 3000)]


@pytest.mark.parametrize("digits", ["", "1x", "E"])
def test_characters_that_are_no_digits_are_refused(digits):
    sender = EventSender(CLOCK)
    with pytest.raises(ValueError, match="digits"):
        sender.queue(digits, 100, 70)
    assert not sender.busy


@given(
    st.text(DIGITS, min_size=1, max_size=6),
    st.integers(1, 400),
    st.integers(0, 200),
    st.sets(st.integers(0, 200), max_size=30),
)
@settings(deadline=None, max_examples=60)
def test_digits_survive_losses_as_long_as_one_packet_of_each_arrives(digits, duration, gap, lost):
    packets, *_ = sent(digits, duration=duration, gap=gap, ticks=400)
    arrived = [packet for index, packet in enumerate(packets) if index not in lost]
    keys = {timestamp for *_, timestamp in packets}
    if {timestamp for *_, timestamp in arrived} != keys:
        return
    presses = heard([(tick * 20, timestamp, payload) for tick, payload, _, timestamp in arrived], until=10000)
    assert "".join(press.digit for press in presses) == digits


@pytest.mark.parametrize(("digits", "pauses"), [("1,2", 1), ("1,,2", 2), (",1", 1), ("1,", 0)])
def test_comma_makes_the_gap_longer_by_half_a_second(digits, pauses):
    def ticks(text):
        sender = EventSender(CLOCK)
        sender.queue(text, 100, 70)
        count = 0
        while sender.busy:
            sender.step()
            count += 1
        return count

    assert ticks(digits) == ticks(digits.replace(",", "")) + 25 * pauses


def test_pauses_alone_are_no_digits():
    with pytest.raises(ValueError, match="digits: "):
        EventSender(CLOCK).queue(",", 100, 70)
