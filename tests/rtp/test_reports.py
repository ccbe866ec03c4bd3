import numpy as np
import pytest

from softswitch.rtp import rtcp
from softswitch.rtp.reports import INTERVAL, MOST, Reporter
from softswitch.rtp.sending import Senders
from softswitch.rtp.statistics import Sources

START = 1000.0


class Party:
    """One end of a call, with a single slot."""

    def __init__(self, ssrc, cname="peer"):
        self.senders, self.sources = Senders(1), Sources(1)
        self.senders.open(0, ssrc, 1, 1)
        self.reporter = Reporter(self.senders, self.sources)
        self.reporter.grow(1)
        self.reporter.open(0, cname, START)

    def due(self, now):
        rows, lengths, slots = self.reporter.due(now, lambda slot: 17)
        assert set(slots.tolist()) <= {0}
        return [row[:length].tobytes() for row, length in zip(rows, lengths, strict=True)]

    def send(self, count=1):
        for _ in range(count):
            out = np.zeros((1, 40), np.uint8)
            self.senders.build(out, out[:, :20], np.array([20]), np.array([0]), 160)

    def hear(self, ssrc, *sequences):
        for sequence in sequences:
            self.sources.admit(np.array([0]), np.array([ssrc]), np.array([sequence]), 0)


def first_report(party, until=START + 3):
    now = START
    while now < until:
        found = party.due(now)
        if found:
            return found[0], now
        now += 0.02
    raise AssertionError("no report")


def test_first_report_comes_early_and_names_us():
    party = Party(11, cname="a@b")
    data, now = first_report(party)
    assert now <= START + INTERVAL / 2
    report, description = rtcp.parse(data)
    assert report == rtcp.ReceiverReport(11)
    assert description == rtcp.SourceDescription((rtcp.Description(11, ((rtcp.CNAME, b"a@b"),)),))


def test_reports_keep_their_distance():
    party = Party(123456)
    times = [START + tick * 0.02 for tick in range(10000) if party.due(START + tick * 0.02)]
    gaps = np.diff(times)
    assert gaps.min() >= 0.5 * INTERVAL - 0.03
    assert gaps.max() <= 1.5 * INTERVAL + 0.03
    assert INTERVAL * 0.8 < gaps.mean() < INTERVAL * 1.2
    assert gaps.std() > 0.3


def test_sender_tells_what_it_sent_and_who_is_silent_only_what_it_hears():
    party = Party(11)
    party.send(3)
    party.hear(22, 5, 6, 8)
    data, now = first_report(party)
    report = rtcp.parse(data)[0]
    assert isinstance(report, rtcp.SenderReport)
    assert (report.packets, report.octets) == (3, 60)
    [block] = report.blocks
    assert (block.ssrc, block.lost, block.highest, block.jitter) == (22, 1, 8, 17)
    assert block.fraction_lost == 64
    later = next(found for tick in range(1000) if (found := party.due(now + tick * 0.02)))
    assert isinstance(rtcp.parse(later[0])[0], rtcp.ReceiverReport)


def test_round_trip_is_measured():
    near, far = Party(11), Party(22)
    near.send()
    far.send()
    near.hear(22, 1)
    far.hear(11, 1)
    data, now = first_report(near)
    assert far.reporter.receive(0, data, now + 0.030)
    answer = None
    later = now + 0.030
    while answer is None:
        found = far.due(later)
        answer = found[0] if found else None
        later += 0.02
    arrival = later - 0.02 + 0.050
    assert near.reporter.receive(0, answer, arrival)
    assert near.reporter.round_trip(0) == pytest.approx(0.080, abs=0.002)
    [feedback] = near.reporter.take_feedback()
    assert feedback.slot == 0
    assert feedback.round_trip == pytest.approx(0.080, abs=0.002)


def test_loss_at_the_remote_party_is_handed_on():
    party = Party(11)
    block = rtcp.ReportBlock(11, 64, 100, 1000, 0, 0, 0)
    strange = rtcp.ReportBlock(99, 255, 100, 1000, 0, 0, 0)
    party.reporter.receive(0, rtcp.compound([rtcp.ReceiverReport(22, (strange, block))]), START)
    [feedback] = party.reporter.take_feedback()
    assert feedback.loss == 0.25
    assert party.reporter.remote_loss(0) == 0.25
    assert party.reporter.take_feedback() == []


def test_echo_of_another_time_is_no_round_trip():
    party = Party(11)
    block = rtcp.ReportBlock(11, 0, 0, 0, 0, 0x12345678, 0xFFFFFF)
    party.reporter.receive(0, rtcp.ReceiverReport(22, (block,)).to_bytes(), START)
    assert party.reporter.round_trip(0) == 0.0


def test_goodbye_is_said_at_once_and_once():
    party = Party(11)
    party.reporter.goodbye(0)
    [data] = party.due(START)
    assert rtcp.parse(data)[-1] == rtcp.Goodbye((11,))
    assert party.due(START + 100) == []


@pytest.mark.parametrize(
    "packet",
    [
        rtcp.Goodbye((22,)),
        rtcp.Feedback(205, 1, 22, 11, bytes(4)),
        rtcp.Feedback(205, 15, 22, 11, bytes(12)),
        rtcp.Feedback(206, 1, 22, 11),
        rtcp.Unknown(207, 0, bytes(8)),
        rtcp.Unknown(204, 0, bytes(8)),
    ],
)
def test_what_means_nothing_here_is_taken_politely(packet):
    party = Party(11)
    assert party.reporter.receive(0, packet.to_bytes(), START)
    assert party.reporter.take_feedback() == []


def test_malformed_reports_are_counted():
    party = Party(11)
    assert not party.reporter.receive(0, b"\x80\xc8\x00\x01abcd", START)
    assert party.reporter.malformed == 1


def test_closed_slot_neither_reports_nor_listens():
    party = Party(11)
    party.reporter.close(0)
    assert party.due(START + 100) == []
    assert not party.reporter.receive(0, rtcp.ReceiverReport(1).to_bytes(), START)
    party.reporter.goodbye(0)
    assert party.due(START + 200) == []
    assert (party.reporter.round_trip(0), party.reporter.remote_loss(0)) == (0.0, 0.0)


def test_long_names_are_cut_to_fit():
    party = Party(11, cname="x" * 400)
    party.send()
    party.hear(22, 1)
    data, _ = first_report(party)
    assert len(rtcp.parse(data)) == 2


def test_reports_that_a_stall_has_put_off_come_a_few_at_a_time_and_farewells_at_once():
    count = 3 * MOST
    senders, sources = Senders(count), Sources(count)
    reporter = Reporter(senders, sources)
    reporter.grow(count)
    for slot in range(count):
        senders.open(slot, 1000 + slot, 1, 1)
        reporter.open(slot, "peer", START)
    leaving = list(range(count - 2, count))
    for slot in leaving:
        reporter.goodbye(slot)
    seen = []
    for _ in range(3):
        slots = reporter.due(START + INTERVAL, lambda slot: 0)[2].tolist()
        assert 0 < len(slots) <= MOST
        seen.append(slots)
    assert set(leaving) <= set(seen[0])
    assert sorted(slot for slots in seen for slot in slots) == list(range(count))


def test_reports_that_are_due_within_a_tenth_of_a_second_are_made_together():
    senders, sources = Senders(3), Sources(3)
    reporter = Reporter(senders, sources)
    reporter.grow(3)
    for slot, ssrc in enumerate((1000, 1000, 5)):
        senders.open(slot, ssrc, 1, 1)
        reporter.open(slot, "peer", START + (0.0, 0.09, 2.0)[slot])
    made = []
    for tick in range(150):
        slots = reporter.due(START + tick * 0.02, lambda slot: 0)[2].tolist()
        made += [slots] if slots else []
    assert made[0] == [0, 1]
