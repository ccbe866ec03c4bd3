from functools import partial

import numpy as np
import pytest

from softswitch.audio.pcm import BUS_RATE, FRAME
from softswitch.audio.resample import Resampler
from softswitch.media.rtp.plane import RtpPlane
from softswitch.media.rtp.receive import _noise
from tests.media.rtp.rtp_pair import Pair, frequency, give, jumps, level, parameters, tone, voice
from tests.rtp.wire import datagrams, packet


@pytest.mark.parametrize("name", ["PCMU", "PCMA", "G722", "opus"])
@pytest.mark.parametrize("ptime", [10, 20, 30, 60])
def test_tone_arrives_whole_at_every_ptime(name, ptime):
    pair = Pair(name, ptime_ms=ptime)
    heard = pair.carry(tone(1.6))
    settled = heard[20:]
    assert frequency(settled) == pytest.approx(440, abs=3)
    assert level(settled) == pytest.approx(8000 / np.sqrt(2), rel=0.12)
    assert jumps(settled) < 1.5 * 8000 * 2 * np.pi * 440 / BUS_RATE
    counters = pair.far.counters
    assert (counters["concealed"], counters["lost"], counters["late"]) == (0, 0, 0)


def test_bus_is_silent_before_anything_is_known():
    pair = Pair()
    out = np.full((1, FRAME), 7.0, np.float32)
    pair.far.pull(np.array([0]), out, pair.now)
    assert not out.any()
    pair.far.pull(np.zeros(0, np.intp), np.zeros((0, FRAME), np.float32), pair.now)


@pytest.mark.parametrize("name", ["PCMU", "G722", "opus"])
def test_lost_packet_leaves_no_hole(name):
    pair = Pair(name)
    pair.drop = lambda tick, slot: tick == 40
    heard = pair.carry(tone(1.6, hz=200))
    levels = [level(frame) for frame in heard[20:]]
    # Opus codes the redundancy of a pure tone coarsely.
    assert min(levels) > (0.35 if name == "opus" else 0.6) * 8000 / np.sqrt(2)
    assert max(levels) < 1.4 * 8000 / np.sqrt(2)
    counters = pair.far.counters
    assert counters["lost"] == 1
    assert counters["concealed"] + counters["recovered"] == 1


@pytest.mark.parametrize("name", ["PCMU", "G722", "opus"])
def test_long_loss_fades_to_silence_within_120_ms_and_comes_back(name):
    pair = Pair(name)
    pair.drop = lambda tick, slot: 50 <= tick < 100
    heard = pair.carry(tone(3.0, hz=200))
    # The last packet is heard in the frames of tick 51; 120 ms later nothing may sound.
    assert level(heard[59:98]) < 5
    assert level(heard[110:140]) == pytest.approx(8000 / np.sqrt(2), rel=0.15)
    assert pair.far.statistics(0)["concealed_ms"] <= 120


@pytest.mark.parametrize("offset", range(1, 7))
@pytest.mark.parametrize("name", ["PCMU", "G722", "opus"])
def test_gap_that_begins_between_two_samples_is_concealed(name, offset):
    pair = Pair(name)
    pair.drop = lambda tick, slot: tick in {40, 41}
    pair.carry(tone(0.8, hz=200))
    # As a leap or a silence leaves the cursor, which are moved by the clock and not by samples.
    pair.far._sessions.jitter._state[0, 1] -= offset
    pair.carry(tone(0.4, hz=200))
    assert pair.far.counters["concealed"] + pair.far.counters["recovered"] == 2


def test_losses_of_some_slots_do_not_touch_the_others():
    pair = Pair("PCMU", slots=6)
    alone = Pair("PCMU")
    rng = np.random.default_rng(0)
    pair.drop = lambda tick, slot: slot % 2 == 1 and bool(rng.random() < 0.2)
    sound = tone(2.0)
    heard = np.stack([pair.tick(frame) for frame in sound])
    clean = alone.carry(sound)
    for slot in (0, 2, 4):
        assert np.abs(heard[:, slot] - clean).max() <= 1.0
    assert pair.far.counters["concealed"] + pair.far.counters["recovered"] > 30


def test_payload_type_may_change_with_every_packet():
    pair = Pair("PCMU", others=("PCMA", "opus", "G722"))
    everything = parameters("PCMU", ssrc=5, others=("PCMA", "opus", "G722"))
    pair.far.update(0, everything, pair.now)
    heard = []
    for name in ("PCMU", "PCMA", "opus", "G722", "PCMU"):
        pair.near.update(0, parameters(name, ssrc=1000), pair.now)
        heard.append(pair.carry(tone(0.6)))
    settled = np.concatenate(heard)[20:]
    assert np.abs(settled).max() < 13000
    assert level(settled) == pytest.approx(8000 / np.sqrt(2), rel=0.12)
    assert pair.far.counters["unknown_type"] == 0


@pytest.mark.parametrize(
    "bad",
    [
        packet(payload_type=77),
        packet(payload=b""),
        packet(payload=b"\x03"),
        packet(payload_type=111, payload=b"\xff" * 200),
        packet(payload=b"x" * 1460),
        packet(payload=b"x"),
        packet(first=0xBF, payload=b"\xff" * 30),
        b"",
        b"\x80",
        b"\x80\xc8\x00\x00",
    ],
)
def test_garbage_costs_at_most_one_frame(bad):
    pair = Pair("PCMU", others=("opus",))
    clean = Pair("PCMU", others=("opus",))
    pair.far.update(0, parameters("PCMU", ssrc=2000, others=("opus",)), pair.now)
    sound = tone(1.6, hz=200)
    forged = bytearray(bad)

    def drop(tick, slot):
        if tick != 40:
            return False
        if len(forged) >= 12:
            forged[2:12] = pair.wire[-1][2][2:12]
        give(pair.far, [(0, bytes(forged))], pair.now)
        return True

    pair.drop = drop
    heard, expected = pair.carry(sound), clean.carry(sound)
    different = [index for index in range(80) if np.abs(heard[index] - expected[index]).max() > 200]
    assert len(different) <= 2, different
    levels = [level(frame) for frame in heard[20:]]
    assert min(levels) > 0.5 * 8000 / np.sqrt(2)


def test_comfort_noise_is_heard_in_the_pause():
    pair = Pair("PCMU")
    pair.carry(tone(0.4))
    pair.drop = lambda tick, slot: tick < 60
    last = pair.wire[-1][2]
    noise = packet(
        int.from_bytes(last[2:4]) + 1,
        int.from_bytes(last[4:8]) + 160,
        b"\x32",
        payload_type=13,
        ssrc=int.from_bytes(last[8:12]),
    )
    give(pair.far, [(0, noise)], pair.now)
    heard = pair.carry(tone(1.6))
    pause = heard[8:38]
    assert level(pause) == pytest.approx(32768 * 10 ** (-50 / 20), rel=0.2)
    assert level(heard[60:]) == pytest.approx(8000 / np.sqrt(2), rel=0.1)


def test_comfort_noise_is_even_and_unrelated_to_itself():
    noise = _noise(48000)
    assert (noise.dtype, noise.shape) == (np.float32, (48000,))
    assert noise.mean() == pytest.approx(0.0, abs=0.02)
    assert noise.std() == pytest.approx(1.0, rel=0.01)
    assert np.abs(noise).max() <= np.sqrt(3) + 1e-6
    # As flat as chance allows: about ln(24000) = 10 times the mean at most.
    power = np.abs(np.fft.rfft(noise))[1:] ** 2
    assert power.max() < 16 * power.mean()
    for shift in (1, 3, 160, 480, 997):
        assert abs(np.corrcoef(noise[:-shift], noise[shift:])[0, 1]) < 0.02


def test_digits_are_not_heard_as_repetition():
    pair = Pair("PCMU")
    pair.carry(tone(0.6))
    pair.near.send_digits(0, "5", 200, 70)
    heard = pair.carry(tone(0.8))
    assert min(level(frame) for frame in heard[4:14]) < 10
    assert level(heard[20:]) == pytest.approx(8000 / np.sqrt(2), rel=0.1)
    assert pair.far.statistics(0)["concealed_ms"] == 0


def drifted(ppm, seconds, sound):
    """Return what a plane hears of a sender whose clock is off."""
    near, far = RtpPlane(1), RtpPlane(1)
    near.open(0, 1, parameters("PCMU", ssrc=1), 0.0)
    far.open(0, 2, parameters("PCMU", ssrc=2), 0.0)
    slot = np.array([0])
    heard = np.zeros((round(seconds / 0.02), FRAME), np.float32)
    sent, delays = 0, []
    for tick in range(len(heard)):
        now = tick * 0.02
        while sent * 0.02 / (1 + ppm / 1e6) <= now:
            give(far, datagrams(near.push(sound[sent % len(sound)][None], slot, now)), now)
            sent += 1
        far.pull(slot, heard[tick : tick + 1], now)
        delays.append(far.statistics(0)["delay_ms"])
    return heard, far, np.array(delays)


@pytest.mark.parametrize("ppm", [2000, -2000])
def test_drift_is_not_heard(ppm):
    heard, far, delays = drifted(ppm, 40, voice(4))
    counters = far.counters
    assert (counters["concealed"], counters["late"], counters["lost"]) == (0, 0, 0)
    assert counters["stretched"] >= 4
    assert np.ptp(delays[100:]) <= 45
    whole = voice(4)
    assert jumps(heard[20:]) < 1.3 * jumps(whole) + 500


def test_drift_of_noise_is_stretched_too():
    noise = np.random.default_rng(2).normal(0, 2000, (200, FRAME)).astype(np.float32)
    _, far, delays = drifted(3000, 30, noise)
    assert far.counters["stretched"] >= 4
    assert far.counters["late"] == 0
    assert np.ptp(delays[100:]) <= 45


def test_batch_equals_single():
    """Slots of one batch hear what each would hear alone, within the rounding of a matrix product."""
    together = Pair("PCMU", slots=5)
    singles = [Pair("PCMU") for _ in range(5)]
    rng = np.random.default_rng(8)
    lost = rng.random((100, 5)) < 0.08
    together.drop = lambda tick, slot: bool(lost[tick, slot])
    for slot, single in enumerate(singles):
        single.drop = partial(lambda slot, tick, _: bool(lost[tick, slot]), slot)
    for frame in voice(2.0):
        batch = together.tick(frame)
        for slot, single in enumerate(singles):
            assert np.abs(single.tick(frame)[0] - batch[slot]).max() <= 1.0


def test_growing_changes_no_port():
    pair, plain = Pair("opus"), Pair("opus")
    sound = voice(2.0)
    for index, frame in enumerate(sound):
        if index == 50:
            for plane in (pair.near, pair.far):
                plane.grow(64)
        assert np.abs(pair.tick(frame) - plain.tick(frame)).max() == 0


def test_reopened_slot_hears_nothing_of_the_last_call():
    pair = Pair("PCMU")
    pair.carry(tone(0.6))
    pair.far.close(0)
    pair.far.open(0, 33, parameters("PCMU", ssrc=9), pair.now)
    out = np.full((1, FRAME), 5.0, np.float32)
    for tick in range(5):
        pair.far.pull(np.array([0]), out, pair.now + tick * 0.02)
        assert not out.any()


def test_only_needed_resamplers_are_made():
    pair = Pair("opus")
    pair.carry(tone(0.2))
    formats = pair.far._formats
    assert not any(isinstance(value, Resampler) for value in formats._up.values())
