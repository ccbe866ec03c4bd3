"""The client side of a call's stream: one WebSocket to an outside service that hears, and may speak."""

from collections.abc import Mapping

from softswitch.call.needs import StreamEar, StreamRequest
from softswitch.egress.http import Door
from softswitch.endpoints.stream_client.client import StreamClient, StreamTerms
from softswitch.endpoints.stream_client.clock import WallClock
from softswitch.endpoints.stream_client.counters import StreamCounters

__all__ = ["StreamClient", "StreamClients", "StreamTerms"]


class StreamClients:
    """Makes the streams of a process (a ``StreamFactory``)."""

    def __init__(self, door: Door, terms: StreamTerms) -> None:
        """Make none yet.

        Args:
            door: The one way outwards.
            terms: What the settings say of all streams.
        """
        self._door, self._terms = door, terms
        self._clock = WallClock()
        self.counters = StreamCounters()

    def __call__(self, request: StreamRequest, ear: StreamEar) -> StreamClient:
        """Make a stream; nothing is dialled before it runs."""
        return StreamClient(request, ear, self._door, self._terms, self.counters, self._clock)

    def numbers(self) -> Mapping[str, float]:
        """Return what was counted, for metrics."""
        return {name: getattr(self.counters, name) for name in StreamCounters.__slots__ if name != "open"}
