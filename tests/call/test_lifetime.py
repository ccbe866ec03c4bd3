"""When a call ends by itself."""

import pytest

from softswitch.call.lifetime import CallLimits, Lifetime
from softswitch.call.state import State


@pytest.mark.parametrize(("wanted", "expected"), [(None, 100.0), (30.0, 30.0), (500.0, 100.0)])
def test_call_lasts_as_long_as_it_may_and_no_longer_than_the_settings_allow(wanted, expected):
    times = Lifetime(CallLimits(max_duration_s=100.0), now=0.0)
    times.last_at_most(wanted)
    times.answered = 7.0
    assert (7.0 + expected, "max_duration") in times.ends(State.UP, busy=True)
