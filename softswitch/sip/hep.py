"""Packets of HEP version 3 (the Homer Encapsulation Protocol), which carry copies of SIP messages to Homer.

A packet is "HEP3", its length, and chunks of vendor, type, length and value, all numbers big-endian.
"""

import ipaddress
import struct

from softswitch.sip.transaction.flow import Flow, TransportName

MAGIC = b"HEP3"
MOST_PAYLOAD = 60_000
"""Octets of a message that fit into one datagram with its chunks."""

_FAMILY, _PROTOCOL = 0x0001, 0x0002
_SOURCE_4, _TARGET_4, _SOURCE_6, _TARGET_6 = 0x0003, 0x0004, 0x0005, 0x0006
_SOURCE_PORT, _TARGET_PORT = 0x0007, 0x0008
_SECONDS, _MICROSECONDS = 0x0009, 0x000A
_KIND, _AGENT, _KEY, _PAYLOAD, _CORRELATION = 0x000B, 0x000C, 0x000E, 0x000F, 0x0011
_SIP = 1
"""Kind of the payload: SIP."""
_PROTOCOLS: dict[TransportName, int] = {"udp": 17, "tcp": 6, "tls": 6, "ws": 6, "wss": 6}
"""Numbers of IP protocols."""
_IPV4, _IPV6 = 2, 10
"""Address families, as Linux numbers them."""


def encode(
    payload: bytes, flow: Flow, *, sent: bool, at: float, agent: int, key: str = "", correlation: bytes = b""
) -> bytes:
    """Return the packet for a message.

    Args:
        payload: The message; at most `MOST_PAYLOAD` octets are taken.
        flow: Where it came from or goes to. An address that is not an IP address is written as 0.0.0.0.
        sent: Whether the switch sends it.
        at: Epoch seconds.
        agent: Number of the switch at Homer, 0 to 4294967295.
        key: Key of the switch at Homer; "" for none.
        correlation: Call-ID, by which Homer joins messages; empty for none.
    """
    remote, local = _address(flow.host), _address(flow.local_host)
    if remote.version != local.version:
        local = ipaddress.ip_address("::" if remote.version == 6 else "0.0.0.0")  # noqa: S104 - unknown, not bound
    source, target = (local, remote) if sent else (remote, local)
    ports = (flow.local_port, flow.port) if sent else (flow.port, flow.local_port)
    is_v6 = remote.version == 6
    seconds = int(at)
    chunks = [
        _chunk(_FAMILY, bytes([_IPV6 if is_v6 else _IPV4])),
        _chunk(_PROTOCOL, bytes([_PROTOCOLS[flow.transport]])),
        _chunk(_SOURCE_6 if is_v6 else _SOURCE_4, source.packed),
        _chunk(_TARGET_6 if is_v6 else _TARGET_4, target.packed),
        _chunk(_SOURCE_PORT, struct.pack(">H", ports[0])),
        _chunk(_TARGET_PORT, struct.pack(">H", ports[1])),
        _chunk(_SECONDS, struct.pack(">I", seconds)),
        _chunk(_MICROSECONDS, struct.pack(">I", int((at - seconds) * 1_000_000))),
        _chunk(_KIND, bytes([_SIP])),
        _chunk(_AGENT, struct.pack(">I", agent)),
    ]
    if key:
        chunks.append(_chunk(_KEY, key.encode()))
    if correlation:
        chunks.append(_chunk(_CORRELATION, correlation[:256]))
    chunks.append(_chunk(_PAYLOAD, payload[:MOST_PAYLOAD]))
    body = b"".join(chunks)
    return MAGIC + struct.pack(">H", len(MAGIC) + 2 + len(body)) + body


def _chunk(kind: int, value: bytes) -> bytes:
    return struct.pack(">HHH", 0, kind, 6 + len(value)) + value


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return ipaddress.IPv4Address(0)
