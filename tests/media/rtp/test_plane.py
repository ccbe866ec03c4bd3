import msgspec
import numpy as np
import pytest

from softswitch.audio.pcm import FRAME
from softswitch.media.messages import DigitReceived, MediaResumed, MediaSilent, PayloadFormat, RtpParameters
from softswitch.media.rtp.plane import RtpPlane
from softswitch.rtp import rtcp
from softswitch.rtp.packet import UNITS_PER_MS
from tests.media.rtp.rtp_pair import Pair, give, parameters, tone
from tests.rtp.wire import datagrams, packet


def key(code, duration, *, end=False):
    return bytes((code, 0x8A if end else 0x0A)) + duration.to_bytes(2)


def kinds(reports):
    return [type(report) for report in reports]


def idle(plane, now, seconds):
    """Let time pass for a plane that hears nothing; return its reports."""
    reports = []
    for tick in range(round(seconds / 0.02)):
        plane.control(now + tick * 0.02)
        reports += plane.take_reports()
    return reports


@pytest.fixture
def plane():
    plane = RtpPlane(2)
    plane.open(1, 77, parameters(ssrc=5), 100.0)
    return plane


def test_digit_is_reported_once_with_its_port(plane):
    for now, payload in (
        (100.0, key(5, 160)),
        (100.02, key(5, 320, end=True)),
        (100.04, key(5, 320, end=True)),
    ):
        give(plane, [(1, packet(int(now * 50), 800, payload, payload_type=101))], now)
        plane.control(now)
    [report] = [report for report in plane.take_reports() if isinstance(report, DigitReceived)]
    assert report == DigitReceived(77, 100.02, "5", 40, "rfc4733")


def test_digit_without_end_packets_is_reported_by_time(plane):
    give(plane, [(1, packet(1, 800, key(3, 160), payload_type=101))], 100.0)
    reports = idle(plane, 100.0, 0.3)
    [report] = [report for report in reports if isinstance(report, DigitReceived)]
    assert report.digit == "3"
    assert report.at <= 100.2


def test_flash_is_no_digit(plane):
    give(plane, [(1, packet(1, 800, key(16, 160, end=True), payload_type=101))], 100.0)
    assert DigitReceived not in kinds(idle(plane, 100.0, 0.3))


def test_first_media_are_reported(plane):
    give(plane, [(1, packet())], 100.5)
    plane.control(100.5)
    assert plane.take_reports() == [MediaResumed(77, 100.5, 0.0)]
    give(plane, [(1, packet(2, 160))], 100.52)
    assert idle(plane, 100.52, 1.0) == []


def test_silence_is_reported_once_and_its_end(plane):
    give(plane, [(1, packet())], 100.0)
    reports = idle(plane, 100.0, 8.0)
    assert kinds(reports) == [MediaResumed, MediaSilent]
    assert 103.0 <= reports[1].at <= 103.2
    assert reports[1].seconds == pytest.approx(3.0, abs=0.2)
    give(plane, [(1, packet(2, 160))], 108.0)
    plane.control(108.0)
    [back] = plane.take_reports()
    assert isinstance(back, MediaResumed)
    assert back.seconds == pytest.approx(8.0)
    assert kinds(idle(plane, 108.0, 4.0)) == [MediaSilent]


def test_port_that_never_hears_anything_is_reported(plane):
    [report] = idle(plane, 100.0, 10.0)
    assert isinstance(report, MediaSilent)
    assert report.port == 77


def test_reports_count_as_life(plane):
    reports = []
    for second in range(10):
        give(plane, [(1, rtcp.ReceiverReport(9).to_bytes())], 100.0 + second)
        reports += idle(plane, 100.0 + second, 1.0)
    assert reports == []


def test_silence_on_hold_is_no_fault(plane):
    give(plane, [(1, packet())], 100.0)
    plane.set_held(1, True)
    assert MediaSilent not in kinds(idle(plane, 100.0, 30.0))
    plane.set_held(1, False)
    assert MediaSilent not in kinds(idle(plane, 130.0, 2.5))
    assert MediaSilent in kinds(idle(plane, 132.5, 1.0))


def test_goodbye_is_said_with_the_next_control(plane):
    plane.goodbye(1)
    [(slot, data)] = datagrams(plane.control(100.0))
    assert slot == 1
    assert isinstance(rtcp.parse(data)[-1], rtcp.Goodbye)
    assert datagrams(plane.control(200.0)) == []


def test_goodbye_of_the_remote_party_stops_nothing():
    pair = Pair("PCMU")
    pair.carry(tone(0.4))
    give(pair.far, [(0, rtcp.compound([rtcp.ReceiverReport(1000), rtcp.Goodbye((1000,))]))], pair.now)
    assert np.abs(pair.carry(tone(0.4))[10:]).max() > 7000


def test_statistics_tell_of_the_whole_call():
    pair = Pair("PCMU")
    pair.drop = lambda tick, slot: tick in {100, 200}
    pair.carry(tone(8.0))
    figures = pair.far.close(0)
    assert figures["packets_received"] == 398
    assert figures["packets_lost"] == 2
    assert figures["packets_late"] == 0
    assert figures["concealed_ms"] == 40
    assert figures["packets_sent"] == 400
    assert figures["octets_sent"] == 400 * 160
    assert 0 <= figures["delay_ms"] <= 40
    assert figures["round_trip_ms"] < 40
    sender = pair.near.close(0)
    assert sender["round_trip_ms"] >= 0
    assert 0 <= sender["far_loss_percent"] < 3


def test_counters_outlive_their_ports():
    pair = Pair("PCMU")
    pair.drop = lambda tick, slot: tick == 20
    pair.carry(tone(1.0))
    before = pair.far.counters
    pair.far.close(0)
    assert pair.far.counters == before
    assert before["received"] == 49
    assert before["lost"] == 1
    assert pair.near.counters["sent"] == 50
    assert all(isinstance(value, int) for value in before.values())


def test_update_keeps_buffers_and_numbers():
    pair, plain = Pair("PCMU"), Pair("PCMU")
    sound = tone(1.0)
    for index, frame in enumerate(sound):
        if index == 25:
            pair.far.update(0, parameters("PCMU", ssrc=2000), pair.now)
            pair.near.update(0, parameters("PCMU", ssrc=1000), pair.now)
        assert np.abs(pair.tick(frame) - plain.tick(frame)).max() == 0


def test_the_reserve_of_the_parameters_bounds_the_delay():
    found = {}
    for reserve_ms in (18, 0):
        plane = RtpPlane()
        plane.grow(1)
        plane.open(0, 7, msgspec.structs.replace(parameters(), reserve_ms=reserve_ms), 0.0)
        meter = plane._sessions.jitter.meter
        meter.add(np.array([0]), np.array([0]), np.array([0]), 0)
        found[reserve_ms] = int(meter.bounds(np.array([0]), 100)[0][0]) / UNITS_PER_MS
    assert found == {18: 18, 0: 0}


def test_port_that_cannot_be_opened_leaves_its_slot_free():
    plane = RtpPlane(1)
    with pytest.raises(ValueError, match="speex"):
        plane.open(0, 1, RtpParameters((), PayloadFormat("speex", 99, 8000)), 0.0)
    plane.open(0, 1, parameters(), 0.0)
    out = np.ones((1, FRAME), np.float32)
    plane.pull(np.array([0]), out, 0.0)
    assert not out.any()


def test_ports_in_any_order_of_slots():
    pair = Pair("PCMU", slots=8)
    pair.slots = np.array([5, 1, 7])
    heard = [pair.tick(frame) for frame in tone(0.6)]
    assert np.abs(heard[-1]).max(axis=1).min() > 7000


def test_receiving_nothing_is_nothing(plane):
    plane.receive(np.zeros((0, 1536), np.uint8), np.zeros(0, np.intp), np.zeros(0, np.intp), 1.0)
    assert plane.counters["received"] == 0
    assert plane.statistics(1)["packets_received"] == 0
