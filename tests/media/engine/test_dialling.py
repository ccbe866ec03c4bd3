"""Keys as sound, in and out."""

import numpy as np
import pytest

from softswitch.audio.dtmf import KEYS, generate
from softswitch.audio.pcm import FRAME
from softswitch.media import messages as m
from tests.media.rig import Rig, sine, steady


@pytest.fixture
def rig() -> Rig:
    return Rig()


def listen(rig: Rig, pcm, **options) -> list[m.DigitReceived]:
    port = rig.feed_port(**options)
    rig.post(m.SetInbandDtmf(port, True))
    rig.say(port, pcm)
    rig.tick(len(pcm) // FRAME + 20)
    return rig.reported(m.DigitReceived)


def test_every_key_is_heard_once_with_its_duration(rig):
    reports = listen(rig, generate(KEYS, 100, 80))
    assert "".join(report.digit for report in reports) == KEYS
    assert {report.method for report in reports} == {"inband"}
    assert all(60 <= report.duration_ms <= 140 for report in reports)


@pytest.mark.parametrize(("on_ms", "off_ms"), [(50, 50), (70, 40), (400, 60)])
def test_short_and_long_presses_are_one_each(rig, on_ms, off_ms):
    noise = np.random.default_rng(4).normal(0, 60, FRAME * 300).astype(np.float32)
    pcm = generate("159#159", on_ms, off_ms, level_dbov=-25.0)
    noise[1000 : 1000 + len(pcm)] += pcm
    assert [report.digit for report in listen(rig, noise)] == list("159#159")


def test_twisted_keys_pass_the_sieve(rig):
    low, high = sine(2400, 770.0, 3000.0), sine(2400, 1336.0, 3000.0)
    pause = steady(0.0, 2400)
    # 7 dB between the two tones either way round; more than 4 dB upwards is no key (Q.24).
    pcm = np.concatenate((low + 0.45 * high, pause, 0.6 * low + high, pause))
    assert [report.digit for report in listen(rig, pcm)] == ["5", "5"]


def test_speech_band_sound_is_no_key(rig):
    rng = np.random.default_rng(6)
    pcm = rng.normal(0, 3000, 48000).astype(np.float32) + sine(48000, 770.0, 9000.0)
    assert listen(rig, pcm) == []


def test_tones_are_not_detected_unless_asked_for(rig):
    port, other = rig.feed_port(), rig.feed_port()
    rig.post(m.SetInbandDtmf(other, True))
    rig.say(port, generate("1"))
    rig.tick(20)
    rig.post(m.SetInbandDtmf(port, True))
    rig.tick()
    rig.post(m.SetInbandDtmf(port, False))
    rig.say(port, generate("2"))
    rig.tick(20)
    assert rig.reported(m.DigitReceived) == []


def test_digits_go_out_as_tones_to_ports_that_know_no_events(rig):
    sender, receiver = rig.feed_port(mix=1), rig.feed_port(mix=2)
    rig.post(m.SetInbandDtmf(receiver, True), m.SendDigits(sender, "12#"))
    rig.track(mix=1, pcm=sine(48000, 500.0, 9000.0))
    for _ in range(60):
        rig.tick()
        for data in rig.frames.pop(sender, []):
            rig.engine.feed(receiver, data)
    assert [report.digit for report in rig.reported(m.DigitReceived)] == ["1", "2", "#"]
    [sent] = rig.reported(m.DigitsSent)
    assert (sent.port, sent.digits) == (sender, "12#")


def test_digits_wait_for_those_before_them(rig):
    port = rig.feed_port()
    rig.post(m.SendDigits(port, "1", 40, 40), m.SendDigits(port, "2", 40, 40))
    rig.tick(20)
    assert [report.digits for report in rig.reported(m.DigitsSent)] == ["1", "2"]
    assert len(rig.frames[port]) == 8 + 1


def test_plane_sends_digits_where_events_were_negotiated(rig):
    port = rig.rtp_port()
    rig.plane.knows_events = True
    rig.post(m.SendDigits(port, "5"))
    rig.tick()
    slot = rig.engine._parts.registry.get(port).slot
    assert rig.plane.digits == [(slot, "5")]
    assert not rig.heard(port).any()


def test_rtp_port_without_events_gets_tones(rig):
    port = rig.rtp_port()
    rig.post(m.SendDigits(port, "5", 100, 80))
    rig.tick(10)
    np.testing.assert_allclose(rig.heard(port)[:2400], generate("5", 100, 80)[:2400], atol=0.51)


def test_what_is_no_key_is_refused(rig):
    port = rig.feed_port()
    rig.post(m.SendDigits(port, "x"))
    assert rig.tick(2) == []
    assert rig.engine.counters["refused_messages"] == 1


def test_port_that_goes_away_stops_dialling(rig):
    port = rig.feed_port()
    rig.post(m.SendDigits(port, "123"))
    rig.tick()
    rig.post(m.RemovePort(port))
    rig.tick(50)
    assert rig.reported(m.DigitsSent) == []
    assert rig.engine.counters["step_errors"] == 0
