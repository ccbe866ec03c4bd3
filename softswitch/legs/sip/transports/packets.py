"""Packets between a worker and the supervisor that owns the SIP sockets of a host (docs/adr/0033)."""

import struct
from enum import IntEnum

from softswitch.sip.transaction.flow import Flow, TransportName

_HEAD = struct.Struct("!BBHIId")
_NAMES: tuple[TransportName, ...] = ("udp", "tcp", "tls", "ws", "wss")
_NUMBERS = {name: number for number, name in enumerate(_NAMES)}


class Kind(IntEnum):
    """Kind of a packet, and what its fields mean."""

    MESSAGE = 1
    """To a worker: a message of a flow; `moment` is its arrival, in monotonic seconds of the host."""
    SEND = 2
    """To the supervisor: send a message; `number` comes back with FAILED."""
    FAILED = 3
    """To a worker: the message with this number could not be sent."""
    LOST = 4
    """To all workers: the connection of this flow is closed."""
    UNREACHABLE = 5
    """To all workers: an ICMP error reports the peer as unreachable."""
    SERVER_NAME = 6
    """To the supervisor: the certificate at `flow.host` must have the name in `data`."""
    PING = 7
    """To the supervisor: keep a NAT binding open."""
    PROVED = 8
    """To the supervisor: a phone has authenticated over this connection."""
    SOCKET_OPEN = 9
    """To the supervisor: a worker has accepted a WebSocket; `number` names it from now on."""
    SOCKET_DATA = 10
    """Both ways: a message of such a WebSocket."""
    SOCKET_CLOSED = 11
    """Both ways: such a WebSocket is closed."""


NOWHERE = Flow("udp", "", 0)


def pack(
    kind: Kind, flow: Flow = NOWHERE, data: bytes = b"", *, number: int = 0, moment: float = 0.0
) -> bytes:
    """Return a packet."""
    host = flow.host.encode()
    transport = _NUMBERS[flow.transport] | (8 if flow.or_tcp else 0)
    head = _HEAD.pack(kind, transport, flow.port, flow.connection, number, moment)
    return b"%b%c%b%b" % (head, len(host), host, data)


def unpack(packet: bytes) -> tuple[Kind, Flow, bytes, int, float]:
    """Return kind, flow, data, number and moment of a packet.

    Raises:
        ValueError: It is no packet.
    """
    try:
        kind, transport, port, connection, number, moment = _HEAD.unpack_from(packet)
        end = _HEAD.size + 1 + packet[_HEAD.size]
        host = packet[_HEAD.size + 1 : end].decode()
        flow = Flow(_NAMES[transport & 7], host, port, connection, or_tcp=bool(transport & 8))
        return Kind(kind), flow, packet[end:], number, moment
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"no packet of the supervisor: {error}") from error
