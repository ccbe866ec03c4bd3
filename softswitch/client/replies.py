"""Commands of a client that wait for their ``ack`` or ``error``."""

import asyncio
from itertools import count

from softswitch.client.errors import ClientError, CommandFailedError
from softswitch.protocol.call_events import Ack, Error, Event


class Replies:
    """Table of the commands that wait for an answer, by request id."""

    def __init__(self) -> None:
        """Begin without a waiting command."""
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._numbers = count(1)

    def expect(self) -> tuple[str, asyncio.Future[None]]:
        """Return a new request id, and the future that its answer completes."""
        request_id = f"c{next(self._numbers)}"
        future = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = future
        future.add_done_callback(lambda _: self._waiting.pop(request_id, None))
        return request_id, future

    def settle(self, event: Event) -> bool:
        """Complete the command that an event answers; return whether it answers one."""
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
        """Fail all commands that wait."""
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(error)
