"""A UDP socket of ICE on the event loop, which may leave the reading to the media engine."""

import asyncio
import socket
from typing import Any

from softswitch.legs.datagrams.icmp import SocketError
from softswitch.legs.datagrams.reader import DatagramReader
from softswitch.legs.webrtc.source_filter import MAX_DATAGRAM

_BURST = 32
"""Most datagrams read before other work of the loop has its turn."""


class IceTransport(asyncio.DatagramTransport):
    """Transport of one socket. Unlike that of an event loop it can stop to read and still send."""

    def __init__(self, udp: socket.socket, protocol: asyncio.DatagramProtocol) -> None:
        """Read on the running loop, and own the socket.

        Args:
            udp: bound and not blocking.
            protocol: gets the datagrams.

        Raises:
            OSError: no descriptor is left.
        """
        super().__init__({"socket": udp, "sockname": udp.getsockname()})
        self._udp, self._protocol = udp, protocol
        self._loop = asyncio.get_running_loop()
        self._reader: DatagramReader | None = None
        self._closing = False
        self.resume_reading()
        protocol.connection_made(self)

    def pause_reading(self) -> None:
        """Stop to read: the media engine reads a duplicate of the socket."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def resume_reading(self) -> None:
        """Read again; further calls do nothing.

        Raises:
            OSError: no descriptor is left.
        """
        if self._reader is None and not self._closing:
            self._reader = DatagramReader(self._udp, self._read, self._failed)

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send a datagram; it is lost where the socket takes none."""
        if self._closing:
            return
        try:
            self._udp.sendto(data, addr)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._protocol.error_received(error)

    def is_closing(self) -> bool:
        """Return True once the transport was closed."""
        return self._closing

    def close(self) -> None:
        """Close the socket; `connection_lost` follows."""
        if self._closing:
            return
        self._closing = True
        self.pause_reading()
        self._udp.close()
        self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        """Close the socket."""
        self.close()

    def _read(self) -> None:
        for _ in range(_BURST):
            if self._reader is None:
                return
            try:
                datagram, source = self._udp.recvfrom(MAX_DATAGRAM + 1)
            except OSError:
                # Nothing is left, or an ICMP error: the reader reports it.
                return
            self._protocol.datagram_received(datagram, source)

    def _failed(self, error: SocketError) -> None:
        self._protocol.error_received(OSError(error.number, "socket error"))
