"""Local addresses as peers see them: the external one for the internet, an interface for networks near by."""

import ipaddress
import socket
from contextlib import suppress
from functools import lru_cache

from softswitch.legs.sip.addressing.resolve import is_address
from softswitch.settings import Rtp, Sip
from softswitch.sip.syntax.hosts import canonical

FAR = ("192.0.2.1", "2001:db8::1")
"""Documentation addresses (RFC 5737, RFC 3849), whose route is the default route; nothing is sent to them."""
MAX_KNOWN = 4096
"""Peer addresses whose local address is cached."""


class OwnAddresses:
    """Local addresses for Via, Contact and SDP, by peer."""

    def __init__(self, sip: Sip, rtp: Rtp) -> None:
        """Prepare without ports; `ports` is set once the sockets are open."""
        self._sip = sip
        self._rtp = rtp
        self._cached: dict[str, str] = {}
        self.ports: dict[str, int] = {}
        """Listening port of each transport."""
        self._names = {canonical(name) for name in sip.domains}
        self._names |= {canonical(host) for host in (sip.external_host, sip.host, *rtp.externals()) if host}
        if sip.host in ("0.0.0.0", "::", "127.0.0.1", "::1"):  # noqa: S104  (compared, not bound)
            self._names.add("localhost")

    def signalling(self, transport: str, remote: str) -> tuple[str, int]:
        """Return host (IPv6 without brackets) and port for Via and Contact.

        Args:
            transport: udp, tcp, tls, ws or wss.
            remote: IP address of the peer.
        """
        port = self.ports.get(transport, 0)
        external = self._sip.external_host.strip("[]")
        # An external address of the other family leads nowhere; a name may have addresses of both.
        if external and _is_public(remote) and _may_reach(external, remote):
            return external, port
        return self._own(self._sip.host, remote), port

    @property
    def media_host(self) -> str:
        """Return the address to bind media sockets to.

        `0.0.0.0` means both families where SIP listens on `::`: a phone that reaches SIP by IPv6 has to get
        an answer that it can send to.
        """
        both = _is_any(self._rtp.host) and "::" in (self._rtp.host, self._sip.host)
        return "::" if both else self._rtp.host

    def media(self, remote: str) -> str:
        """Return the address for SDP: one that a peer can send to.

        Args:
            remote: address of the peer, numeric; a name or "" counts as public, of the family that
                `[rtp] host` has.
        """
        family = remote if is_address(remote) else ("" if self._rtp.host != "::" else "::")
        if _is_public(remote) and (external := self._rtp.external(family)):
            return external
        if not _is_any(self._rtp.host):
            return self._rtp.host
        probe = remote if is_address(remote) else FAR["::" in family]
        return self.local_address_for(probe) or ("::1" if ":" in probe else "127.0.0.1")

    def is_ours(self, host: str, port: int | None = None) -> bool:
        """Tell whether the host of a URI means this switch; a local address with another port does not."""
        host = canonical(host)
        if port and is_address(host) and port not in self.ports.values():
            return False
        if host in self._names:
            return True
        return is_address(host) and _is_any(self._sip.host) and self.local_address_for(host) == host

    def is_this_machine(self, host: str) -> bool:
        """Tell whether an IP address, in any notation, belongs to this machine."""
        known = canonical(host)
        if not is_address(known):
            return False
        address = ipaddress.ip_address(known)
        return address.is_loopback or address.is_unspecified or self.local_address_for(known) == known

    def local_address_for(self, remote: str) -> str:
        """Return the local address of packets to `remote`; "" without a route."""
        known = self._cached.get(remote)
        if known is None:
            known = _route_source(remote)
            if len(self._cached) >= MAX_KNOWN:
                self._cached.clear()
            self._cached[remote] = known
        return known

    def refresh(self) -> list[tuple[str, str, str]]:
        """Ask the routing table again for the local address of every known peer.

        Returns:
            Peer, former and present local address of each that changed; "" is no route.
        """
        changed = []
        for remote, before in list(self._cached.items()):
            now = _route_source(remote)
            if now != before:
                self._cached[remote] = now
                changed.append((remote, before, now))
        return changed

    def _own(self, bound: str, remote: str) -> str:
        if not _is_any(bound):
            return bound
        return self.local_address_for(remote) or bound


def _route_source(remote: str) -> str:
    # Connecting a datagram socket sends nothing, but makes the kernel choose the source address.
    with suppress(OSError, ValueError):
        family = socket.AF_INET6 if ":" in remote else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((remote, 9))
            return str(probe.getsockname()[0])
    return ""


def _is_any(host: str) -> bool:
    return host in ("", "0.0.0.0", "::")  # noqa: S104  (compared, not bound)


def _may_reach(external: str, remote: str) -> bool:
    """Tell whether an external host can have the family of a peer's address."""
    return not is_address(external) or not is_address(remote) or (":" in external) == (":" in remote)


@lru_cache(MAX_KNOWN)
def _is_public(remote: str) -> bool:
    """Tell whether an address is public, or a name: neither private, nor loopback, nor link-local."""
    try:
        address = ipaddress.ip_address(remote)
    except ValueError:
        return True
    return not (address.is_private or address.is_loopback or address.is_link_local)
