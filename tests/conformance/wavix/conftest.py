"""What the tests of call control and streams share."""

from collections.abc import AsyncIterator

import pytest

from tests.conformance.conftest import Switch
from tests.support.bots import Bot
from tests.support.control import Control, Hooks


@pytest.fixture
async def control(switch: Switch) -> AsyncIterator[Control]:
    """Give a client of the call control of the switch that most tests share."""
    async with Control(switch) as client:
        yield client


@pytest.fixture
async def bot() -> AsyncIterator[Bot]:
    """Give a service that calls can be streamed to."""
    async with Bot() as service:
        yield service


@pytest.fixture
async def hooks() -> AsyncIterator[Hooks]:
    """Give a server that takes webhooks."""
    async with Hooks() as server:
        yield server
