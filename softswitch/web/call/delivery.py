"""Whether the audio that is sent to a client arrives: TCP knows long before a ping is missed.

A network that has vanished closes no connection. Pings notice it after half a minute; the kernel knows at
once that nothing is acknowledged any more.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple

LOOK_S = 0.5
"""Time between two looks, in seconds."""
STALLED_S = 2.0
"""Data that is unacknowledged for so long does not arrive, in seconds: several retransmissions were lost."""

_INFO = struct.Struct("=B23xI28xI")
"""`tcpi_state`, `tcpi_unacked` and `tcpi_last_ack_recv` of Linux' `struct tcp_info`."""
_CLOSED = 7
"""`TCP_CLOSE`."""


class Sent(NamedTuple):
    """How far the data that was sent has come."""

    unacknowledged: int
    """Segments that the peer has not acknowledged."""
    quiet_s: float
    """Time since its last acknowledgement, in seconds."""


def sent(transport: asyncio.BaseTransport) -> Sent | None:
    """Ask the kernel how far the data of a TCP connection has come; None where it cannot tell."""
    connection = transport.get_extra_info("socket")
    if connection is None or not hasattr(socket, "TCP_INFO"):
        return None
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
    except (OSError, ValueError):  # closed, or no TCP; uvloop finds a closed one by its number of -1
        return None
    if len(info) < _INFO.size:
        return None
    state, unacknowledged, quiet_ms = _INFO.unpack(info)
    if state == _CLOSED:
        # The peer reset it, and the kernel dropped what was under way: that did not arrive.
        return None
    return Sent(unacknowledged, quiet_ms / 1000)


class Delivery:
    """Watch over one connection, from `start` until `stop`."""

    def __init__(self, look: Callable[[], Sent | None], on_stalled: Callable[[bool], None]) -> None:
        """Prepare.

        Args:
            look: tells how far the data has come; None: it cannot tell, and is not asked again.
            on_stalled: called with True when data does not arrive any more, with False when it does again.
        """
        self._look = look
        self._on_stalled = on_stalled
        self._timer: asyncio.TimerHandle | None = None
        self._arrived: float | None = None
        """When data that is still under way was acknowledged last; None: all had arrived at the last look."""
        self._stalled = False

    def start(self) -> None:
        """Look from now on, every half second."""
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._again)

    def stop(self) -> None:
        """Look no further; idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def arrived_until(self, now: float) -> float:
        """Return until when data had arrived, by the clock of the loop."""
        return self._arrived if self._stalled and self._arrived is not None else now

    def _again(self) -> None:
        found = self._look()
        if found is None:
            self._timer = None
            return
        self.start()
        now = asyncio.get_running_loop().time()
        self._arrived = now - found.quiet_s if found.unacknowledged else None
        stalled = self._arrived is not None and found.quiet_s >= STALLED_S
        if stalled != self._stalled:
            self._stalled = stalled
            self._on_stalled(stalled)
