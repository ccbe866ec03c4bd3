"""ICMP errors of UDP sockets on Linux: requested, read from the kernel, and classified.

Used by the UDP sockets of SIP and DTLS legs. Linux keeps the ICMP errors of a socket in a queue of its own
(IP_RECVERR in ip(7)); each entry is a `sock_extended_err` and the address that the datagram was sent to.
"""

import contextlib
import errno
import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

MOST_ERRORS = 64
"""Errors that are read in a row, before other work of the loop gets its turn."""

ErrorKind = Literal["unreachable", "too_big", "passing"]
"""unreachable: no datagram arrives there. too_big: a datagram was larger than the path's MTU, and routers may
not fragment it. passing: one datagram was lost (for example a fragment was missing); the next may arrive."""

# The numbers are those of linux/in.h, linux/in6.h and linux/errqueue.h, which Python's socket module lacks.
_IP_MTU_DISCOVER, _IP_PMTUDISC_DONT = 10, 0
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_ORIGIN_LOCAL, _ORIGIN_ICMP, _ORIGIN_ICMP6 = 1, 2, 3
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
"""errno, origin, type, code, padding, info (of "too big": the path's MTU), data."""
_ERROR_QUEUES = ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR))

# Time exceeded, code 1: the peer exists, but a fragment was missing (RFC 792, RFC 4443 section 3.3).
_REASSEMBLY = {(_ORIGIN_ICMP, 11, 1), (_ORIGIN_ICMP6, 3, 1)}


@dataclass(frozen=True, slots=True)
class SocketError:
    """An error that the network or the kernel reported for a datagram sent earlier."""

    kind: ErrorKind
    number: int
    """errno, such as ECONNREFUSED."""
    host: str = ""
    """Numeric address that the datagram was sent to, in the notation of the socket (IPv4 perhaps as
    ::ffff:192.0.2.1); "" where the kernel does not tell."""
    port: int = 0
    mtu: int = 0
    """Of too_big: the path's MTU in octets, IP header included; 0 where unknown."""


def ask_for_errors(udp: socket.socket) -> None:
    """Let the kernel report the ICMP errors of a socket, also of an unconnected one."""
    if not sys.platform.startswith("linux"):
        return
    if udp.family == socket.AF_INET6:
        udp.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    with contextlib.suppress(OSError):  # an IPv6-only socket may refuse it
        udp.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)


def allow_fragments(udp: socket.socket) -> None:
    """Let the network fragment datagrams of a socket that exceed the path's MTU.

    By default Linux forbids it. It then loses the first datagram above the path's MTU, and all of them where
    a firewall drops the ICMP errors. IPv6 routers do not fragment: there the kernel does, once it knows the
    MTU.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError):  # an IPv6-only socket may refuse it
        udp.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT)


def clear_error(udp: socket.socket) -> int:
    """Return and clear the pending errno of a socket; 0: none is pending."""
    try:
        return udp.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    except OSError:  # the socket is closed
        return 0


def read_errors(udp: socket.socket) -> list[SocketError]:
    """Read up to 64 errors from the queue of a socket for which errors were requested."""
    found: list[SocketError] = []
    if not hasattr(socket, "MSG_ERRQUEUE"):
        return found
    while len(found) < MOST_ERRORS:
        try:
            _, ancillary, _, address = udp.recvmsg(0, 512, socket.MSG_ERRQUEUE)
        except OSError:  # the queue is empty, or the socket is closed
            break
        found.append(socket_error(ancillary, address))
    return found


def socket_error(ancillary: Sequence[tuple[int, int, bytes]], address: Any) -> SocketError:
    """Return the error in an entry of the error queue.

    Args:
        ancillary: control messages of recvmsg(2): level, type, data.
        address: destination of the datagram, as recvmsg(2) returns it; None or () where unknown.
    """
    host, port = (str(address[0]), int(address[1])) if address else ("", 0)
    for level, kind, data in ancillary:
        if (level, kind) in _ERROR_QUEUES and len(data) >= _EXTENDED_ERROR.size:
            number, origin, icmp_type, code, _, info, _ = _EXTENDED_ERROR.unpack_from(data)
            if (origin, icmp_type, code) in _REASSEMBLY:
                return SocketError("passing", number, host, port)
            what = kind_of_error(number)
            return SocketError(what, number, host, port, info if what == "too_big" else 0)
    return SocketError("passing", 0, host, port)


def kind_of_error(number: int) -> ErrorKind:
    """Classify an errno of a UDP socket."""
    if number == errno.EMSGSIZE:
        return "too_big"
    return "unreachable" if number in _UNREACHABLE else "passing"


_UNREACHABLE = {
    errno.ECONNREFUSED,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.ENOPROTOOPT,  # the host has no UDP
    errno.EACCES,  # ICMPv6: a firewall forbids it
    getattr(errno, "ENONET", errno.ENETUNREACH),
}
"""Errnos of Linux for "destination unreachable", by code (icmp(7)), and for an expired TTL."""
