"""The engine with the real RTP plane: packets in, packets out."""

import itertools
import struct

import numpy as np
import pytest

from softswitch.audio.g711 import ULAW_DECODE, ULAW_ENCODE, decode, encode
from softswitch.media import messages as m
from softswitch.media.engine.engine import Engine
from softswitch.media.rtp.plane import RtpPlane
from tests.media.rig import Rig, sine, steady

PCMU = m.PayloadFormat("PCMU", 0, 8000)
EVENTS = m.PayloadFormat("telephone-event", 101, 8000)


class RtpRig(Rig):
    """A rig whose RTP ports speak G.711 to a remote party that keeps perfect time."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = Engine(plane=RtpPlane())
        self.sent: dict[int, int] = {}

    def phone(self, mix: int = 1) -> int:
        port = self.new_id()
        parameters = m.RtpParameters((PCMU, EVENTS), PCMU, EVENTS, ssrc=100 + port, cname="us")
        self.post(m.AddRtpPort(port, mix, parameters), m.ConnectPlain(port, -1, "127.0.0.1", 9))
        return port

    def speak(self, port: int, pcm) -> None:
        """Send one packet of 160 samples."""
        number = self.sent.get(port, 0)
        self.sent[port] = number + 1
        head = struct.pack(">BBHII", 0x80, 0, number & 0xFFFF, number * 160, 7000 + port)
        self.engine.deliver(port, head + encode(ULAW_ENCODE, pcm.astype(np.float32)).tobytes())

    def packets(self, port: int) -> list[bytes]:
        return [data for data in self.datagrams.get(port, []) if not 192 <= data[1] <= 223]

    def control_packets(self, port: int) -> list[bytes]:
        return [data for data in self.datagrams.get(port, []) if 192 <= data[1] <= 223]


@pytest.fixture
def rig() -> RtpRig:
    return RtpRig()


def sound_of(packets: list[bytes]):
    return decode(ULAW_DECODE, np.frombuffer(b"".join(data[12:] for data in packets), np.uint8))


def test_two_phones_hear_each_other_and_not_themselves(rig):
    one, other = rig.phone(), rig.phone()
    tone_of = {one: sine(40000, 400.0, rate=8000), other: sine(40000, 1000.0, rate=8000)}
    for tick in range(150):
        for port, tone in tone_of.items():
            rig.speak(port, tone[tick * 160 : (tick + 1) * 160])
        rig.tick()
    for port, wanted, own in ((one, 1000.0, 400.0), (other, 400.0, 1000.0)):
        heard = sound_of(rig.packets(port))[-8000:]
        spectrum = np.abs(np.fft.rfft(heard * np.hanning(8000)))
        assert spectrum[int(wanted)] == pytest.approx(8000 * 2000, rel=0.05)
        assert spectrum[int(own)] < spectrum[int(wanted)] / 300


def test_packets_are_in_step_whatever_is_played(rig):
    port = rig.phone()
    rig.track(pcm=steady(1000.0, 9600), end=True)
    rig.tick(50)
    heads = [struct.unpack(">BBHII", data[:12]) for data in rig.packets(port)]
    assert len(heads) >= 49
    assert {b - a for (_, _, a, _, _), (_, _, b, _, _) in itertools.pairwise(heads)} == {1}
    assert {b - a for (*_, a, _), (*_, b, _) in itertools.pairwise(heads)} == {160}
    assert {head[4] for head in heads} == {100 + port}


def test_goodbye_is_said_and_statistics_are_reported(rig):
    port = rig.phone()
    for _ in range(100):
        rig.speak(port, steady(100.0, 160))
        rig.tick()
    rig.post(m.RemovePort(port))
    reports = rig.tick()
    [closed] = [report for report in reports if isinstance(report, m.PortClosed)]
    assert closed.statistics["packets_received"] == 100
    assert closed.statistics["packets_sent"] >= 99
    assert closed.statistics["packets_lost"] == 0
    bye = rig.control_packets(port)[-1]
    assert 203 in {bye[1], *(bye[place + 1] for place in range(0, len(bye) - 3, 4) if bye[place] >> 6 == 2)}
    rig.forget()
    rig.tick(10)
    assert not rig.datagrams


def test_silence_of_the_remote_party_is_reported_and_its_return(rig):
    port = rig.phone()
    rig.speak(port, steady(0.0, 160))
    rig.tick(160)
    [began, silent] = [report for report in rig.reports if isinstance(report, m.MediaResumed | m.MediaSilent)]
    assert isinstance(began, m.MediaResumed)
    assert isinstance(silent, m.MediaSilent)
    assert silent.seconds == pytest.approx(3.0, abs=0.1)
    rig.speak(port, steady(0.0, 160))
    assert m.MediaResumed in [type(report) for report in rig.tick(2)]


def test_digits_are_sent_as_events(rig):
    port = rig.phone()
    rig.tick(5)
    rig.post(m.SendDigits(port, "5", 100, 70))
    rig.tick(20)
    events = [data for data in rig.packets(port) if data[1] & 0x7F == 101]
    assert {data[12] for data in events} == {5}
    assert [report.digits for report in rig.reported(m.DigitsSent)] == ["5"]


def test_rubbish_costs_nothing(rig, random):
    port, monitor = rig.phone(), rig.feed_port(speaks=False)
    for tick in range(100):
        rig.speak(port, sine(160, 400.0, rate=8000) if tick else steady(0.0, 160))
        for _ in range(5):
            rig.engine.deliver(port, random.randbytes(random.randrange(0, 200)))
        rig.tick()
    assert rig.reported(m.PortFailed) == []
    assert rig.engine.counters["step_errors"] == 0
    assert np.abs(rig.heard(monitor)[24000:]).max() > 5000


def test_new_owner_of_a_slot_is_not_heard_with_the_old_voice(rig):
    old = rig.phone()
    for _ in range(50):
        rig.speak(old, sine(160, 400.0, rate=8000))
        rig.tick()
    rig.post(m.RemovePort(old))
    rig.tick()
    monitor = rig.feed_port(speaks=False)
    new = rig.phone()
    rig.forget()
    rig.tick(10)
    for _ in range(50):
        rig.speak(new, steady(0.0, 160))
        rig.tick()
    assert np.abs(rig.heard(monitor)).max() < 20


def test_counters_of_the_plane_are_shown(rig):
    port = rig.phone()
    for _ in range(60):
        rig.speak(port, steady(0.0, 160))
        rig.tick()
    assert rig.engine.rtp_counters["received"] >= 40
