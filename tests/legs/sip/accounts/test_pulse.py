"""When keep-alives are due, and which phones are silent."""

from dataclasses import replace

import pytest
from sipmessage import Address

from softswitch.legs.sip.accounts.pulse import MOST, Pulse
from softswitch.sip.registrar.bindings import Binding
from softswitch.sip.transaction.flow import Flow


def binding(port: int = 40000) -> Binding:
    flow = Flow("udp", "10.0.0.1", port, pinned=True)
    contact = Address.parse("<sip:a@192.168.1.2:5060>")
    return Binding("a", contact, flow, flow, "call", 1, expires_at=3600.0, updated_at=0.0)


@pytest.fixture
def pulse() -> Pulse:
    return Pulse(25.0)


def test_phone_gets_one_keep_alive_each_period(pulse):
    one = binding()
    assert pulse.due([one], 0.0) == []
    assert pulse.due([one], 24.9) == []
    assert pulse.due([one], 25.0) == [one]
    assert pulse.due([one], 51.0) == []  # no response yet
    pulse.answered(one, by_peer=True)
    assert pulse.due([one], 52.0) == [one]


def test_phone_that_leaves_two_without_a_response_is_silent_until_it_answers(pulse):
    one = binding()
    pulse.due([one], 0.0)
    for expected in (False, True):
        pulse.answered(one, by_peer=False)
        assert pulse.is_silent(one) is expected
    assert pulse.silent == 1
    pulse.answered(one, by_peer=True)
    assert not pulse.is_silent(one)


def test_phone_that_registers_anew_is_no_other_one_and_one_that_left_is_dropped(pulse):
    one = binding()
    pulse.due([one], 0.0)
    again = replace(one, updated_at=20.0, cseq=2)
    assert pulse.due([again], 25.0) == [again]
    pulse.due([], 26.0)
    assert pulse.due([again], 27.0) == []


def test_one_round_is_bounded_and_the_rest_follows(pulse):
    many = [binding(10000 + number) for number in range(MOST + 5)]
    pulse.due(many, 0.0)
    assert len(pulse.due(many, 30.0)) == MOST
    assert len(pulse.due(many, 31.0)) == 5


def test_no_keep_alives_with_a_period_of_zero():
    pulse = Pulse(0.0)
    pulse.due([binding()], 0.0)
    assert pulse.due([binding()], 1000.0) == []
