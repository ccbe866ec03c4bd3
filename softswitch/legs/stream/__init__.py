"""Streams of a call to outside services: WebSockets that hear a party, and may speak.

The composition root makes one :class:`StreamClients`, with the dialects that services may speak.
"""

from collections.abc import Callable, Mapping

from softswitch.call.interfaces import StreamEar, StreamRequest, StreamSocket
from softswitch.egress.http import EgressClient
from softswitch.errors import MalformedError
from softswitch.legs.stream.client import StreamClient, epoch_ms
from softswitch.legs.stream.counters import StreamCounters
from softswitch.legs.stream.dialect import StreamDialects
from softswitch.legs.stream.dialling import StreamTerms

__all__ = ["StreamClient", "StreamClients", "StreamTerms"]


class StreamClients:
    """Factory of the streams of a process (a ``StreamFactory``)."""

    def __init__(
        self,
        egress: EgressClient,
        terms: StreamTerms,
        dialects: StreamDialects,
        now_ms: Callable[[], int] = epoch_ms,
    ) -> None:
        """Make no stream yet.

        Args:
            egress: Opens connections under the egress rules.
            terms: What the settings say of all streams.
            dialects: The dialects, by the name that a request gives.
            now_ms: Returns epoch milliseconds.
        """
        self._egress, self._terms, self._dialects, self._now_ms = egress, terms, dialects, now_ms
        self.counters = StreamCounters()
        self._sockets: set[StreamSocket] = set()
        """Of streams whose media messages the engine sends."""

    def __call__(self, request: StreamRequest, ear: StreamEar) -> StreamClient:
        """Make a stream; nothing is dialled before it runs.

        Raises:
            MalformedError: The protocol is unknown, or cannot carry what is requested.
        """
        dialect = self._dialects.get(request.protocol)
        if dialect is None:
            known = ", ".join(sorted(self._dialects))
            raise MalformedError(f"protocol: {request.protocol[:64]!r} is unknown; known are: {known}")
        return StreamClient(
            request,
            dialect.open(request),
            ear,
            self._egress,
            terms=self._terms,
            counters=self.counters,
            sockets=self._sockets,
            now_ms=self._now_ms,
        )

    def numbers(self) -> Mapping[str, float]:
        """Return what was counted, for metrics."""
        numbers = {name: getattr(self.counters, name) for name in StreamCounters.__slots__ if name != "open"}
        numbers["media_sent"] += sum(socket.sent for socket in self._sockets)
        return numbers
