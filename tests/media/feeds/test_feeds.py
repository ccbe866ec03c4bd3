"""Feed ports: audio in pieces of any size and rate, frames out while their mix sounds."""

import socket
from typing import Any

import numpy as np
import pytest

from softswitch.audio.g711 import ULAW_DECODE, ULAW_ENCODE, decode, encode
from softswitch.audio.pcm import FRAME, from_bytes, to_bytes
from softswitch.legs.websocket.frames import BINARY, MASKED, header
from softswitch.media import messages as m
from tests.media.rig import Rig, ramp, sine, steady
from tests.support.compiled import compiled_code


@pytest.fixture
def rig() -> Rig:
    return Rig()


def listener(rig: Rig, **options: Any) -> int:
    return rig.feed_port(speaks=False, **options)


@pytest.mark.parametrize("size", [1, 3, 100, 959, 960, 961, 5000])
def test_pieces_of_any_size_are_one_stream(rig, size):
    port, monitor = rig.feed_port(), listener(rig)
    data = to_bytes(ramp(4 * FRAME))
    for start in range(0, len(data), size):
        rig.engine.feed(port, data[start : start + size])
    rig.tick(4)
    np.testing.assert_array_equal(rig.heard(monitor), ramp(4 * FRAME))


def test_talk_spurt_waits_for_its_prebuffer(rig):
    port, monitor = rig.feed_port(prebuffer_ms=40), listener(rig)
    rig.say(port, steady(5.0))
    rig.tick()
    assert not rig.heard(monitor).any()
    rig.say(port, steady(5.0))
    rig.forget()
    rig.tick(2)
    assert (rig.heard(monitor) == 5.0).all()


def test_underrun_primes_again(rig):
    port, monitor = rig.feed_port(prebuffer_ms=40), listener(rig)
    rig.say(port, steady(5.0, 2 * FRAME))
    rig.tick(3)
    rig.forget()
    rig.say(port, steady(6.0))
    rig.tick()
    assert not rig.heard(monitor).any()
    rig.say(port, steady(6.0))
    rig.forget()
    rig.tick()
    assert (rig.heard(monitor) == 6.0).all()


def test_less_than_the_prebuffer_is_played_in_the_end(rig):
    port, monitor = rig.feed_port(prebuffer_ms=40), listener(rig)
    rig.say(port, steady(5.0, 700))
    rig.tick(20)
    assert (rig.heard(monitor) != 0).sum() == 700


def test_faster_than_real_time_is_buffered_and_what_exceeds_it_counted(rig):
    port = rig.feed_port(buffer_ms=1000)
    monitor = listener(rig)
    rig.engine.feed(port, to_bytes(ramp(24000)))
    rig.engine.feed(port, to_bytes(ramp(240)))
    assert rig.engine.counters["dropped_feed_bytes"] == 480
    rig.tick(50)
    np.testing.assert_array_equal(rig.heard(monitor), ramp(24000))
    rig.post(m.RemovePort(port))
    [closed] = rig.tick()
    assert closed.statistics["received_ms"] == 1000
    assert closed.statistics["dropped_ms"] == 10


def test_what_the_loop_reads_is_counted_at_once(rig):
    # The call may end before the next tick.
    compiled_code()
    port = rig.feed_port(buffer_ms=100)
    rig.tick()
    queue = rig.engine.feed_socket(port)
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        queue.connect(near.fileno(), 0, listens=True)
        queue.read(on=True)
        far.send(header(BINARY, 9600, MASKED) + bytes(4 + 9600))
        queue.read_now()
        queue.disconnect()
    assert rig.engine.counters["dropped_feed_bytes"] == 4800
    rig.post(m.RemovePort(port))
    rig.tick()
    assert rig.engine.counters["dropped_feed_bytes"] == 4800


def test_audio_that_comes_before_the_first_tick_is_kept(rig):
    port, monitor = rig.feed_port(), listener(rig)
    rig.say(port, steady(5.0))
    rig.tick()
    assert (rig.heard(monitor) == 5.0).all()


def test_audio_for_an_unknown_port_is_counted(rig):
    rig.engine.feed(12345, b"1234")
    assert rig.engine.counters["stray_feed_bytes"] == 4


def test_source_gets_no_frames_and_listener_says_nothing(rig):
    source, monitor = rig.feed_port(listens=False), listener(rig)
    other = rig.feed_port()
    rig.say(monitor, steady(100.0))
    rig.say(source, steady(5.0))
    rig.tick()
    assert source not in rig.frames
    assert (rig.heard(other) == 5.0).all()


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_pcm_goes_round_at_every_rate(rig, rate):
    port, monitor = rig.feed_port(sample_rate=rate), listener(rig, sample_rate=rate)
    rig.engine.feed(port, to_bytes(sine(rate, 440.0, rate=rate)))
    rig.tick(50)
    assert {len(frame) for frame in rig.frames[monitor]} == {rate // 25}
    heard, wanted = from_bytes(b"".join(rig.frames[monitor])), sine(rate, 440.0, rate=rate)
    lag = int(np.argmax(np.correlate(heard[1000:3000], wanted[1000:2800], "valid")))
    assert np.corrcoef(heard[1000 + lag : 5000 + lag], wanted[1000:5000])[0, 1] > 0.999


@pytest.mark.parametrize(("codec", "error"), [("pcmu", 300), ("pcma", 300), ("g722", 900)])
def test_coded_audio_goes_round(rig, codec, error):
    source = rig.feed_port(codec="pcm", sample_rate=24000)
    there, here = rig.feed_port(mix=1, codec=codec), rig.feed_port(mix=2, codec=codec)
    monitor = listener(rig, mix=2)
    tone = sine(24000, 440.0)
    rig.say(source, tone)
    for _ in range(60):
        rig.tick()
        for data in rig.frames.pop(there, []):
            assert len(data) == 160
            rig.engine.feed(here, data)
    heard = rig.heard(monitor)
    lag = int(np.argmax(np.correlate(heard[3000:8000], tone[3000:7000], "valid")))
    assert np.abs(heard[3000 + lag : 20000 + lag] - tone[3000:20000]).max() < error


def test_pcmu_is_decoded_by_the_table(rig):
    port, monitor = rig.feed_port(codec="pcmu"), listener(rig, codec="pcmu")
    codes = encode(ULAW_ENCODE, steady(1000.0, 1600))
    rig.engine.feed(port, codes.tobytes())
    rig.tick(10)
    middle = np.frombuffer(b"".join(rig.frames[monitor][2:9]), np.uint8)
    assert set(decode(ULAW_DECODE, middle).tolist()) == set(decode(ULAW_DECODE, codes[:1]).tolist())


def test_speaking_port_in_company_gets_a_frame_every_tick(rig):
    one, _other = rig.feed_port(), rig.feed_port()
    rig.tick(7)
    assert len(rig.frames[one]) == 7


def test_slot_of_a_closed_port_is_silent_for_its_next_owner(rig):
    old = rig.feed_port(sample_rate=8000)
    monitor = listener(rig, sample_rate=8000)
    rig.engine.feed(old, to_bytes(sine(8000, 440.0, rate=8000)))
    rig.tick(5)
    rig.post(m.RemovePort(old), m.RemovePort(monitor))
    rig.tick()
    new = rig.feed_port(sample_rate=8000)
    monitor = listener(rig, sample_rate=8000)
    rig.engine.feed(new, bytes(3200))
    rig.tick(10)
    assert len(rig.engine._parts.registry) == 2
    assert not rig.heard(monitor).any()


def test_drifting_client_is_absorbed_while_it_is_quiet(rig):
    port, monitor = rig.feed_port(prebuffer_ms=40), listener(rig)
    # Silent half of the time, and so fast that half a second would pile up.
    noise = np.random.default_rng(3).uniform(-1, 1, FRAME).astype(np.float32)
    due = 0.0
    for tick in range(15000):
        due += FRAME * 1.0016
        quiet = tick // 100 % 2
        while due >= FRAME:
            due -= FRAME
            rig.engine.feed(port, to_bytes(noise * np.float32(50.0 if quiet else 5000.0)))
        rig.tick()
        rig.frames.clear()
    fifo = rig.engine._parts.ingress.fifos[port]
    assert fifo.level < 200 * 48
    assert fifo.mended_ms >= 300
    assert fifo.underruns == 0
    assert monitor


def test_slow_client_gets_a_quiet_frame_instead_of_gaps(rig):
    port, monitor = rig.feed_port(prebuffer_ms=40), listener(rig)
    rig.say(port, steady(0.0, 2 * FRAME))
    due = 0.0
    for _ in range(15000):
        due += FRAME * 0.9996
        while due >= FRAME:
            due -= FRAME
            rig.engine.feed(port, bytes(2 * FRAME))
        rig.tick()
        rig.frames.clear()
    fifo = rig.engine._parts.ingress.fifos[port]
    assert fifo.underruns <= 1
    assert fifo.mended_ms >= 60
    assert monitor


def test_client_that_sends_ahead_keeps_its_backlog(rig):
    port = rig.feed_port()
    rig.say(port, steady(0.0, 240000))
    for _ in range(2000):
        rig.engine.feed(port, bytes(2 * FRAME))
        rig.tick()
    fifo = rig.engine._parts.ingress.fifos[port]
    assert fifo.level == 2 * 240000
    assert fifo.mended_ms == 0


@pytest.mark.parametrize(
    "order",
    [
        m.AddFeedPort(1, 1, sample_rate=11025),
        m.AddFeedPort(1, 1, codec="mp3"),  # type: ignore[arg-type]
        m.AddFeedPort(1, 1, speaks=False, listens=False),
    ],
)
def test_impossible_port_is_refused_where_it_is_asked_for(rig, order):
    with pytest.raises(ValueError, match=r"sample_rate|codec|speaks"):
        rig.engine.post(order)
    assert rig.engine.is_idle()
