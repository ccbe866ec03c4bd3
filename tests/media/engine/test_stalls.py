"""After a stall the engine is back to its usual load within a second, on a machine that is simulated.

The machine charges a fixed price for each line of Python that runs: what grows with the number of legs is
seen on any computer, and always the same.
"""

import sys

import numpy as np
import pytest

from bench._machine import Machine
from softswitch.media.rtp.formats import Formats, codings
from softswitch.media.rtp.receive import RtpReceiver
from softswitch.rtp.jitter import STRETCHES
from softswitch.rtp.session import Sessions

LINE_S = 0.8e-6
"""What a line costs: a search for a place to stretch then comes to what it costs a slow computer."""


def charge(work):
    """Carry out work and return what its lines cost, seconds."""
    lines = 0

    def trace(frame, event, _argument):
        nonlocal lines
        if event == "call":
            return trace if "softswitch" in frame.f_code.co_filename else None
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines * LINE_S


@pytest.mark.parametrize("source", ["process", "network"])
@pytest.mark.parametrize("stall_s", [0.06, 0.15, 0.5, 2.0])
@pytest.mark.parametrize("kind", ["mixed", "relayed", "feeds"])
def test_load_is_what_it_was_within_a_second(kind, stall_s, source):
    machine = Machine(kind, 100, charge)
    machine.run(2.0)
    before = machine.run(0.5)
    assert before.ticks == pytest.approx(25, abs=1)
    machine.stall(stall_s, network=source == "network")
    machine.run(1.0 if source == "process" else stall_s + 1.0)
    after = machine.run(0.5)
    assert after.ticks == pytest.approx(25, abs=1)
    # What is still stretched in turn costs a few slots' worth, not every leg's.
    assert after.cost < 1.6 * before.cost + 0.02
    assert max(second.longest for second in machine.seconds) < 0.06
    assert machine.engine.counters["step_errors"] == machine.engine.counters["port_failures"] == 0
    if kind != "relayed":
        machine.run(1.0)
        assert machine.delay_ms() < 60


def test_many_legs_do_not_collapse_for_ever_after_a_stall_of_60_ms():
    # A slow machine: 250 legs take a third of it, and a search in each of them would take more than all.
    machine = Machine("mixed", 250, lambda work: 2 * charge(work))
    machine.run(1.5)
    before = machine.run(0.4)
    machine.stall(0.06)
    machine.run(1.0)
    after = machine.run(0.4)
    assert after.ticks == pytest.approx(20, abs=1)
    assert after.cost < 1.6 * before.cost + 0.02


@pytest.mark.parametrize("kind", ["g722", "opus"])
def test_codecs_with_a_state_come_back_as_well(kind):
    machine = Machine(kind, 40, charge)
    machine.run(1.5)
    before = machine.run(0.5)
    machine.stall(0.15)
    machine.run(1.0)
    after = machine.run(0.5)
    assert after.ticks == pytest.approx(25, abs=1)
    assert after.cost < 1.6 * before.cost + 0.02


def test_legs_are_stretched_in_turn_and_none_is_left_out():
    slots = np.arange(3 * STRETCHES)
    sessions = Sessions(codings(), len(slots))
    receiver = RtpReceiver(Formats(), sessions)
    receiver.grow(len(slots))
    turns = np.zeros(len(slots), int)
    for _ in range(9):
        sessions.jitter.excess[slots] = 1
        receiver._choose(slots)
        assert np.count_nonzero(receiver._stretched) == STRETCHES
        turns += receiver._stretched[slots]
    assert turns.tolist() == [3] * len(slots)
