"""Expiry of tokens: sockets, feeds, and calls and streams made by POST end with the token of their client."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial

from softswitch.call.state import State
from softswitch.call.vocabulary.commands import StopStream
from softswitch.call.vocabulary.events import Event
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.log.tasks import spawn
from softswitch.room.rejection import RoomRefused
from softswitch.switch.directory import CallHandle
from softswitch.switch.rooms.directory import RoomHandle
from softswitch.web.auth import Identity

EXPIRED = "the token has expired"
POLICY_VIOLATION = 1008
"""Code of the close frame then (RFC 6455 section 7.4.1)."""
LOOK_S = 3600.0
"""Longest wait between two looks at the clock, in seconds: a clock that is set right is followed."""
ENDED = "token_expired"
"""Reason of the hangup of a call that ends with the token that made it."""


class Expiry:
    """Waits for the end of a token."""

    def __init__(
        self,
        identity: Identity,
        end: Callable[[], object],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin to wait; for a key that never expires, do nothing.

        Args:
            identity: Holder of the token.
            end: Called once, when the token has expired.
            clock: Seconds since the epoch.
        """
        self._expires = identity.expires
        self._end = end
        self._clock = clock
        self._handle: asyncio.TimerHandle | None = None
        self._look()

    def cancel(self) -> None:
        """Wait no longer."""
        self._expires = None
        if self._handle is not None:
            self._handle.cancel()

    def _look(self) -> None:
        if self._expires is None:
            return
        left = self._expires - self._clock()
        if left <= 0:
            self._expires = None
            self._end()
        else:
            self._handle = asyncio.get_running_loop().call_later(min(left, LOOK_S), self._look)


class Lease:
    """Ends what a request has made in a call with the token of its client, unless the call ends before.

    It is a subscriber of the call, so that nothing is kept of a call that has ended.
    """

    def __init__(self, identity: Identity, end: Callable[[], object]) -> None:
        """Begin; `end` is called once, when the token has expired."""
        self._expiry = Expiry(identity, end)

    def event(self, event: Event, seq: int) -> None:
        """Ignore events."""

    def audio(self, side: int, pcm: bytes) -> None:
        """Ignore audio."""

    def close(self, code: int, reason: str) -> None:
        """End with the call."""
        self._expiry.cancel()


async def lease_call(identity: Identity, call: CallHandle) -> None:
    """End a call with a token."""
    await lease(identity, call, partial(call.end, ENDED, "system"))


async def lease_stream(identity: Identity, call: CallHandle, stream: str) -> None:
    """Stop a stream of a call with a token."""
    await lease(identity, call, stopping(identity, call, stream))


def stopping(identity: Identity, handle: CallHandle | RoomHandle, stream: str) -> Callable[[], object]:
    """Return what stops a stream of a call or of a room, unless it has ended before."""

    async def stop() -> None:
        with contextlib.suppress(CommandRejected, RoomRefused):
            await handle.command(StopStream(stream=stream), identity.principal)

    return lambda: spawn(stop(), package="web", name="stop a stream")


async def lease(identity: Identity, call: CallHandle, end: Callable[[], object]) -> None:
    """Do something to a call at the end of a token; nothing for a key that never expires."""
    if identity.expires is not None and (await call.snapshot()).state is not State.OVER:
        await call.subscribe(Lease(identity, end))
