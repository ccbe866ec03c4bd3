"""Beginnings and ends of speech."""

import numpy as np
import pytest

from softswitch.audio.pcm import FRAME
from softswitch.media import messages as m
from softswitch.media.engine.speech_gate import SpeechGate
from tests.media.rig import TICK, Rig, steady


class LevelBank:
    """Takes whatever is loud for speech, and notes the slots it was asked about."""

    rate = 16000

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.broken: set[int] = set()
        self.rows = 0

    def grow(self, slots):
        self.rows = slots

    def reset(self, slots):
        assert (slots < self.rows).all()

    def push(self, pcm, slots):
        assert pcm.shape == (len(slots), 320)
        if self.broken.intersection(slots.tolist()):
            raise RuntimeError("deaf")
        self.asked += slots.tolist()
        return (np.abs(pcm).mean(axis=1) > 500).astype(np.float32)


@pytest.fixture
def bank() -> LevelBank:
    return LevelBank()


@pytest.fixture
def rig(bank) -> Rig:
    return Rig(vads={"level": lambda: bank})


def watched(rig: Rig, mix=1, **options) -> int:
    port = rig.feed_port(mix)
    rig.post(m.SetVad(port, "level", **options))
    return port


def noise(seconds: float, level: float):
    return np.random.default_rng(2).normal(0, level, int(seconds * 24000)).astype(np.float32)


def test_speech_is_reported_when_it_has_lasted_with_its_true_beginning(rig):
    port = watched(rig, start_ms=200, stop_ms=300)
    rig.tick(10)
    began = rig.now - TICK
    rig.say(port, noise(1.0, 3000))
    rig.tick(9)
    assert rig.reports == []
    rig.tick()
    [started] = rig.reported(m.SpeechStarted)
    assert started.began == pytest.approx(began, abs=0.001)
    assert started.at == pytest.approx(began + 0.2, abs=0.001)
    rig.tick(40)
    ended = rig.now - TICK
    rig.tick(16)
    [stopped] = rig.reported(m.SpeechStopped)
    assert stopped.began == started.began
    assert stopped.ended == pytest.approx(ended, abs=0.041)
    assert stopped.at - stopped.ended == pytest.approx(0.3, abs=0.001)


def test_short_noise_is_no_speech(rig):
    port = watched(rig, start_ms=200)
    for _ in range(5):
        rig.say(port, noise(0.1, 3000))
        rig.tick(15)
    assert rig.reports == []


def test_short_pause_does_not_end_speech(rig):
    port = watched(rig, stop_ms=300)
    for _ in range(4):
        rig.say(port, np.concatenate((noise(0.4, 3000), steady(0.0, 24 * 200))))
    rig.tick(4 * 30)
    assert len(rig.reported(m.SpeechStarted)) == 1
    assert rig.reported(m.SpeechStopped) == []


def test_remote_party_that_vanishes_while_speaking_is_silent(rig):
    port = watched(rig, stop_ms=300)
    rig.say(port, noise(0.5, 3000))
    rig.tick(25)
    assert len(rig.reported(m.SpeechStarted)) == 1
    rig.tick(20)
    assert len(rig.reported(m.SpeechStopped)) == 1


def test_bank_is_not_asked_about_silence(rig, bank):
    watched(rig)
    rig.tick(50)
    assert bank.asked == []


def test_switching_off_ends_speech_and_so_does_going_away(rig):
    ports = [watched(rig), watched(rig)]
    for port in ports:
        rig.say(port, noise(1.0, 3000))
    rig.tick(20)
    rig.post(m.SetVad(ports[0]), m.RemovePort(ports[1]))
    reports = rig.tick()
    assert [type(report) for report in reports] == [m.SpeechStopped, m.SpeechStopped, m.PortClosed]
    assert all(report.ended == report.at for report in reports[:2])
    rig.tick(20)
    assert len(rig.reported(m.SpeechStarted)) == 2


def test_threshold_can_be_changed_on_the_way(rig):
    port = watched(rig, threshold=1.1)
    rig.say(port, noise(1.0, 3000))
    rig.tick(20)
    assert rig.reports == []
    rig.post(m.SetVad(port, "level", threshold=0.5))
    rig.tick(20)
    assert len(rig.reported(m.SpeechStarted)) == 1


def test_muted_port_does_not_speak(rig):
    port = watched(rig)
    rig.post(m.SetMuted(port, True))
    rig.say(port, noise(1.0, 3000))
    rig.tick(40)
    assert rig.reports == []


def test_unknown_kind_is_refused(rig):
    port = rig.feed_port()
    rig.post(m.SetVad(port, "psychic"))
    assert rig.tick() == []
    assert rig.engine.counters["refused_messages"] == 1


def test_row_that_breaks_the_bank_ends_alone(rig, bank):
    ports = [watched(rig, mix) for mix in range(1, 6)]
    for port in ports:
        rig.say(port, noise(1.0, 3000))
    rig.tick(5)
    bank.broken.add(rig.engine._parts.registry.get(ports[2]).slot)
    rig.tick(20)
    assert [report.port for report in rig.reported(m.PortFailed)] == [ports[2]]
    assert {report.port for report in rig.reported(m.SpeechStarted)} == set(ports) - {ports[2]}


def test_many_ports_grow_the_bank(rig, bank):
    ports = [watched(rig, mix) for mix in range(40)]
    for port in ports[::2]:
        rig.say(port, noise(0.5, 3000))
    rig.tick(30)
    assert bank.rows >= 40
    assert {report.port for report in rig.reported(m.SpeechStarted)} == set(ports[::2])


def gate(**options) -> SpeechGate:
    gate = SpeechGate()
    gate.grow(3)
    gate.open(1, **{"threshold": 0.5, "start_ms": 60, "stop_ms": 60} | options)
    return gate


def push(gate, probabilities):
    """Return (started, stopped) ticks."""
    started, stopped = [], []
    for tick, probability in enumerate(probabilities):
        begun, over = gate.push(np.array([probability], np.float32), np.array([1]), 100.0 + TICK * (tick + 1))
        started += [tick] * len(begun)
        stopped += [tick] * len(over)
    return started, stopped


def test_gate_bridges_a_dip_before_speech_is_sure():
    speech = gate(start_ms=120)
    assert push(speech, [1, 1, 0, 0, 1, 1, 1]) == ([5], [])
    assert speech.began[1] == 100.0


def test_gate_forgets_what_did_not_last():
    assert push(gate(start_ms=120), [1, 1, 0, 0, 0, 0, 1, 1, 1, 1]) == ([], [])


def test_gate_holds_speech_a_little_below_its_threshold():
    assert push(gate(), [0.4] * 5) == ([], [])
    assert push(gate(), [0.6] * 3 + [0.4] * 20 + [0.3] * 3) == ([2], [25])


def test_gate_without_a_least_duration_starts_at_once():
    assert push(gate(start_ms=0), [0, 1, 0, 0, 0]) == ([1], [4])


@pytest.mark.parametrize("seed", range(5))
def test_gate_takes_turns(seed):
    rng = np.random.default_rng(seed)
    started, stopped = push(gate(), np.repeat(rng.random(200), rng.integers(1, 9, 200)))
    merged = sorted([(tick, 1) for tick in started] + [(tick, 0) for tick in stopped])
    assert [kind for _, kind in merged] == [1, 0] * (len(merged) // 2) + [1] * (len(merged) % 2)
    assert len(merged) > 10
    assert FRAME
