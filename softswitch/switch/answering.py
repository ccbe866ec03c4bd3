"""Waiting for a call to be answered."""

import asyncio

from softswitch.call.state import State
from softswitch.call.vocabulary.events import Answer, Event, HungUp
from softswitch.switch.directory import CallHandle


class _Waiter:
    """A subscriber that waits for the answer or the end of a call."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def event(self, event: Event, seq: int) -> None:
        """Note the answer or the end."""
        if isinstance(event, Answer | HungUp) and not self.answered.done():
            self.answered.set_result(isinstance(event, Answer))

    def audio(self, side: int, pcm: bytes) -> None:
        """Ignore audio."""

    def close(self, code: int, reason: str) -> None:
        """Note the end."""
        if not self.answered.done():
            self.answered.set_result(False)


async def until_answered(call: CallHandle, seconds: float) -> bool:
    """Return whether a call is answered within a time, at once where that is known.

    Args:
        call: The call.
        seconds: Longest wait.
    """
    waiter = _Waiter()
    # The subscription comes first: an answer between a look and a subscription would be missed.
    subscription = await call.subscribe(waiter)
    try:
        state = (await call.snapshot()).state
        if state in (State.UP, State.OVER):
            return state is State.UP
        async with asyncio.timeout(seconds):
            return await waiter.answered
    except TimeoutError:
        return False
    finally:
        subscription.close()
