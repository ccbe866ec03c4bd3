import numpy as np
import pytest

from softswitch.audio.pcm import FRAME
from softswitch.media.messages import DigitReceived, DigitsSent, PayloadFormat, RtpParameters
from softswitch.rtp.packet import extensions
from tests.media.rtp.rtp_pair import Pair, give, level, parameters, tone, voice
from tests.rtp.wire import datagrams

OCTETS_PER_MS = 8


def fields(data):
    """Return payload type, marker, sequence number, timestamp and payload."""
    return data[1] & 127, data[1] >> 7, int.from_bytes(data[2:4]), int.from_bytes(data[4:8]), data[12:]


@pytest.mark.parametrize("name", ["PCMU", "PCMA", "G722"])
@pytest.mark.parametrize("ptime", [10, 20, 30, 40, 50, 60])
def test_packets_have_the_negotiated_duration(name, ptime):
    pair = Pair(name, ptime_ms=ptime)
    pair.carry(tone(1.2))
    sent = [fields(data) for _, _, data in pair.wire]
    assert len(sent) == 1200 // ptime
    assert {len(payload) for *_, payload in sent} == {ptime * OCTETS_PER_MS}
    stamps = np.array([stamp for _, _, _, stamp, _ in sent])
    assert (np.diff(stamps) % 2**32 == ptime * 8).all()
    numbers = np.array([number for _, _, number, _, _ in sent])
    assert (np.diff(numbers) % 65536 == 1).all()
    assert [marker for _, marker, *_ in sent] == [1] + [0] * (len(sent) - 1)


@pytest.mark.parametrize(("ptime", "real"), [(10, 10), (20, 20), (30, 20), (40, 40), (50, 40), (60, 60)])
def test_opus_packets_have_a_duration_that_opus_knows(ptime, real):
    pair = Pair("opus", ptime_ms=ptime)
    pair.carry(tone(1.2))
    stamps = np.array([fields(data)[3] for _, _, data in pair.wire])
    assert len(stamps) == 1200 // real
    assert (np.diff(stamps) % 2**32 == real * 48).all()


@pytest.mark.parametrize("ptime", [0, 5, 100])
def test_durations_beyond_the_limits_are_clamped(ptime):
    pair = Pair("PCMU", ptime_ms=ptime)
    pair.carry(tone(0.6))
    expected = 10 if ptime < 10 else 60
    assert {len(data) - 12 for _, _, data in pair.wire} == {expected * OCTETS_PER_MS}


def test_slots_of_different_formats_are_sent_together():
    names = ["PCMU", "opus", "G722", "PCMA", "PCMU"]
    pair = Pair(slots=5)
    for slot, name in enumerate(names):
        ptime = 60 if slot == 4 else 20
        for plane in (pair.near, pair.far):
            plane.update(slot, parameters(name, ssrc=slot + 1, ptime_ms=ptime), pair.now)
    heard = np.stack([pair.tick(frame) for frame in tone(1.0)])
    counts = [sum(1 for _, slot, _ in pair.wire if slot == wanted) for wanted in range(5)]
    assert counts == [50, 50, 50, 50, 16]
    for slot in range(5):
        assert level(heard[25:, slot]) == pytest.approx(8000 / np.sqrt(2), rel=0.15)


def test_levels_are_announced():
    pair = Pair("PCMU", level_extension=4)
    pair.carry(tone(0.2, amplitude=32767 * 0.5))
    pair.tick()
    loud, silent = pair.wire[5][2], pair.wire[-1][2]
    assert extensions(loud)[4][0] == 9 | 0x80
    assert extensions(silent)[4][0] == 127
    assert pair.far.counters["malformed"] == 0
    assert len(loud) == 12 + 8 + 160


def test_codec_changes_without_a_break_in_numbers():
    pair = Pair("PCMU", others=("PCMA",))
    pair.carry(tone(0.2))
    pair.near.update(0, parameters("PCMA", ssrc=1000), pair.now)
    pair.carry(tone(0.2))
    sent = [fields(data) for _, _, data in pair.wire]
    assert [kind for kind, *_ in sent] == [0] * 10 + [8] * 10
    assert (np.diff([number for _, _, number, _, _ in sent]) % 65536 == 1).all()


def test_unknown_codec_is_refused_and_named():
    wrong = RtpParameters(parameters("PCMU").receive, PayloadFormat("speex", 99, 8000))
    pair = Pair()
    with pytest.raises(ValueError, match="speex"):
        pair.near.update(0, wrong, pair.now)


def test_digits_are_sent_in_place_of_the_audio_and_heard_once():
    pair = Pair("PCMU")
    pair.carry(tone(0.4))
    assert pair.near.send_digits(0, "15#", 100, 70)
    pair.carry(tone(1.5))
    events = [fields(data) for _, _, data in pair.wire if data[1] & 127 == 101]
    assert len({stamp for _, _, _, stamp, _ in events}) == 3
    assert len(events) == 3 * 7
    digits = [report.digit for report in pair.reports if isinstance(report, DigitReceived)]
    assert digits == ["1", "5", "#"]
    [done] = [report for report in pair.near.take_reports() if isinstance(report, DigitsSent)]
    assert (done.port, done.digits) == (10, "15#")
    assert pair.far.statistics(0)["packets_lost"] == 0


@pytest.mark.parametrize("name", ["PCMU", "opus"])
def test_time_goes_on_under_the_digits(name):
    pair = Pair(name)
    pair.carry(tone(0.2))
    pair.near.send_digits(0, "8", 100, 70)
    pair.carry(tone(0.4))
    step = 960 if name == "opus" else 160
    first = fields(pair.wire[0][2])[3]
    for tick, _, data in pair.wire:
        kind, _, _, stamp, payload = fields(data)
        if kind != 101:
            assert (stamp - first) % 2**32 == tick * step
        else:
            assert (stamp - first) % 2**32 == 10 * step
            assert payload[0] == 8


def test_digits_without_telephone_events_are_declined():
    pair = Pair("PCMU", events=False)
    assert pair.near.send_digits(0, "1", 100, 70) is False


def test_too_many_digits_are_refused():
    pair = Pair("PCMU")
    assert pair.near.send_digits(0, "1" * 100, 100, 70)
    with pytest.raises(ValueError, match="digits"):
        pair.near.send_digits(0, "1" * 100, 100, 70)
    with pytest.raises(ValueError, match="digits"):
        pair.near.send_digits(0, "x", 100, 70)


def test_digits_queue_up():
    pair = Pair("PCMU")
    pair.near.send_digits(0, "12", 60, 60)
    pair.near.send_digits(0, "34", 60, 60)
    pair.carry(tone(1.2))
    digits = "".join(report.digit for report in pair.reports if isinstance(report, DigitReceived))
    assert digits == "1234"
    sent = [report.digits for report in pair.near.take_reports() if isinstance(report, DigitsSent)]
    assert sent == ["12", "34"]


def test_nothing_is_sent_for_no_slots():
    pair = Pair()
    empty = np.zeros((0, FRAME), np.float32), np.zeros(0, np.intp)
    assert datagrams(pair.near.push(*empty, pair.now)) == []


def test_reported_loss_arms_the_encoder():
    pair = Pair("opus")
    quiet = [len(data) for _, _, data in pair.wire]
    rng = np.random.default_rng(3)
    pair.drop = lambda tick, slot: bool(rng.random() < 0.3)
    pair.carry(voice(16))
    assert quiet == []
    assert pair.near.statistics(0)["far_loss_percent"] > 15
    assert pair.far.counters["recovered"] > 100


def test_clean_network_gets_no_redundancy_until_it_loses_a_packet():
    pair = Pair("opus")

    def is_celt():
        # Configurations from 16 on are CELT (RFC 6716 table 2).
        return pair.wire[-1][2][12] >> 3 >= 16

    pair.carry(voice(1))
    assert not is_celt()
    pair.carry(voice(12))
    assert is_celt()
    pair.drop = lambda tick, slot: tick % 100 == 0
    pair.carry(voice(8))
    assert not is_celt()
    pair.drop = lambda tick, slot: False
    pair.carry(voice(20))
    assert not is_celt()
    pair.carry(voice(30))
    assert is_celt()


def test_encoder_of_several_expects_the_largest_loss(monkeypatch):
    pair = Pair("opus", slots=3)
    told: dict[int, int] = {}
    monkeypatch.setattr(
        pair.near._formats.bank(3), "tune", lambda slot, loss_percent: told.update({slot: loss_percent})
    )
    encoder = pair.near._encoder
    for slot in range(3):
        encoder.expect_loss(slot, 0)
    assert told == {0: 0, 1: 0, 2: 0}
    pair.near.share([(0, 1)])
    encoder.expect_loss(1, 15)
    assert told == {0: 15, 1: 0, 2: 0}
    pair.near.share([])
    assert told == {0: 0, 1: 15, 2: 0}
    pair.near.share([(1, 2)])
    assert told == {0: 0, 1: 15, 2: 0}
    pair.near.close(1)
    assert told == {0: 0, 1: 15, 2: 0}


def test_forged_feedback_changes_nothing():
    pair = Pair("opus")
    give(pair.near, [(0, b"\x81\xc9\x00\x07" + bytes(28))], pair.now)
    assert pair.near.statistics(0)["far_loss_percent"] == 0


def test_slot_that_may_not_send_lets_its_time_pass():
    pair = Pair("PCMU")
    pair.carry(tone(0.2))
    pair.near.set_sending(0, False)
    assert pair.near.send_digits(0, "5", 100, 70)
    pair.carry(tone(0.4))
    assert len(pair.wire) == 10
    pair.near.set_sending(0, True)
    pair.carry(tone(1.0))
    sent = [fields(data) for _, _, data in pair.wire]
    numbers = np.array([number for _, _, number, _, _ in sent])
    assert (np.diff(numbers) % 65536 == 1).all()
    kind, marker, _, stamp, _ = sent[10]
    assert (kind, marker) == (101, 1)
    assert (stamp - sent[9][3]) % 2**32 == 160 * 21


def test_slots_that_may_send_are_not_kept_by_one_that_may_not():
    pair = Pair("PCMU", slots=3)
    pair.near.set_sending(1, False)
    pair.carry(tone(0.2))
    assert {slot for _, slot, _ in pair.wire} == {0, 2}
    pair.near.close(1)
    pair.near.open(1, 2, parameters("PCMU", ssrc=9), pair.now)
    pair.wire.clear()
    pair.carry(tone(0.1))
    assert {slot for _, slot, _ in pair.wire} == {0, 1, 2}
