"""Commands that wait for their ``ack``."""

import asyncio
from itertools import count

from softswitch.client.errors import ClientError, CommandFailedError
from softswitch.client.events import Ack, Error, Event


class Replies:
    """Matches what the switch acknowledges with who asked for it."""

    def __init__(self) -> None:
        """Begin with nothing asked."""
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._numbers = count(1)

    def expect(self) -> tuple[str, asyncio.Future[None]]:
        """Return a new request id, and what will be done when it is answered."""
        request_id = f"c{next(self._numbers)}"
        future = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = future
        future.add_done_callback(lambda _: self._waiting.pop(request_id, None))
        return request_id, future

    def settle(self, event: Event) -> bool:
        """Hand an event to the command it answers; return whether it answers one."""
        if not isinstance(event, Ack | Error) or event.request_id is None:
            return False
        future = self._waiting.get(event.request_id)
        if future is None or future.done():
            return isinstance(event, Ack)
        if isinstance(event, Ack):
            future.set_result(None)
        else:
            future.set_exception(CommandFailedError(event.error, sender=event.sender, code=event.code))
        return True

    def fail(self, error: ClientError) -> None:
        """Tell all who wait that no answer will come."""
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(error)
