"""Dialling of a stream's service: attempts, their pauses, and what the handshake carries."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from softswitch.call.interfaces import StreamRequest
from softswitch.egress.errors import EgressError, EgressRefused, HandshakeRefused
from softswitch.egress.http import EgressClient
from softswitch.egress.names import Asker
from softswitch.egress.websocket import Parser, Socket, connect
from softswitch.legs.stream.dialect import Attempt, StreamSession

PAUSES_S = (0.0, 0.5, 2.0)
"""Before each attempt to reach the service."""
DIAL_S = 10.0
"""For all attempts together."""
_PAUSES_AGAIN_S = (0.0, 0.25, 0.5, 1.0, 2.0)
_PAUSE_AT_LAST_S = 4.0


@dataclass(frozen=True, slots=True)
class StreamTerms:
    """What the settings say of all streams."""

    trusted: Callable[[str], bool] = lambda url: False
    """Whether the operator wrote a URL."""


class Dialler:
    """Opens the connections of one stream, until the stream is stopped."""

    def __init__(
        self,
        request: StreamRequest,
        session: StreamSession,
        egress: EgressClient,
        terms: StreamTerms,
        *,
        now_ms: Callable[[], int],
        before: Callable[[Parser], Parser],
        stopping: asyncio.Event,
    ) -> None:
        """Prepare; nothing is dialled yet.

        Args:
            request: What the stream is to be.
            session: Adds to the handshake what its protocol demands.
            egress: Opens connections under the egress rules.
            terms: What the settings say.
            now_ms: Returns epoch milliseconds.
            before: Puts a reader before the parser of a connection.
            stopping: Ends all attempts.
        """
        self._request, self._session, self._egress, self._terms = request, session, egress, terms
        self._now_ms, self._before, self._stopping = now_ms, before, stopping

    async def dial(self) -> Socket | None:
        """Return the first connection; None where the stream was stopped meanwhile.

        Raises:
            EgressError: The service cannot be reached, or refuses.
        """
        return await self._unless_stopped(self._dial(PAUSES_S, DIAL_S))

    async def redial(self) -> Socket | None:
        """Try again and again, ever more slowly, as long as the request allows; as :meth:`dial`."""
        within_s = self._request.reconnect_s
        later = (_PAUSE_AT_LAST_S,) * int(within_s / _PAUSE_AT_LAST_S)
        return await self._unless_stopped(self._dial((*_PAUSES_AGAIN_S, *later), within_s))

    async def _dial(self, pauses_s: tuple[float, ...], within_s: float) -> Socket:
        """Try to reach the service; one that the rules of egress or the service refuse is not repeated."""
        failure = EgressError("the service did not answer in time")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                for pause in pauses_s:
                    await asyncio.sleep(pause)
                    try:
                        return await self._connect()
                    except EgressRefused:
                        raise
                    except HandshakeRefused as error:
                        if error.is_final:
                            raise
                        failure = error
                    except EgressError as error:
                        failure = error
        raise failure

    async def _connect(self) -> Socket:
        request = self._request
        handshake = self._session.handshake(Attempt(self._now_ms() // 1000, secrets.token_hex(16)))
        url = request.url
        if handshake.query:
            # Appended, not parsed and built anew: what the URL has already must stay as it was signed.
            url += ("&" if "?" in url else "?") + urlencode(handshake.query)
        return await connect(
            self._egress,
            url,
            headers=_merged(request.headers, handshake.headers),
            protocols=handshake.subprotocols,
            trusted=self._terms.trusted(request.url),
            heartbeat_s=0.0,
            before=self._before,
            asker=Asker(request.account, request.call),
        )

    async def _unless_stopped(self, work: Coroutine[object, object, Socket]) -> Socket | None:
        """Return the socket that is dialled; None where the stream is stopped meanwhile."""
        working = asyncio.ensure_future(work)
        taken = False
        try:
            await either(working, self._stopping)
            taken = working.done() and not self._stopping.is_set()
            return working.result() if taken else None
        finally:
            if not taken:
                working.cancel()
                await asyncio.wait({working})
                # It may have opened in the moment in which it was given up.
                if not working.cancelled() and working.exception() is None:
                    await working.result().close()


async def either(
    working: "asyncio.Future[Any]", event: asyncio.Event, timeout_s: float | None = None
) -> None:
    """Wait until some work is done or an event is set; the work goes on."""
    setting = asyncio.ensure_future(event.wait())
    both: set[asyncio.Future[Any]] = {working, setting}
    try:
        await asyncio.wait(both, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        setting.cancel()


def _merged(given: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """Return two sets of headers as one; the added ones replace those of the same name, in any case."""
    names = {name.lower() for name in added}
    return {name: value for name, value in given.items() if name.lower() not in names} | dict(added)
