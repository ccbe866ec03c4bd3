"""Two phones alone in a call: their packets go on as they came, until something else is to be heard."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.audio.bank import bank_for
from softswitch.audio.g711 import ULAW_ENCODE, encode
from softswitch.audio.vad import EnergyBank
from softswitch.media import messages as m
from softswitch.media.engine.engine import Engine
from softswitch.media.rtp.formats import CODECS, kind_of
from softswitch.media.rtp.plane import RtpPlane
from softswitch.media.rtp.secure import SrtpPair
from tests.media.engine.test_engine_rtp import EVENTS, PCMU, RtpRig, sound_of
from tests.media.rig import sine, steady
from tests.media.rtp.rtp_pair import FORMATS
from tests.rtp.wire import datagrams

TONE = sine(2000 * 160, 437.0, rate=8000)
CODES = encode(ULAW_ENCODE, TONE).tobytes()


class CallRig(RtpRig):
    """Two phones, of which the first speaks a tone."""

    def __init__(self, **options) -> None:
        super().__init__()
        self.engine = Engine(plane=RtpPlane(), vads={"energy": EnergyBank}, **options)

    def call(self) -> tuple[int, int]:
        pair = self.phone(), self.phone()
        self.tick()
        return pair

    def talk(self, speaker: int, other: int, ticks: int, *, lost=()) -> None:
        for tick in range(ticks):
            at = self.sent.get(speaker, 0)
            if tick in lost:
                self.sent[speaker] = at + 1
            else:
                self.speak(speaker, TONE[160 * at : 160 * at + 160])
            self.speak(other, np.zeros(160))
            self.tick()

    def press(self, port: int, *, kind: int = 101, ends: int = 3) -> None:
        """Press a 5 for 60 ms, in place of audio."""
        began = self.sent[port]
        for step in range(1, 3 + ends):
            number = self.sent[port]
            self.sent[port] = number + 1
            flags = 0x8A if step >= 3 else 0x0A
            payload = bytes((5, flags)) + min(160 * step, 480).to_bytes(2)
            marker = 0x80 if step == 1 else 0
            head = bytes((0x80, kind | marker)) + number.to_bytes(2)
            head += (began * 160).to_bytes(4) + (7000 + port).to_bytes(4)
            self.engine.deliver(port, head + payload)
            self.tick()


@pytest.fixture
def rig() -> CallRig:
    return CallRig()


def test_beeps_of_a_recording_end_a_relay_until_it_pauses(rig, tmp_path):
    one, two = rig.call()
    rig.talk(one, two, 5)
    assert rig.engine.relaying == 2
    rig.post(m.StartRecorder(7, one, str(tmp_path / "a.wav"), tone_ms=2000))
    rig.talk(one, two, 5)
    assert rig.engine.relaying == 0
    rig.post(m.PauseRecorder(7, paused=True))
    rig.talk(one, two, 5)
    assert rig.engine.relaying == 2
    rig.engine.stop()


def numbers(packets):
    return np.array([int.from_bytes(data[2:4]) for data in packets])


def stamps(packets):
    return np.array([int.from_bytes(data[4:8]) for data in packets])


def assert_even(packets):
    """Check that neither numbers nor timestamps show that anything has changed."""
    assert (np.diff(numbers(packets)) % 65536 == 1).all()
    assert (np.diff(stamps(packets)) % 2**32 == 160).all()


def test_packets_go_on_in_the_tick_they_came_in(rig):
    one, other = rig.call()
    rig.talk(one, other, 10)
    assert rig.engine.relaying == 2
    rig.forget()
    rig.talk(one, other, 1)
    [packet] = rig.packets(other)
    assert packet[12:] == CODES[1600:1760]
    assert int.from_bytes(packet[8:12]) == 100 + other
    rig.talk(one, other, 50)
    assert_even(rig.packets(other))
    assert rig.engine.rtp_counters["relayed"] > 0


def test_packets_need_not_wait_for_the_tick(rig):
    one, other = rig.call()
    third = rig.phone(mix=2)
    rig.talk(one, other, 10)
    rig.forget()
    rig.speak(one, np.zeros(160))
    rig.speak(third, np.zeros(160))
    output = rig.engine.relay_now(rig.now)
    [(port, packet)] = output.datagrams
    assert port == other
    assert len(packet) == 172
    assert not output.reports
    # What came to a port that is mixed still waits for the tick.
    assert len(rig.engine._parts.ingress.inboxes[third]) == 1
    rig.talk(one, other, 10)
    assert (np.diff(numbers([packet, *rig.packets(other)])) % 65536 == 1).all()


def test_relayed_port_counts_and_reports_as_any_other(rig):
    one, other = rig.call()
    rig.talk(one, other, 400, lost={100})
    reports = rig.control_packets(other)
    assert reports
    assert {data[1] for data in reports} == {200}
    rig.post(m.RemovePort(one), m.RemovePort(other))
    rig.tick(2)
    closed = {report.port: report.statistics for report in rig.reported(m.PortClosed)}
    assert closed[one]["packets_received"] == 399
    assert closed[one]["packets_lost"] == 1
    assert closed[other]["packets_sent"] == pytest.approx(400, abs=2)
    assert closed[one]["jitter_ms"] == 0.0


def test_loss_is_left_to_be_seen_by_the_remote_party(rig):
    one, other = rig.call()
    rig.talk(one, other, 10)
    rig.forget()
    rig.talk(one, other, 10, lost={4, 5})
    packets = rig.packets(other)
    assert len(packets) == 8
    assert (np.diff(numbers(packets)) % 65536).tolist() == [1, 1, 1, 3, 1, 1, 1]
    assert (np.diff(stamps(packets)) % 2**32).tolist() == [160, 160, 160, 480, 160, 160, 160]


def test_silence_is_still_reported(rig):
    one, other = rig.call()
    rig.talk(one, other, 10)
    for _ in range(200):
        rig.speak(one, steady(0.0, 160))
        rig.tick()
    assert [report.port for report in rig.reported(m.MediaSilent)] == [other]
    rig.talk(one, other, 2)
    assert rig.reported(m.MediaResumed)[-1].port == other


def switch_track(rig, _one, _other):
    track = rig.new_id()
    rig.post(m.AddTrack(track, 1))
    return m.EndTrack(track)


def switch_hold(_rig, one, _other):
    _rig.post(m.SetHeld(one, True))
    return m.SetHeld(one, False)


def switch_denoise(rig, one, _other):
    rig.post(m.SetDenoise(one, True))
    return m.SetDenoise(one, False)


def switch_third(rig, _one, _other):
    third = rig.feed_port(speaks=False)
    return m.RemovePort(third)


def switch_whisper(rig, one, _other):
    supervisor = rig.feed_port(mix=2)
    rig.post(m.JoinMix(supervisor, 1, (one,)))
    return m.JoinMix(supervisor, 1, ())


CHANGES = [switch_track, switch_hold, switch_denoise, switch_third, switch_whisper]


class Unchanged:
    """A denoiser that finds no noise."""

    def process(self, row):
        return row


@pytest.mark.parametrize("change", CHANGES)
def test_remote_party_does_not_hear_the_change_to_mixing_and_back(change):
    rig = CallRig(denoiser=Unchanged)
    one, other = rig.call()
    rig.talk(one, other, 60)
    undo = change(rig, one, other)
    rig.talk(one, other, 60)
    assert rig.engine.relaying == 0
    rig.post(undo)
    rig.talk(one, other, 60)
    assert rig.engine.relaying == 2
    packets = rig.packets(other)
    assert_even(packets)
    sound = sound_of(packets)[1600:]
    steepest = np.abs(np.diff(TONE)).max()
    assert np.abs(np.diff(sound)).max() < 1.5 * steepest
    frames = sound[: len(sound) // 160 * 160].reshape(-1, 160)
    loudness = np.sqrt((frames**2).mean(axis=1))
    assert loudness.min() > 0.8 * np.median(loudness)


def test_track_is_heard_at_once_and_goes_when_it_ends(rig):
    one, other = rig.call()
    rig.talk(one, other, 20)
    rig.track(pcm=steady(3000.0, 480 * 5), end=True)
    rig.forget()
    for _ in range(10):
        rig.speak(one, np.zeros(160))
        rig.speak(other, np.zeros(160))
        rig.tick()
    for port in (one, other):
        assert np.median(sound_of(rig.packets(port)[1:4])) == pytest.approx(3000, rel=0.1)
    rig.talk(one, other, 20)
    assert rig.engine.relaying == 2


@pytest.mark.parametrize(
    "order",
    [
        lambda port: m.SetMuted(port, True),
        lambda port: m.SetDirection(port, sends=False),
        lambda port: m.SetDirection(port, receives=False),
        lambda port: m.JoinMix(port, 2),
        m.RemovePort,
    ],
)
def test_port_that_is_not_simply_talking_is_not_relayed(rig, order):
    one, other = rig.call()
    rig.talk(one, other, 10)
    rig.post(order(one))
    rig.tick(3)
    assert rig.engine.relaying == 0


def test_muted_remote_party_is_not_heard_any_more(rig):
    one, other = rig.call()
    rig.talk(one, other, 20)
    rig.post(m.SetMuted(one, True))
    rig.talk(one, other, 5)
    assert np.abs(sound_of(rig.packets(other)[-3:])).max() < 50


def test_what_only_listens_does_not_end_a_relay(rig, tmp_path):
    one, other = rig.call()
    tap, monitor, recorder = rig.new_id(), rig.new_id(), rig.new_id()
    rig.post(
        m.SetVad(one, "energy"),
        m.SetInbandDtmf(other, True),
        m.AddTap(tap, one, "inbound", 8000),
        m.AddTap(monitor, other, "outbound", 8000),
        m.StartRecorder(recorder, one, str(tmp_path / "call.wav"), 8000),
    )
    rig.talk(one, other, 10)
    rig.forget()
    rig.talk(one, other, 60)
    assert rig.engine.relaying == 2
    assert rig.packets(other)[0][12:] == CODES[1600:1760]
    assert rig.reported(m.SpeechStarted)[0].port == one
    for copy in (tap, monitor):
        heard = np.frombuffer(b"".join(rig.frames[copy]), "<i2")
        assert np.abs(heard).max() == pytest.approx(np.abs(TONE).max(), rel=0.05)
    rig.post(m.SetVad(one), m.SetInbandDtmf(other, False), m.RemoveTap(tap), m.RemoveTap(monitor))
    rig.post(m.StopRecorder(recorder))
    rig.talk(one, other, 20)
    assert_even(rig.packets(other))
    rig.engine.stop()


def test_supervisor_who_listens_does_not_end_a_relay(rig):
    one, other = rig.call()
    rig.talk(one, other, 10)
    supervisor = rig.phone()
    rig.post(m.JoinMix(supervisor, 1, ()))
    rig.talk(one, other, 5)
    rig.forget()
    rig.talk(one, other, 60)
    assert rig.engine.relaying == 2
    assert rig.packets(other)[0][12:] == CODES[2400:2560]
    heard = sound_of(rig.packets(supervisor))[1600:]
    assert np.abs(heard).max() == pytest.approx(np.abs(TONE).max(), rel=0.05)
    rig.post(m.RemovePort(supervisor))
    rig.talk(one, other, 20)
    assert_even(rig.packets(other))
    assert rig.engine.relaying == 2


def test_keys_cross_as_they_are_pressed(rig):
    one = rig.new_id()
    remote = m.PayloadFormat("telephone-event", 96, 8000)
    parameters = m.RtpParameters((PCMU, remote), PCMU, remote, ssrc=100 + one, cname="us")
    rig.post(m.AddRtpPort(one, 1, parameters), m.ConnectPlain(one, -1, "127.0.0.1", 9))
    other = rig.phone()
    rig.tick()
    rig.talk(one, other, 10)
    rig.forget()
    rig.press(one, kind=96)
    packets = [data for data in rig.packets(other) if data[1] & 127 == 101]
    assert [data[12:] for data in packets] == [
        bytes((5, flags)) + units.to_bytes(2)
        for flags, units in ((10, 160), (10, 320), (138, 480), (138, 480), (138, 480))
    ]
    assert [data[1] >> 7 for data in packets] == [1, 0, 0, 0, 0]
    assert len(set(stamps(packets).tolist())) == 1
    [digit] = rig.reported(m.DigitReceived)
    assert (digit.port, digit.digit, digit.crossed) == (one, "5", True)
    rig.talk(one, other, 3)
    packets = rig.packets(other)
    assert (np.diff(numbers(packets)) % 65536 == 1).all()
    # The key's time is that of the audio in whose place it was pressed.
    assert stamps(packets)[-1] - stamps(packets)[0] == 160 * 7
    assert packets[-1][1] == 0


def test_keys_are_kept_from_a_phone_without_telephone_events(rig):
    one, other = rig.phone(), rig.new_id()
    deaf = m.RtpParameters((PCMU,), PCMU, ssrc=100 + other, cname="us")
    rig.post(m.AddRtpPort(other, 1, deaf), m.ConnectPlain(other, -1, "127.0.0.1", 9))
    rig.tick()
    rig.talk(one, other, 10)
    assert rig.engine.relaying == 2
    rig.forget()
    rig.press(one)
    assert not rig.reported(m.DigitReceived)[0].crossed
    # The call sends the digit as a tone, through the bus; afterwards the packets are relayed again.
    rig.post(m.SendDigits(other, "5", 60, 60))
    rig.talk(one, other, 1)
    assert rig.engine.relaying == 0
    rig.talk(one, other, 20)
    assert rig.engine.relaying == 2
    assert rig.reported(m.DigitsSent)
    packets = rig.packets(other)
    assert (np.diff(numbers(packets)) % 65536 == 1).all()
    assert {data[1] & 127 for data in packets} == {0}


def test_digits_of_the_switch_interrupt_a_relay_as_long_as_they_take(rig):
    one, other = rig.call()
    rig.talk(one, other, 10)
    rig.post(m.SendDigits(other, "7", 60, 60))
    rig.talk(one, other, 1)
    assert rig.engine.relaying == 0
    rig.talk(one, other, 20)
    assert rig.engine.relaying == 2
    packets = rig.packets(other)
    assert (np.diff(numbers(packets)) % 65536 == 1).all()
    assert {data[1] & 127 for data in packets} == {0, 101}


def test_comfort_noise_is_made_here(rig):
    one, other = rig.call()
    rig.talk(one, other, 10)
    number = rig.sent[one]
    head = bytes((0x80, 13)) + number.to_bytes(2) + (number * 160).to_bytes(4) + (7000 + one).to_bytes(4)
    rig.engine.deliver(one, head + b"\x30")
    rig.tick(5)
    assert rig.engine.relaying == 0
    assert len(rig.packets(other)) >= 14
    # It stays so: who pauses once will pause again.
    rig.sent[one] = number + 6
    rig.talk(one, other, 10)
    assert rig.engine.relaying == 0


def test_source_that_begins_anew_goes_on_evenly(rig):
    one, other = rig.call()
    rig.talk(one, other, 20)
    rig.forget()
    for number in range(20):
        head = bytes((0x80, 0)) + (40000 + number).to_bytes(2) + (160 * number).to_bytes(4) + bytes(4)
        rig.engine.deliver(one, head + b"\x12" * 160)
        rig.tick()
    packets = rig.packets(other)
    assert len(packets) >= 15
    steps = np.diff(stamps(packets)) % 2**32
    assert steps.max() <= 160 * 4
    assert steps.min() > 0
    assert (np.diff(numbers(packets)) % 65536).max() <= 3


def test_pause_of_a_relayed_source_is_seen_in_its_time_when_mixing_begins(rig):
    one, other = rig.call()
    rig.talk(one, other, 20)
    for _ in range(50):
        rig.speak(other, np.zeros(160))
        rig.tick()
    last = stamps(rig.packets(other))[-1]
    rig.post(m.AddTrack(rig.new_id(), 1))
    rig.tick(2)
    packets = rig.packets(other)
    assert (stamps(packets)[-1] - last) // 160 == pytest.approx(52, abs=1)
    assert packets[-2][1] == 0x80


@pytest.mark.parametrize("name", ["PCMA", "G722", "opus"])
def test_other_codecs_are_relayed_and_mixed_without_a_gap(name):
    rig = CallRig()
    audio = FORMATS[name]
    ports = []
    for number, kind in enumerate((audio.payload_type, 99)):
        port = rig.new_id()
        own = m.PayloadFormat(audio.name, kind if name == "opus" else audio.payload_type, audio.clock_rate)
        parameters = m.RtpParameters((own,), own, ssrc=100 + number, cname="us")
        rig.post(m.AddRtpPort(port, 1, parameters), m.ConnectPlain(port, -1, "127.0.0.1", 9))
        ports.append((port, own))
    source = RtpPlane(1)
    source.open(0, 1, m.RtpParameters((audio,), audio, ssrc=5), 0.0)
    (one, _), (other, remote) = ports
    step = audio.clock_rate // 50
    tone = sine(150 * 480, 437.0).astype(np.float32).reshape(-1, 1, 480)
    for tick in range(150):
        if tick == 50:
            track = rig.new_id()
            rig.post(m.AddTrack(track, 1))
        if tick == 100:
            rig.post(m.EndTrack(track))
        rows, lengths, _ = source.push(tone[tick], np.array([0]), rig.now)
        rig.engine.deliver(one, rows[0, : lengths[0]].tobytes())
        rig.tick()
        assert rig.engine.relaying == (0 if 50 <= tick < 101 else 2)
    packets = rig.packets(other)
    assert {data[1] & 127 for data in packets} == {remote.payload_type}
    assert (np.diff(numbers(packets)) % 65536 == 1).all()
    assert (np.diff(stamps(packets)) % 2**32 == step).all()
    monitor = RtpPlane(1)
    monitor.open(0, 1, m.RtpParameters((remote,), remote, ssrc=6), 0.0)
    heard = []
    for tick, data in enumerate(packets):
        row = np.frombuffer(data, np.uint8).reshape(1, -1)
        monitor.receive(row, np.array([len(data)]), np.array([0]), 500 + 0.02 * tick)
        frame = np.zeros((1, 480), np.float32)
        monitor.pull(np.array([0]), frame, 500 + 0.02 * tick)
        heard.append(frame[0])
    loudness = np.sqrt((np.stack(heard)[15:] ** 2).mean(axis=1))
    assert loudness.min() > 0.6 * np.median(loudness)


class Between(CallRig):
    """A call of two phones with different codecs, of which the first speaks a tone."""

    def __init__(self, name: str, other: str, *, ptime_ms: int = 20) -> None:
        super().__init__()
        self.names, self.ports = (name, other), []
        for number, codec in enumerate(self.names):
            audio = FORMATS[codec]
            keys = m.PayloadFormat("telephone-event", 101, audio.clock_rate)
            port = self.new_id()
            self.post(
                m.AddRtpPort(
                    port, 1, m.RtpParameters((audio, keys), audio, keys, ssrc=100 + number, cname="us")
                ),
                m.ConnectPlain(port, -1, "127.0.0.1", 9),
            )
            self.ports.append(port)
        audio = FORMATS[name]
        self.source = RtpPlane(1)
        self.source.open(0, 1, m.RtpParameters((audio,), audio, ssrc=5, ptime_ms=ptime_ms), 0.0)
        self.tone = sine(400 * 480, 437.0).astype(np.float32).reshape(-1, 1, 480)
        self.at = 0

    def carry(self, ticks: int, *, lost=()) -> None:
        for tick in range(ticks):
            packets = self.source.push(self.tone[self.at], np.array([0]), self.now)
            self.at += 1
            for _, data in datagrams(packets):
                if tick not in lost:
                    self.engine.deliver(self.ports[0], data)
            self.tick()

    def decoded(self):
        """Return what the second phone decodes, packet by packet, at its codec's rate."""
        codec = CODECS[kind_of(self.names[1]) or 0]
        bank, slot = bank_for(codec, 1), np.zeros(1, np.intp)
        packets = [np.frombuffer(data[12:], np.uint8)[None] for data in self.packets(self.ports[1])]
        return [bank.decode(data, np.array([data.shape[1]]), slot)[0][0] for data in packets]


PAIRS = [
    ("PCMU", "opus"), ("opus", "PCMU"), ("PCMA", "opus"), ("opus", "PCMA"), ("PCMU", "G722"),
    ("G722", "PCMU"), ("G722", "opus"), ("opus", "G722"), ("PCMU", "PCMA"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "other"), PAIRS)
def test_different_codecs_are_converted_and_mixed_without_a_click(name, other):
    rig = Between(name, other)
    rig.carry(50)
    assert rig.engine.relaying == 2
    track = rig.new_id()
    rig.post(m.AddTrack(track, 1))
    rig.carry(50)
    assert rig.engine.relaying == 0
    rig.post(m.EndTrack(track))
    rig.carry(50)
    assert rig.engine.relaying == 2
    packets = rig.packets(rig.ports[1])
    assert (np.diff(numbers(packets)) % 65536 == 1).all()
    assert (np.diff(stamps(packets)) % 2**32 == FORMATS[other].clock_rate // 50).all()
    frames = rig.decoded()
    loudness = np.array([np.sqrt(np.mean(frame**2)) for frame in frames[10:]])
    assert loudness.min() > 0.6 * np.median(loudness)
    # A click bends the sound: the second difference shows it, of G.711 with the steps of its quantisation.
    bends = np.abs(np.diff(np.concatenate(frames), 2))
    bends = bends[: len(bends) // 50 * 50].reshape(-1, 50).max(axis=1)
    settled = np.median(bends[len(bends) // 5 :])
    assert bends[len(bends) // 10 :].max() < 6 * settled


@pytest.mark.parametrize("ptime_ms", [10, 30, 40, 60])
@pytest.mark.parametrize(("name", "other"), [("PCMU", "opus"), ("G722", "PCMA"), ("opus", "G722")])
def test_packets_of_any_duration_are_converted_as_they_come(name, other, ptime_ms):
    rig = Between(name, other, ptime_ms=ptime_ms)
    rig.carry(60)
    assert rig.engine.relaying == 2
    packets = rig.packets(rig.ports[1])
    assert (np.diff(numbers(packets)) % 65536 == 1).all()
    # No packet lasts longer than the target asked for, if it can be cut so.
    longest = 30 if (ptime_ms, name) == (30, "G722") else 20
    assert (np.diff(stamps(packets)) % 2**32).max() <= FORMATS[other].clock_rate * longest // 1000
    sound = np.concatenate(rig.decoded())
    assert len(sound) == pytest.approx(60 * CODECS[kind_of(other) or 0].sample_rate / 50, rel=0.06)
    settled = np.concatenate(rig.decoded()[10:])
    assert np.sqrt(np.mean(settled**2)) == pytest.approx(8000 / np.sqrt(2), rel=0.12)


@pytest.mark.parametrize(("name", "other"), [("PCMU", "opus"), ("G722", "PCMU")])
def test_losses_of_a_converted_source_stay_gaps(name, other):
    rig = Between(name, other)
    rig.carry(20)
    rig.forget()
    rig.carry(10, lost={4, 5})
    packets = rig.packets(rig.ports[1])
    assert (np.diff(numbers(packets)) % 65536).tolist() == [1, 1, 1, 3, 1, 1, 1]
    step = FORMATS[other].clock_rate // 50
    assert (np.diff(stamps(packets)) % 2**32 // step).tolist() == [1, 1, 1, 3, 1, 1, 1]


def test_packet_that_opus_repeats_is_sent_before_the_one_it_came_in():
    rig = Between("opus", "PCMU")
    rig.carry(40)
    rig.forget()
    rig.carry(10, lost={5})
    packets = rig.packets(rig.ports[1])
    assert (np.diff(numbers(packets)) % 65536 == 1).all()
    assert (np.diff(stamps(packets)) % 2**32 == 160).all()
    assert rig.engine._parts.plane.counters["recovered"] == 1
    loudness = [np.sqrt(np.mean(frame**2)) for frame in rig.decoded()]
    # The redundancy is coarse for a pure tone.
    assert min(loudness) > 0.2 * np.median(loudness)


def test_converted_packets_need_not_wait_for_the_tick():
    rig = Between("PCMU", "opus")
    rig.carry(20)
    [(_, data)] = datagrams(rig.source.push(rig.tone[0], np.array([0]), rig.now))
    rig.engine.deliver(rig.ports[0], data)
    [(port, packet)] = rig.engine.relay_now(rig.now).datagrams
    assert port == rig.ports[1]
    assert packet[1] & 127 == FORMATS["opus"].payload_type


@pytest.mark.parametrize(("name", "other", "factor"), [("PCMU", "opus", 6), ("opus", "PCMU", 1 / 6)])
def test_keys_cross_between_clocks(name, other, factor):
    rig = Between(name, other)
    rig.carry(20)
    rig.forget()
    clock = FORMATS[name].clock_rate
    pressed = rig.at * clock // 50
    for step in range(1, 7):
        number = rig.at
        payload = bytes((5, 0x8A if step > 3 else 0x0A)) + (min(step, 4) * clock // 50).to_bytes(2)
        head = bytes((0x80, 101 | (0x80 if step == 1 else 0))) + number.to_bytes(2)
        head += pressed.to_bytes(4) + (5).to_bytes(4)
        rig.engine.deliver(rig.ports[0], head + payload)
        rig.source.push(rig.tone[0], np.array([0]), rig.now)
        rig.at += 1
        rig.tick()
    keys = rig.packets(rig.ports[1])
    assert {data[1] & 127 for data in keys} == {101}
    assert len({data[4:8] for data in keys}) == 1
    durations = [int.from_bytes(data[14:16]) for data in keys]
    assert durations[0] == round(clock // 50 * factor)
    assert max(durations) == round(4 * clock // 50 * factor)
    [digit] = rig.reported(m.DigitReceived)
    assert digit.crossed
    assert rig.engine.relaying == 2


def test_source_of_odd_durations_goes_through_the_bus():
    rig = Between("PCMU", "opus")
    rig.carry(20)
    assert rig.engine.relaying == 2
    packet = rig.source.push(rig.tone[0], np.array([0]), rig.now)[0][0]
    rig.engine.deliver(rig.ports[0], packet[: 12 + 133].tobytes())
    rig.tick(2)
    assert rig.engine.relaying == 0


def test_long_packets_are_relayed_as_they_are(rig):
    one, other = rig.call()
    for number in range(20):
        head = bytes((0x80, 0)) + number.to_bytes(2) + (240 * number).to_bytes(4) + bytes(4)
        rig.engine.deliver(one, head + b"\x12" * 240)
        rig.tick(2 if number % 2 else 1)
    lengths = {len(data) for data in rig.packets(other)[5:]}
    assert lengths == {252}


def test_rest_of_a_long_packet_is_sent_before_relaying(rig):
    one, other = rig.phone(), rig.new_id()
    long = m.RtpParameters((PCMU, EVENTS), PCMU, EVENTS, ssrc=9, cname="us", ptime_ms=60)
    rig.post(m.AddRtpPort(other, 1, long), m.ConnectPlain(other, -1, "127.0.0.1", 9))
    track = rig.track(pcm=steady(10.0, 480))
    rig.talk(one, other, 20)
    rig.post(m.EndTrack(track))
    rig.talk(one, other, 20)
    packets = rig.packets(other)
    assert (np.diff(numbers(packets)) % 65536 == 1).all()
    octets = np.array([len(data) - 12 for data in packets])
    assert (np.diff(stamps(packets)) % 2**32 == octets[:-1]).all()
    assert {480, 160} <= set(octets.tolist())


def test_nothing_is_relayed_where_that_is_switched_off():
    rig = CallRig(relays=False)
    one, other = rig.call()
    rig.talk(one, other, 10)
    assert rig.engine.relaying == 0
    assert rig.engine.rtp_counters["relayed"] == 0


steps = st.lists(
    st.tuples(
        st.sampled_from(["track", "vad", "mute", "talk", "pause", "digits"]),
        st.integers(1, 15),
        st.booleans(),
    ),
    max_size=12,
)


@given(steps)
@settings(max_examples=40, deadline=None)
def test_time_never_goes_back_whatever_is_switched(script):
    rig = CallRig()
    one, other = rig.call()
    rig.talk(one, other, 5)
    track = 0
    for what, ticks, on in script:
        if what == "track" and not track:
            track = rig.new_id()
            rig.post(m.AddTrack(track, 1))
        elif what == "track":
            rig.post(m.EndTrack(track))
            track = 0
        elif what == "vad":
            rig.post(m.SetVad(one, "energy" if on else ""))
        elif what == "mute":
            rig.post(m.SetMuted(one, on))
        elif what == "digits":
            rig.post(m.SendDigits(other, "1"))
        if what == "pause":
            rig.sent[one] += ticks
            rig.tick(ticks)
        else:
            rig.talk(one, other, ticks, lost={0} if on else ())
    packets = [data for data in rig.packets(other) if data[1] & 127 == 0]
    apart = (np.diff(stamps(packets)) % 2**32).astype(np.int64)
    assert (apart > 0).all()
    assert (apart < 2**31).all()
    assert (np.diff(numbers(rig.packets(other))) % 65536 < 2000).all()
    assert rig.engine.counters["step_errors"] == rig.engine.counters["port_failures"] == 0


def test_encrypted_ends_are_relayed_with_keys_of_their_own():
    rig = CallRig()
    profile, local, remote = "AES128_CM_SHA1_80", bytes(range(30)), bytes(range(60, 90))
    one, other = rig.new_id(), rig.phone()
    parameters = m.RtpParameters((PCMU, EVENTS), PCMU, EVENTS, ssrc=100 + one, sequence=65530, cname="us")
    rig.post(m.AddRtpPort(one, 1, parameters), m.ConnectSecure(one, remote, local, profile))
    far = SrtpPair(local, remote, profile)
    track = 0
    heard: list[bytes] = []
    for tick in range(60):
        if tick == 20:
            track = rig.track()
        if tick == 40:
            rig.post(m.EndTrack(track))
        rig.speak(other, TONE[160 * tick : 160 * tick + 160])
        head = bytes((0x80, 0)) + tick.to_bytes(2) + (160 * tick).to_bytes(4) + bytes(4)
        rig.engine.deliver(one, far.protect(head + b"\xff" * 160))
        rig.datagrams.pop(one, None)
        rig.tick()
        heard += [plain for data in rig.packets(one) if isinstance(plain := far.unprotect(data), bytes)]
    assert rig.engine.relaying == 2
    assert len(heard) >= 55
    assert_even(heard)
    assert heard[10][12:] in CODES
    assert_even(rig.packets(other))
