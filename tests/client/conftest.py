import pytest

from tests.client.switch import pretended


@pytest.fixture
async def pretence():
    async with pretended() as (switch, url):
        yield switch, url
