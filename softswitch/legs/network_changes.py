"""Changes of this machine's addresses: told by the kernel (rtnetlink(7)), or looked for by the clock."""

import asyncio
import socket
from contextlib import suppress
from typing import Self

import ifaddr

PERIOD_S = 3.0
"""Longest time between two looks at the addresses where the kernel tells of no changes, in seconds."""
TOLD_PERIOD_S = 30.0
"""The same where the kernel tells of them."""
QUIET_S = 0.2
"""Pause after a message of the kernel, in seconds: a new network brings several."""

_LINK, _IPV4_ADDRESSES, _IPV4_ROUTES, _IPV6_ADDRESSES, _IPV6_ROUTES = 0x1, 0x10, 0x40, 0x100, 0x400
_IPV4_RULES, _IPV6_RULES = 0x80, 0x40000
_GROUPS = _LINK | _IPV4_ADDRESSES | _IPV4_ROUTES | _IPV6_ADDRESSES | _IPV6_ROUTES | _IPV4_RULES | _IPV6_RULES
_READ = 65536


class NetworkChanges:
    """Waits for the next change; an asynchronous context manager."""

    def __init__(self, period_s: float | None = None) -> None:
        """Prepare without a socket.

        Args:
            period_s: longest wait in seconds; None: what the kernel tells decides.
        """
        self._period_s = period_s
        self._told = asyncio.Event()
        self._socket: socket.socket | None = None
        self._is_told = False

    @property
    def period_s(self) -> float:
        """Longest wait, in seconds."""
        if self._period_s is not None:
            return self._period_s
        return TOLD_PERIOD_S if self._is_told else PERIOD_S

    async def __aenter__(self) -> Self:
        """Begin to listen to the kernel, where it tells."""
        family = getattr(socket, "AF_NETLINK", None)
        if family is not None:
            with suppress(OSError):
                self._socket = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
                self._socket.bind((0, _GROUPS))
                asyncio.get_running_loop().add_reader(self._socket, self._read)
                self._is_told = True
        # What has changed before the kernel was listened to is told by no message: the first wait is short.
        self._told.set()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the socket."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    async def wait(self) -> None:
        """Return after the next change, or when it is time to look; the first time at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.period_s):
                await self._told.wait()
                await asyncio.sleep(QUIET_S)
        self._told.clear()

    def _read(self) -> None:
        """Drop the messages: what has changed is asked of the routing table; a lost one is harmless."""
        with suppress(OSError):
            while self._socket is not None:
                self._socket.recv(_READ)
        self._told.set()


def machine_addresses() -> frozenset[str]:
    """Return the addresses of all interfaces of this machine, loopback included, without scopes."""
    found = set()
    for adapter in ifaddr.get_adapters():
        for one in adapter.ips:
            found.add(one.ip[0] if isinstance(one.ip, tuple) else one.ip)
    return frozenset(found)
