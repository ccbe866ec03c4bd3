"""Alarms ring in order, once, unless stopped."""

from functools import partial

from softswitch.sip.transaction.alarms import Alarms


def ring(alarms, now):
    while (call := alarms.take_due(now)) is not None:
        call()


def test_alarms_ring_in_the_order_of_their_times_then_of_setting():
    alarms = Alarms()
    rung: list[object] = []
    for when, name in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (9.0, "z")):
        alarms.at(when, partial(rung.append, name))
    ring(alarms, 0.5)
    assert rung == []
    ring(alarms, 3.0)
    assert rung == ["a", "b", "c"]
    assert alarms.next() == 9.0


def test_stopped_alarm_stays_silent_and_is_swept_away():
    alarms = Alarms()
    rung: list[object] = []
    for _ in range(10_000):
        alarms.at(1.0, lambda: rung.append(1)).stop()
    assert len(alarms) == 0
    assert len(alarms._heap) < 5000
    assert alarms.next() is None
    ring(alarms, 2.0)
    assert rung == []


def test_alarm_set_by_an_alarm_rings_in_the_same_breath_when_due():
    alarms = Alarms()
    rung: list[object] = []

    def again() -> None:
        alarms.at(1.0, partial(rung.append, "late"))

    alarms.at(1.0, again)
    ring(alarms, 1.0)
    assert rung == ["late"]
