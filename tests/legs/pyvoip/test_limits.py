"""Limits of pyVoIP calls."""

import pytest

from softswitch.legs.pyvoip.account import MAX_CALLS
from softswitch.legs.pyvoip.limits import CallLimits, FullError
from softswitch.settings import Trunk


def test_call_beyond_the_limit_of_pyvoip_is_refused() -> None:
    limits = CallLimits([])
    for _ in range(MAX_CALLS):
        limits.acquire("")
    with pytest.raises(FullError, match="pyVoIP: the limit of 30 calls is reached") as raised:
        limits.acquire("")
    assert (raised.value.trunk, raised.value.code) == ("", 503)
    assert (limits.total, limits.refused[""]) == (30, 1)
    limits.release("")
    limits.acquire("")


def test_trunk_has_limits_of_its_own() -> None:
    now = [0.0]
    trunks = [Trunk("t", ("h",), max_calls=2), Trunk("fast", ("h",), calls_per_second=1)]
    limits = CallLimits(trunks, clock=lambda: now[0])
    limits.acquire("t")
    limits.acquire("t")
    with pytest.raises(FullError, match="max_calls") as raised:
        limits.acquire("t")
    assert raised.value.trunk == "t"
    limits.acquire("fast")
    with pytest.raises(FullError, match="calls_per_second"):
        limits.acquire("fast")
    now[0] = 1.0
    limits.acquire("fast")
    assert limits.calls == {"": 0, "t": 2, "fast": 2}


def test_no_call_is_admitted_during_shutdown() -> None:
    limits = CallLimits([])
    limits.is_closed = True
    with pytest.raises(FullError, match="shutting down"):
        limits.acquire("")
