"""All SIP legs together: which trunks are down, and whether that makes the switch unready."""

import pytest

from softswitch.legs.sip.accounts.views import TrunkState, TrunkView
from softswitch.legs.telephones import Telephones


class Exchange(Telephones):
    """Telephones whose trunks are in a state that the test names."""

    def __init__(self, states: dict[str, TrunkState], required: list[str]) -> None:
        """Have trunks; nothing listens."""
        self._states, self._required = states, required

    def trunks(self) -> list[TrunkView]:
        """Return the named states."""
        return [
            TrunkView(name=name, state=state, code=403, reason="No") for name, state in self._states.items()
        ]


@pytest.mark.parametrize(
    ("states", "required", "ready"),
    [
        ({"a": "registered", "b": "failed"}, ["a", "b"], True),
        ({"a": "failed", "b": "unresolved"}, ["a", "b"], False),
        ({"a": "registered", "b": "failed"}, ["b"], False),
        ({"a": "failed", "b": "unregistered"}, [], True),
        ({"a": "registering"}, ["a"], True),
        ({"a": "ready", "b": "failed"}, ["a"], True),
        ({}, [], True),
    ],
)
def test_switch_is_cut_off_where_all_required_trunks_are_down(states, required, ready):
    assert Exchange(states, required).has_required_trunk() is ready


def test_troubles_name_trunk_state_and_reason():
    exchange = Exchange({"a": "failed", "b": "registered"}, [])
    assert exchange.troubles() == ["trunk a is failed 403 No"]
