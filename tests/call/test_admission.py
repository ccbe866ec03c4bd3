"""Admission: calm where a machine stalls once, gradual under load, and back as soon as it may be."""

import pytest

from softswitch.call.admission import CALM_S, LOOK_S, ROUND, SLOWEST, Admission, Signs

CALM = Signs()
LATE = Signs(late_share=0.6)


class Machine:
    """A switch that serves so many calls a second; what is beyond waits, and is seen as age and lag."""

    def __init__(self, capacity: float, refusal_cost: float = 0.02) -> None:
        self.admission = Admission()
        self.now = 0.0
        self.capacity = capacity
        self.cost = refusal_cost
        self.waiting = 0.0
        self.served = 0.0
        self.worst_wait_s = 0.0

    def run(self, offered: float, seconds: float) -> None:
        """Offer calls evenly."""
        owed = 0.0
        for _ in range(round(seconds / LOOK_S)):
            room = self.capacity * LOOK_S
            owed += offered * LOOK_S
            for index in range(int(owed)):
                if self.admission.admits(self.now + LOOK_S * index / int(owed)):
                    self.waiting += 1.0
                else:
                    room -= self.cost
            owed -= int(owed)
            done = min(self.waiting, max(room, 0.0))
            self.waiting -= done
            self.served += done
            self.now += LOOK_S
            wait = self.waiting / self.capacity
            self.worst_wait_s = max(self.worst_wait_s, wait)
            self.admission.look(Signs(lag_s=wait / 2, age_s=wait), self.now)


def test_every_call_is_taken_without_pressure():
    machine = Machine(100.0)
    machine.run(90.0, 20.0)
    assert machine.admission.refused == machine.admission.begun == 0


@pytest.mark.parametrize("capacity", [20.0, 100.0, 400.0])
@pytest.mark.parametrize("times", [1.3, 2.0, 5.0])
def test_under_overload_nearly_the_capacity_is_served_in_time(capacity, times):
    machine = Machine(capacity)
    machine.run(times * capacity, 10.0)
    machine.served = machine.worst_wait_s = 0.0
    machine.run(times * capacity, 20.0)
    left = 1.0 - (times - 1.0) * machine.cost
    assert machine.served >= 0.9 * left * 20.0 * capacity
    assert machine.worst_wait_s < 0.5
    assert machine.admission.is_shedding


def test_overload_ends_when_the_flood_does():
    machine = Machine(100.0)
    machine.run(300.0, 10.0)
    assert machine.admission.is_shedding
    machine.run(0.0, 1.0)
    assert machine.admission.admits(machine.now), "a single call after the flood is taken"
    machine.run(20.0, CALM_S + 3.0)
    assert not machine.admission.is_shedding
    assert machine.admission.begun == 1  # type: ignore[unreachable]


@pytest.mark.parametrize("sign", [LATE, Signs(lag_s=3.0), Signs(age_s=3.0)])
def test_one_stall_refuses_nothing_and_a_lasting_one_does(sign):
    admission = Admission()
    for look in range(50):
        admission.look(sign if look == 20 else CALM, look * LOOK_S)
        assert not admission.is_shedding
    for look in range(50, 55):
        admission.look(sign, look * LOOK_S)
    assert admission.is_shedding


def test_some_calls_are_taken_whatever_the_signs_say():
    admission = Admission()
    for look in range(600):
        admission.look(LATE, look * LOOK_S)
    assert admission.rate == SLOWEST
    taken = sum(admission.admits(60.0 + step / 100) for step in range(1000))
    assert taken == pytest.approx(10 * SLOWEST, abs=2)


def test_refused_callers_are_told_different_times():
    admission = Admission()
    for look in range(10):
        admission.look(LATE, look * LOOK_S)
    told = set()
    for _ in range(40):
        if not admission.admits(1.0):
            told.add(admission.retry_after_s)
    assert len(told) > 3
    assert min(told) >= 3


def shedding() -> Admission:
    """Return an admission under overload with a high rate and saved up tokens."""
    admission = Admission()
    for number in range(200):
        admission.admits(number / 1000)
    for look in range(2, 10):
        admission.look(LATE, look * LOOK_S)
    assert admission.is_shedding
    admission.has_rounds = True
    return admission


def test_calls_beyond_those_of_a_round_are_refused_under_overload():
    admission = shedding()
    for number in range(3):
        now = 10.0 + number / 10
        admission.next_round()
        taken = [admission.admits(now) for _ in range(5)]
        assert taken == [True] * ROUND + [False] * (5 - ROUND)


def test_rate_stays_where_the_rounds_refuse():
    admission = shedding()
    for look in range(10, 30):
        admission.look(CALM, look * LOOK_S)
    before = admission.rate
    for look in range(30, 60):
        admission.next_round()
        for _ in range(ROUND + 1):
            admission.admits(look * LOOK_S)
        admission.look(CALM, look * LOOK_S)
    assert admission.is_shedding
    assert admission.rate == before


def test_rounds_bound_nothing_without_overload():
    admission = Admission()
    admission.has_rounds = True
    assert all(admission.admits(1.0) for _ in range(100))
