"""By which of our addresses a far end reaches us: another one for the world than for the house."""

import ipaddress
import socket
from contextlib import suppress

from softswitch.endpoints.sip.resolve import is_address
from softswitch.settings import Rtp, Sip

MAX_KNOWN = 4096
"""Far ends whose way out is remembered."""


class OwnAddresses:
    """What goes into Via, Contact and the description of media."""

    def __init__(self, sip: Sip, rtp: Rtp) -> None:
        """Know no ports yet; `ports` is set once the sockets are open."""
        self._sip = sip
        self._rtp = rtp
        self._leaving: dict[str, str] = {}
        self.ports: dict[str, int] = {}
        """By transport: the port we listen on."""
        self._names = {name.lower() for name in sip.domains}
        self._names |= {host.lower() for host in (sip.external_host, sip.host, rtp.external_ip) if host}
        if sip.host in ("0.0.0.0", "::", "127.0.0.1", "::1"):  # noqa: S104  (compared, not bound)
            self._names.add("localhost")

    def signalling(self, transport: str, remote: str) -> tuple[str, int]:
        """Return host (IPv6 without brackets) and port that a far end is told to reach us by.

        Args:
            transport: udp, tcp, tls, ws or wss.
            remote: the far end's address.
        """
        port = self.ports.get(transport, 0)
        if self._sip.external_host and _is_far(remote):
            return self._sip.external_host.strip("[]"), port
        return self._own(self._sip.host, remote), port

    def media(self, remote: str) -> str:
        """Return the address to announce for media; "" where the usual one will do."""
        if _is_far(remote):
            return ""
        return self._own(self._rtp.host, remote) if self._rtp.external_ip or _is_any(self._rtp.host) else ""

    def is_ours(self, host: str, port: int | None = None) -> bool:
        """Tell whether the host of a URI means this switch; an address of ours with another port does not."""
        host = host.strip("[]").lower()
        if port and is_address(host) and port not in self.ports.values():
            return False
        if host in self._names:
            return True
        return is_address(host) and _is_any(self._sip.host) and self.leaving(host) == host

    def leaving(self, remote: str) -> str:
        """Return our address that a packet to `remote` leaves from; "" where there is no way."""
        known = self._leaving.get(remote)
        if known is None:
            known = _leaving_address(remote)
            if len(self._leaving) >= MAX_KNOWN:
                self._leaving.clear()
            self._leaving[remote] = known
        return known

    def _own(self, bound: str, remote: str) -> str:
        if not _is_any(bound):
            return bound
        return self.leaving(remote) or bound


def _leaving_address(remote: str) -> str:
    # Connecting a datagram socket sends nothing, but makes the kernel choose the address.
    with suppress(OSError, ValueError):
        family = socket.AF_INET6 if ":" in remote else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((remote, 9))
            return str(probe.getsockname()[0])
    return ""


def _is_any(host: str) -> bool:
    return host in ("", "0.0.0.0", "::")  # noqa: S104  (compared, not bound)


def _is_far(remote: str) -> bool:
    """Tell whether an address lies beyond our own networks."""
    try:
        address = ipaddress.ip_address(remote)
    except ValueError:
        return True
    return not (address.is_private or address.is_loopback or address.is_link_local)
