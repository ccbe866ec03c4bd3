"""The engine as a whole: isolation, order, bounds, idleness."""

import threading
import time

import numpy as np
import pytest

from softswitch.errors import NotNowError
from softswitch.media import messages as m
from softswitch.media.engine import engine as engine_module
from softswitch.media.engine.engine import Engine
from tests.media.fake_plane import PARAMETERS, FakePlane
from tests.media.rig import Rig, steady
from tests.support.waiting import until_in_threads


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_port_that_raises_is_closed_and_the_others_go_on(rig):
    ports = [rig.rtp_port(mix=mix) for mix in range(1, 10)]
    feeds = [rig.feed_port(mix=mix) for mix in range(1, 10)]
    rig.tick()
    guilty = rig.engine._parts.registry.get(ports[4]).slot
    rig.plane.poisoned.add(guilty)
    rig.forget()
    for port in ports:
        rig.say(port, steady(50.0))
    failed, closed = rig.tick()
    assert failed == m.PortFailed(ports[4], failed.at, "RuntimeError: poison")
    assert closed.port == ports[4]
    for port, feed in zip(ports, feeds, strict=True):
        if port != ports[4]:
            assert (rig.heard(feed) == 50.0).all()
    assert rig.engine.counters["port_failures"] == 1
    rig.forget()
    assert rig.tick() == []
    assert len(rig.datagrams) == 8


class Fragile:
    """A denoiser that breaks at its third frame."""

    def __init__(self):
        self.frames = 0

    def process(self, row):
        self.frames += 1
        if self.frames == 3:
            raise ZeroDivisionError("noise")
        return row * 0.5


def test_denoiser_works_on_its_port_alone_and_fails_alone():
    rig = Rig(denoiser=Fragile)
    noisy, other = rig.feed_port(), rig.feed_port()
    monitor = rig.feed_port(speaks=False)
    rig.post(m.SetDenoise(noisy, True))
    for _ in range(2):
        rig.say(noisy, steady(1000.0))
        rig.say(other, steady(7.0))
        rig.tick()
    assert (rig.heard(monitor) == 507.0).all()
    rig.tick()
    assert [report.port for report in rig.reported(m.PortFailed)] == [noisy]
    rig.forget()
    rig.say(other, steady(7.0))
    rig.tick()
    assert (rig.heard(monitor) == 7.0).all()


def test_denoise_without_a_denoiser_is_refused(rig):
    port = rig.feed_port()
    rig.post(m.SetDenoise(port, True))
    assert rig.tick() == []
    assert rig.engine.counters["refused_messages"] == 1


def test_failing_step_is_counted_and_the_others_go_on(rig, caplog):
    port = rig.feed_port()
    rig.plane.control = lambda now: 1 / 0
    rig.track(pcm=steady(5.0))
    rig.tick()
    assert rig.engine.counters["step_errors"] == 1
    assert (rig.heard(port) == 5.0).all()
    assert "step of the tick failed" in caplog.text


def test_reports_of_a_port_end_with_its_closing(rig):
    port = rig.rtp_port()
    rig.post(m.AddRtpPort(port, 1, PARAMETERS))
    rig.tick()
    assert rig.engine.counters["refused_messages"] == 1
    rig.post(m.RemovePort(port), m.RemovePort(port), m.SetMuted(port, True), m.RemovePort(port))
    reports = rig.tick()
    assert isinstance(reports[-1], m.PortClosed)
    assert [type(report) for report in reports].count(m.PortClosed) == 1
    assert rig.engine.is_idle()


def test_second_port_with_an_id_fails_and_leaves_the_first(rig):
    port, monitor = rig.feed_port(), rig.feed_port(speaks=False)
    rig.tick()
    rig.post(m.AddFeedPort(port, 5, sample_rate=8000))
    rig.say(port, steady(3.0))
    rig.tick()
    assert (rig.heard(monitor)[-480:] == 3.0).all()
    assert rig.engine.counters["refused_messages"] == 1


def test_messages_for_what_is_gone_are_counted(rig):
    rig.post(
        m.RemovePort(9), m.JoinMix(9, 1), m.SetMuted(9, True), m.SetHeld(9, True), m.SetVad(9, ""),
        m.SetDenoise(9, True), m.SetEchoControl(9, True), m.SetGainControl(9, True),
        m.SetInbandDtmf(9, True), m.SendDigits(9, "1"), m.UpdateRtp(9, PARAMETERS),
        m.FeedTrack(9, 8000, b""), m.EndTrack(9), m.DropTrack(9), m.ClearTrack(9), m.SetTrack(9),
        m.AddTap(8, 9), m.RemoveTap(9), m.StopRecorder(9),
    )  # fmt: skip
    assert rig.tick() == []
    assert rig.engine.counters["unknown_ids"] == 19
    assert rig.engine.counters["refused_messages"] == 0


def test_rtp_orders_reach_the_plane(rig):
    port, feed = rig.rtp_port(), rig.feed_port()
    other = m.RtpParameters((), m.PayloadFormat("PCMA", 8, 8000))
    rig.post(m.UpdateRtp(port, other), m.SetHeld(port, True), m.SetHeld(feed, True), m.UpdateRtp(feed, other))
    rig.tick()
    slot = rig.engine._parts.registry.get(port).slot
    assert rig.plane.parameters == {slot: other}
    assert rig.plane.held == {slot: True}


def test_direction_is_kept_both_ways(rig):
    port, monitor = rig.rtp_port(), rig.feed_port(speaks=False)
    rig.tick()
    [slot] = rig.plane.parameters
    rig.post(m.SetDirection(port, sends=False, receives=False))
    rig.say(port, steady(9.0))
    rig.tick()
    assert rig.plane.sending == {slot: False}
    assert rig.plane.held == {slot: True}
    assert not rig.heard(monitor).any()
    # Holding and direction are two reasons to expect nothing: one alone is enough.
    rig.post(m.SetHeld(port, True), m.SetDirection(port))
    rig.say(port, steady(9.0))
    rig.tick()
    assert rig.plane.sending == {slot: True}
    assert rig.plane.held == {slot: True}
    assert rig.heard(monitor).any()
    rig.post(m.SetHeld(port, False), m.SetDirection(monitor, sends=False))
    rig.tick()
    assert rig.plane.held == {slot: False}
    assert rig.engine.counters["refused_messages"] == 1
    assert rig.engine.counters["refused_messages"] == 1


def test_unknown_codec_fails_the_port_before_it_is_one(rig):
    def refuse(*_):
        raise ValueError("send: unknown codec")

    rig.plane.open = refuse
    port = rig.rtp_port(connected=False)
    [failed] = rig.tick()
    assert failed == m.PortFailed(port, failed.at, "ValueError: send: unknown codec")
    assert rig.engine.is_idle()


def test_slots_are_reused_and_grow(rig):
    ports = [rig.rtp_port(mix=mix) for mix in range(40)]
    rig.tick()
    slots = {rig.engine._parts.registry.get(port).slot for port in ports}
    assert slots == set(range(40))
    rig.post(*(m.RemovePort(port) for port in ports[:20]))
    rig.tick()
    new = [rig.rtp_port(mix=mix) for mix in range(20)]
    rig.tick()
    assert {rig.engine._parts.registry.get(port).slot for port in new} == set(range(20))


def test_inbox_is_bounded(rig, monkeypatch):
    monkeypatch.setattr(engine_module, "_INBOX_MESSAGES", 3)
    for _ in range(3):
        rig.post(m.EndTrack(1))
    with pytest.raises(NotNowError):
        rig.post(m.EndTrack(1))
    rig.tick()
    rig.post(m.EndTrack(1))


def test_many_ports_come_and_go_and_leave_nothing(rig):
    rng = np.random.default_rng(8)
    alive: list[int] = []
    for _ in range(300):
        if alive and rng.random() < 0.5:
            rig.post(m.RemovePort(alive.pop(int(rng.integers(len(alive))))))
        else:
            mix = int(rng.integers(1, 5))
            alive.append(rig.rtp_port(mix) if rng.random() < 0.5 else rig.feed_port(mix, sample_rate=8000))
            rig.say(alive[-1], steady(float(rng.uniform(1, 99))))
        rig.tick()
    rig.post(*(m.RemovePort(port) for port in alive))
    rig.tick(2)
    assert rig.engine.is_idle()
    assert len(rig.reported(m.PortClosed)) == rig.engine.counters["ports_opened"]
    assert rig.engine.counters["step_errors"] == rig.engine.counters["port_failures"] == 0
    assert not rig.engine._parts.ingress.fifos
    assert not rig.engine._parts.ingress.inboxes


def test_thread_ticks_while_there_is_something_and_sleeps_otherwise():
    engine = Engine(plane=FakePlane())
    arrived = threading.Event()
    outputs = []

    def emit(output):
        outputs.append(output)
        arrived.set()

    engine.start(emit)
    try:
        with pytest.raises(RuntimeError):
            engine.start(emit)
        time.sleep(0.1)
        asleep = engine.counters["ticks"]
        assert asleep <= 1
        engine.post(m.AddTrack(5, 1))
        engine.post(m.EndTrack(5))
        assert arrived.wait(10)
        assert [report.track for report in outputs[0].reports] == [5]
        assert engine.counters["ticks"] > asleep
        until_in_threads(lambda: engine.tick_seconds.count >= engine.counters["ticks"])
        settled = engine.counters["ticks"]
        time.sleep(0.1)
        assert engine.counters["ticks"] <= settled + 1
    finally:
        engine.stop()
    assert threading.active_count() == 1 or not any(
        thread.name.startswith("media-") for thread in threading.enumerate()
    )


def test_output_that_is_not_taken_does_not_stop_the_thread(caplog):
    engine = Engine(plane=FakePlane())
    taken = threading.Event()

    def emit(output):
        if engine.counters["emit_errors"]:
            taken.set()
        else:
            raise RuntimeError("no loop")

    engine.start(emit)
    try:
        for track in (5, 6):
            engine.post(m.AddTrack(track, 1))
            engine.post(m.EndTrack(track))
            until_in_threads(lambda: engine.counters["emit_errors"])
        assert taken.wait(10)
    finally:
        engine.stop()
    assert engine.counters["emit_errors"] == 1
    assert engine.counters["tick_errors"] == 0


def test_steps_without_anything_to_do_are_left_out(rig):
    def names() -> set[str]:
        rig.tick()
        return {step.__name__ for step in rig.engine._due_steps(rig.engine._layout)}

    always = {"_receive", "_forward", "_control"}
    assert names() == always
    always.add("_mix")
    feed = rig.feed_port()
    assert names() == always | {"_pull_feeds", "_push_feeds"}
    phone = rig.rtp_port(mix=2)
    assert names() == always | {"_pull_feeds", "_push_feeds", "_pull_rtp", "_push_rtp"}
    rig.post(m.RemovePort(feed), m.SetMuted(phone, True), m.SetInbandDtmf(phone, True), m.AddTap(70, phone))
    assert names() == always | {"_pull_rtp", "_push_rtp", "_apply_mutes", "_detect_tones", "_tap"}
    rig.post(m.SetMuted(phone, False), m.SetInbandDtmf(phone, False), m.RemoveTap(70))
    assert names() == always | {"_pull_rtp", "_push_rtp"}
