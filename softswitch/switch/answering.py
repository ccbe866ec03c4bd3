"""Waiting for a call to be answered."""

import asyncio

from softswitch.call.events import Answer, Event, HungUp
from softswitch.call.state import State
from softswitch.switch.conversation import Conversation


class _Waiter:
    """A subscriber that wants to know one thing."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def event(self, event: Event, seq: int) -> None:
        """Look whether it is decided."""
        if isinstance(event, Answer | HungUp) and not self.answered.done():
            self.answered.set_result(isinstance(event, Answer))

    def audio(self, side: int, pcm: bytes) -> None:
        """Leave audio out."""

    def close(self, code: int, reason: str) -> None:
        """Take the end for a no."""
        if not self.answered.done():
            self.answered.set_result(False)


async def until_answered(conversation: Conversation, seconds: float) -> bool:
    """Return whether a call is answered, at once where that is known.

    Args:
        conversation: The call.
        seconds: How long to wait.
    """
    if conversation.call.state in (State.UP, State.OVER):
        return conversation.call.state is State.UP
    waiter = _Waiter()
    conversation.subscribe(waiter)
    try:
        async with asyncio.timeout(seconds):
            return await waiter.answered
    except TimeoutError:
        return False
    finally:
        conversation.unsubscribe(waiter)
