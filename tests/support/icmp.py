"""ICMP errors made at will on loopback, and when the loop does not expect them."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


def bound(family: socket.AddressFamily = socket.AF_INET, port: int = 0) -> socket.socket:
    """Return a UDP socket on loopback that does not block."""
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.bind((LOOPBACK[family], port))
    return made


def may_be_split(udp: socket.socket) -> bool:
    """Tell whether routers may split the datagrams of a socket (IP_MTU_DISCOVER is IP_PMTUDISC_DONT)."""
    return udp.getsockopt(socket.IPPROTO_IP, 10) == 0


@contextmanager
def closed_port(family: socket.AddressFamily = socket.AF_INET) -> Iterator[tuple[str, int]]:
    """Give an address where nothing listens, and which no other program gets meanwhile.

    A connected socket holds the port, and takes datagrams from its own peer alone: any other sender gets
    "port unreachable".
    """
    with bound(family) as holder, bound(family) as peer:
        holder.connect(peer.getsockname())
        yield holder.getsockname()[:2]


async def provoke(udp: socket.socket, closed: tuple[str, int] | None, times: int = 1) -> None:
    """Have ICMP errors arrive at a socket while the loop sleeps in its poll.

    Args:
        udp: the socket that is read by the running loop.
        closed: where nothing listens; None: where the socket is connected to.
        times: how many errors.
    """

    def send() -> None:
        left = times
        while left:
            try:
                udp.send(b"knock") if closed is None else udp.sendto(b"knock", closed)
            except ConnectionRefusedError:  # the error of the one before, which is cleared by this
                continue
            left -= 1

    # In a thread: the loop has nothing to do but to wait for it, so epoll reports the error by itself.
    await asyncio.to_thread(send)
