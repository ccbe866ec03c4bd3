"""Both event loops that the switch runs on, for tests of sockets."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from softswitch.egress.loops import SelectorLoop, uvloop_factory

LOOPS = pytest.mark.parametrize(
    "loop_factory",
    [pytest.param(SelectorLoop, id="asyncio"), pytest.param(uvloop_factory(), id="uvloop")],
)
"""Run a test on both; it takes `loop_factory` and calls `run`."""


def run(loop_factory: Callable[[], asyncio.AbstractEventLoop], work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on a new loop, and return what it returns."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(work)
