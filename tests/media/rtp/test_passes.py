"""Compiled passes between two ticks: what they do is what Python does, packet for packet."""

import contextlib
import socket
import time

import numpy as np
import pytest

from softswitch.media import messages as m
from softswitch.media.engine.engine import Engine
from softswitch.media.rtp.batch import Rows
from softswitch.media.rtp.plane import RtpPlane
from softswitch.rtp import rtcp
from tests.media.rtp.carrying import MARGIN_S, PERIOD_S, TRIES, carried, has_ticked
from tests.media.rtp.rtp_pair import parameters
from tests.rtp.wire import packet
from tests.support.compiled import compiled_code
from tests.support.icmp import bound

TICKS = 120
"""Ticks until the sockets of steady sources are connected."""


class Call:
    """An engine that relays between two telephones, which are the test."""

    def __init__(self, *, compiled: bool, steady: tuple[int, ...] = (1, 2)) -> None:
        """Let time go by until now, while the telephones in `steady` send."""
        self.engine = Engine()
        if not compiled:
            self.engine._passes = None
        self.far = {port: bound(socket.AF_INET) for port in (1, 2)}
        self.near: dict[int, tuple[str, int]] = {}
        for port, far in self.far.items():
            far.setblocking(False)
            near = bound(socket.AF_INET)
            self.near[port] = near.getsockname()
            self.engine.post(m.AddRtpPort(port, 1, parameters(ssrc=port)))
            self.engine.post(m.ConnectPlain(port, near.detach(), *far.getsockname()))
        self.number = 0
        self.now = time.monotonic() - TICKS * 0.02
        for _ in range(TICKS):
            for port in steady:
                self.send(port, self.ordinary(port))
            self.number += 1
            self.engine.tick(self.now)
            self.now += 0.02
        self.heard(1)
        self.heard(2)

    def ordinary(self, port: int, later: int = 0, **fields) -> bytes:
        """Return the next packet of a telephone, or a later one."""
        number = self.number + later
        payload = bytes([number % 256]) * 160
        return packet(number, 160 * number, payload, ssrc=100 + port, **fields)

    def send(self, port: int, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self.far[port].sendto(datagram, self.near[port])

    def carry(self) -> list[tuple[int, bytes]]:
        """Let what was sent be carried; return datagrams of ports without a socket."""
        return carried(self.engine).datagrams

    def heard(self, port: int) -> list[bytes]:
        """Return what has come to a telephone."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.far[port].recv(2000))
        return [one for one in found if not 192 <= one[1] <= 223]

    def figures(self) -> tuple[object, ...]:
        plane = self.engine._parts.plane
        assert isinstance(plane, RtpPlane)
        counts = [
            {name: value for name, value in plane.statistics(slot).items() if name.startswith("packets")}
            for slot in (0, 1)
        ]
        return counts, dict(plane.counters), dict(self.engine.counters)

    def close(self) -> None:
        self.engine.stop()
        for far in self.far.values():
            far.close()


@pytest.fixture
def make_calls():
    compiled_code()
    with contextlib.ExitStack() as calls:

        def make(**options) -> tuple[Call, Call]:
            made = Call(compiled=True, **options), Call(compiled=False, **options)
            for call in made:
                calls.callback(call.close)
            return made

        yield make


def bye() -> bytes:
    return rtcp.ReceiverReport(101).to_bytes() + rtcp.Goodbye((101,)).to_bytes()


CASES = {
    "the next packet": lambda call: [call.ordinary(1)],
    "several at once": lambda call: [call.ordinary(1, later) for later in range(5)],
    "a lost one": lambda call: [call.ordinary(1, 1), call.ordinary(1, 2)],
    "one twice": lambda call: [call.ordinary(1), call.ordinary(1)],
    "two in the wrong order": lambda call: [call.ordinary(1, 1), call.ordinary(1)],
    "an empty one": lambda call: [b"", call.ordinary(1)],
    "one that is too long": lambda call: [bytes(1501), call.ordinary(1)],
    "rubbish": lambda call: [b"\x80" * 40, call.ordinary(1)],
    "a report": lambda call: [call.ordinary(1), bye()],
    "another source": lambda call: [call.ordinary(1, payload_type=8), call.ordinary(7)],
    "a key": lambda call: [
        call.ordinary(1, payload_type=101)[:12] + b"\x05\x0a\x00\xa0",
        call.ordinary(1, 1),
    ],
    "nothing": lambda call: [],
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_passes_do_what_python_does(make_calls, case):
    calls = make_calls()
    for call in calls:
        assert call.engine.relaying == 2
        assert call.engine._parts.transports._reception.steady.count(is_relayed=True) == 2
        call.send(1, *case(call))
        call.send(2, call.ordinary(2))
        call.carry()
        call.carry()
    compiled, python = calls
    for port in (1, 2):
        assert compiled.heard(port) == python.heard(port)
    assert compiled.figures() == python.figures()


def test_ordinary_packets_are_carried_without_python(make_calls, monkeypatch: pytest.MonkeyPatch):
    call, _ = make_calls()

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("Python has carried a packet")

    monkeypatch.setattr(call.engine._parts.plane, "receive", fail)
    monkeypatch.setattr(call.engine._parts.transports, "send", fail)
    call.send(1, call.ordinary(1))
    call.send(2, call.ordinary(2))
    before = call.engine._parts.plane.counters["relayed"]
    call.carry()
    assert len(call.heard(1)) == len(call.heard(2)) == 1
    assert call.engine._parts.plane.counters["relayed"] == before + 2


def test_port_that_is_awaited_is_heard_by_its_first_packet(make_calls):
    call, _ = make_calls()
    plane = call.engine._parts.plane
    plane._awaited.add(0)
    plane._silent_since[0] = call.now - 3.0
    call.send(1, call.ordinary(1))
    call.carry()
    reports = call.engine.tick(time.monotonic()).reports
    assert [report.port for report in reports if isinstance(report, m.MediaResumed)] == [1]


def test_packets_of_a_port_whose_party_is_not_steady_are_sent_all_the_same(make_calls):
    calls = make_calls(steady=(1,))
    for call in calls:
        assert call.engine._parts.transports._reception.steady.count(is_relayed=True) == 1
        call.send(1, call.ordinary(1))
        call.send(2, packet(1, 160, ssrc=102))
        call.carry()
    compiled, python = calls
    assert compiled.heard(2) == python.heard(2)
    # The first packet after a silence has the time that passed in its timestamp.
    (one,), (other,) = compiled.heard(1), python.heard(1)
    assert (one[:4], one[8:]) == (other[:4], other[8:])
    assert compiled.figures() == python.figures()


def test_closed_party_is_counted(make_calls):
    calls = make_calls()
    for call in calls:
        call.far[2].close()
        for later in range(3):
            call.send(1, call.ordinary(1, later))
            call.carry()
        # The error comes to the socket, and is read before or by the next packet.
        assert call.engine.counters["receive_errors"] >= 2
    compiled, python = (call.engine.counters for call in calls)
    assert compiled["send_errors"] == python["send_errors"]


def test_more_sockets_than_rows_are_read(make_calls):
    call, _ = make_calls()
    reception = call.engine._parts.transports._reception
    reception._rows = Rows(1)
    call.send(1, call.ordinary(1))
    call.send(2, call.ordinary(2))
    call.carry()
    assert len(call.heard(1)) == len(call.heard(2)) == 1
    assert len(reception._rows) > 1


def test_socket_with_more_packets_than_one_pass_reads_is_emptied_by_the_next(make_calls):
    call, _ = make_calls()
    call.send(1, *(call.ordinary(1, later) for later in range(40)))
    for _ in range(3):
        call.carry()
    assert len(call.heard(2)) == 40


def test_tick_leaves_the_sockets_of_a_pass_just_before_it_alone(make_calls):
    call, _ = make_calls()
    call.carry()
    call.send(1, call.ordinary(1))
    reception = call.engine._parts.transports._reception
    call.engine.tick(reception.passed_at + 0.001)
    assert not call.heard(2)
    call.engine.tick(reception.passed_at + 0.02)
    assert len(call.heard(2)) == 1


def test_last_pass_begins_before_the_tick_and_the_call_ends_with_it(make_calls):
    call, _ = make_calls()
    sent = 0
    for _ in range(TRIES):
        call.send(1, call.ordinary(1))
        call.number += 1
        sent += 1
        now = time.monotonic()
        has_ticked(call.engine, now)
        until = now + 0.004
        done = call.engine.carry(now, until, PERIOD_S, MARGIN_S)
        assert done is not None
        # A machine with other work may have come too late to the last pass.
        if done[0] >= until - MARGIN_S:
            break
    assert until - MARGIN_S <= done[0] < time.monotonic()
    assert time.monotonic() >= until
    assert len(call.heard(2)) == sent


def test_jitter_is_that_of_the_meter(make_calls):
    random = np.random.default_rng(5)
    compiled, _ = make_calls()
    plane = compiled.engine._parts.plane
    meter = plane._sessions.jitter.meter
    for _ in range(200):
        known = int(random.integers(1, 65))
        meter._arrival[1, :known] = random.integers(0, 10**6, known)
        meter._transit[1, :known] = random.integers(-5000, 5000, known)
        now = int(random.integers(0, 2 * 10**6))
        assert plane._ordinary.jitter(1, now) == meter.jitter(1, now)
    assert plane._ordinary.jitter(1, -1) == 0


def test_python_throws_away_what_has_waited_after_a_stall(make_calls):
    call, _ = make_calls()
    now = time.monotonic()
    has_ticked(call.engine, now - 0.2)
    assert call.engine.carry(now, now + 0.004, PERIOD_S, MARGIN_S) is None
    has_ticked(call.engine, now - 0.1)
    assert call.engine.carry(now, now + 0.004, PERIOD_S, MARGIN_S) is not None
