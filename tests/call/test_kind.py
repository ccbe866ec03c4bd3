"""Kinds of legs."""

import pytest

from softswitch.call.kind import LegKind
from softswitch.call.vocabulary import effects
from softswitch.call.vocabulary.commands import CallOption
from tests.call.harness import Harness


@pytest.mark.parametrize("kind", LegKind)
def test_every_kind_tells_what_it_can(kind: LegKind) -> None:
    assert kind.setup_s > 0
    assert kind.by_number == (kind is LegKind.SIP)
    assert kind.audio_in_socket == kind.tones_only == (kind is LegKind.WEBSOCKET)


@pytest.mark.parametrize("kind", LegKind)
def test_callee_is_dialled_as_a_second_party_unless_it_is_the_party(kind: LegKind) -> None:
    harness = Harness(CallOption(callee="echo"), kind=kind)
    assert len([leg for leg in harness.effects_of(effects.OpenLeg) if leg.leg == "second"]) == (
        not kind.by_number
    )
