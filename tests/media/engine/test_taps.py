"""Taps: copies of the audio from and to ports."""

import numpy as np
import pytest

from softswitch.audio import g711
from softswitch.audio.pcm import FRAME, from_bytes
from softswitch.media import messages as m
from tests.media.rig import Rig, ramp, sine, steady


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_inbound_is_what_the_port_says_and_outbound_what_it_hears(rig):
    port = rig.feed_port()
    rig.post(m.AddTap(70, port, "inbound", 24000), m.AddTap(71, port, "outbound", 24000))
    rig.say(port, ramp(960))
    rig.track(pcm=ramp(960, 7000))
    rig.tick(2)
    np.testing.assert_array_equal(rig.heard(70), ramp(960))
    np.testing.assert_array_equal(rig.heard(71), ramp(960, 7000))


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_tap_gives_a_frame_every_tick_at_its_rate(rig, rate):
    port = rig.feed_port()
    rig.post(m.AddTap(70, port, sample_rate=rate))
    rig.say(port, sine(24000, 440.0))
    rig.tick(50)
    assert [len(frame) for frame in rig.frames[70]] == [rate // 25] * 50
    heard, wanted = rig.heard(70), sine(rate, 440.0, rate=rate)
    lag = int(np.argmax(np.correlate(heard[1000:3000], wanted[1000:2800], "valid")))
    assert np.corrcoef(heard[1000 + lag : 5000 + lag], wanted[1000:5000])[0, 1] > 0.999


@pytest.mark.parametrize(("encoding", "law"), [("pcmu", "PCMU"), ("pcma", "PCMA")])
def test_tap_gives_g711_of_what_a_tap_of_pcm_gives(rig, encoding, law):
    port = rig.feed_port()
    rig.post(
        m.AddTap(70, port, sample_rate=8000),
        m.AddTap(71, port, sample_rate=8000, encoding=encoding),
        m.AddTap(72, port, sample_rate=8000, packet_bytes=400, encoding=encoding),
    )
    rig.say(port, sine(24000, 440.0))
    rig.tick(50)
    assert [len(frame) for frame in rig.frames[71]] == [160] * 50
    assert [len(frame) for frame in rig.frames[72]] == [400] * 20
    codes = b"".join(rig.frames[71])
    assert b"".join(rig.frames[72]) == codes
    heard = g711.decode(g711.DECODING[law], np.frombuffer(codes, np.uint8))
    # A code is at most an eighth of its segment away: some percent.
    np.testing.assert_allclose(heard, rig.heard(70), rtol=0.05, atol=16)


@pytest.mark.parametrize("size", [2, 100, 640, 641, 2560, 9000])
def test_packets_have_exactly_the_size_asked_for(rig, size):
    port = rig.feed_port()
    rig.post(m.AddTap(70, port, sample_rate=24000), m.AddTap(71, port, sample_rate=24000, packet_bytes=size))
    rig.say(port, ramp(20 * FRAME))
    rig.tick(20)
    assert {len(frame) for frame in rig.frames[71]} == {size}
    whole = b"".join(rig.frames[71])
    assert whole == b"".join(rig.frames[70])[: len(whole)]
    assert len(whole) == 20 * 2 * FRAME // size * size


def test_tap_ends_with_its_order_and_with_its_port(rig):
    port, other = rig.feed_port(), rig.feed_port()
    rig.post(m.AddTap(70, port), m.AddTap(71, port), m.AddTap(72, other))
    rig.tick()
    rig.post(m.RemoveTap(70))
    rig.tick()
    rig.post(m.RemovePort(port))
    rig.tick()
    assert [len(rig.frames[tap]) for tap in (70, 71, 72)] == [1, 2, 3]


def test_tap_starts_without_the_sound_of_another(rig):
    port, quiet = rig.feed_port(), rig.feed_port()
    rig.post(m.AddTap(70, port, sample_rate=8000))
    rig.say(port, steady(9000.0, 2400))
    rig.tick(3)
    rig.post(m.RemoveTap(70), m.AddTap(71, quiet, sample_rate=8000))
    rig.tick()
    assert not from_bytes(rig.frames[71][0]).any()


def test_tap_of_a_connecting_port_gives_silence(rig):
    port = rig.rtp_port(connected=False)
    rig.post(m.AddTap(70, port))
    rig.tick(2)
    assert not rig.heard(70).any()
    assert len(rig.frames[70]) == 2


@pytest.mark.parametrize("order", [m.AddTap(70, 99), m.AddTap(70, 1, sample_rate=11025)])
def test_impossible_tap_is_counted(rig, order):
    rig.feed_port()
    rig.post(order)
    assert rig.tick() == []
    counters = rig.engine.counters
    assert counters["unknown_ids"] + counters["refused_messages"] == 1
