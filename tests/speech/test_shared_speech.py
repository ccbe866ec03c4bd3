import asyncio

import pytest

from softswitch.speech.phrases import Spoken
from softswitch.speech.shared_speech import SharedSpeech
from tests.support.waiting import until

PIECES = [Spoken(bytes([number]), 8000) for number in range(3)]


class Maker:
    def __init__(self, failure=None):
        self.made = 0
        self.stopped = 0
        self.go_on = asyncio.Event()
        self.failure = failure

    async def __call__(self):
        self.made += 1
        try:
            yield PIECES[0]
            await self.go_on.wait()
            if self.failure:
                raise self.failure
            yield PIECES[1]
            yield PIECES[2]
        except (asyncio.CancelledError, GeneratorExit):
            self.stopped += 1
            raise


async def collect(shared, maker, key=("a",)):
    return [piece async for piece in shared.speak(key, maker)]


async def test_equal_sentences_at_once_are_made_once():
    shared, maker = SharedSpeech(), Maker()
    first = asyncio.ensure_future(collect(shared, maker))
    await until(lambda: maker.made)
    others = [asyncio.ensure_future(collect(shared, maker)) for _ in range(4)]
    await until(lambda: shared.shared == 4)
    maker.go_on.set()
    assert await asyncio.gather(first, *others) == [PIECES] * 5
    assert maker.made == 1
    await until(lambda: len(shared) == 0)
    assert await collect(shared, maker) == PIECES
    assert maker.made == 2


async def test_other_sentences_are_not_mixed_up():
    shared, maker = SharedSpeech(), Maker()
    maker.go_on.set()
    await asyncio.gather(collect(shared, maker, ("a",)), collect(shared, maker, ("b",)))
    assert maker.made == 2
    assert shared.shared == 0


async def test_it_goes_on_while_one_listens_and_stops_with_the_last():
    shared, maker = SharedSpeech(), Maker()
    first, second = (asyncio.ensure_future(collect(shared, maker)) for _ in range(2))
    await until(lambda: shared.shared == 1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert not maker.stopped
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    await until(lambda: maker.stopped)
    await until(lambda: len(shared) == 0)


async def test_a_failure_reaches_every_listener():
    shared, maker = SharedSpeech(), Maker(ValueError("silent"))
    tasks = [asyncio.ensure_future(collect(shared, maker)) for _ in range(3)]
    await until(lambda: shared.shared == 2)
    maker.go_on.set()
    for failure in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(failure, ValueError)
    with pytest.raises(ValueError, match="silent"):
        await collect(shared, maker)
