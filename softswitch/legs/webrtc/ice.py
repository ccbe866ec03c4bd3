"""STUN and TURN servers of the settings: for clients (`/iceservers`) and for connections of the switch."""

import base64
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from softswitch.settings import Ice

MAX_HOST_ADDRESSES = 8
"""Local addresses that get a socket for each leg; a container host may have dozens of bridges."""

_URL = re.compile(
    r"(?P<scheme>stuns?|turns?):(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:?/@\s]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:\?transport=(?P<transport>udp|tcp))?",
    re.IGNORECASE,
)


class IceServerGrant(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of `/iceservers`; empty fields are left out, since a null breaks pion clients."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""

    def __repr__(self) -> str:
        """Return the entry without its password."""
        return f"IceServerGrant(urls={self.urls!r}, username={self.username!r})"


@dataclass(frozen=True, slots=True)
class IceUrl:
    """A parsed STUN or TURN URL (RFC 7064, RFC 7065)."""

    scheme: str
    """stun, stuns, turn or turns."""
    host: str
    port: int
    transport: str
    """Transport to the server: udp or tcp."""


@dataclass(frozen=True, slots=True)
class TurnAccess:
    """Address and credentials of one TURN server."""

    host: str
    port: int
    transport: str
    tls: bool
    username: str
    credential: str

    def __repr__(self) -> str:
        """Return the address without the credentials."""
        return f"TurnAccess({self.host}:{self.port}, {self.transport})"


@dataclass(frozen=True, slots=True)
class GatherServers:
    """The servers for candidates of the switch: aioice asks one of each kind."""

    stun: tuple[str, int] | None = None
    turn: TurnAccess | None = None


def ice_servers(ice: Ice, *, now: float, user: str = "softswitch") -> tuple[IceServerGrant, ...]:
    """Return the entries of `/iceservers`; an empty tuple where nothing is configured.

    Args:
        ice: section [ice].
        now: seconds since the epoch; TURN credentials are valid from then on for `turn_ttl` seconds.
        user: name of the call for the quota of coturn.
    """
    grants = []
    if ice.stun:
        grants.append(IceServerGrant(ice.stun))
    if ice.turn_urls:
        username, credential = turn_credential(ice.turn_secret, user, int(now) + ice.turn_ttl)
        grants.append(IceServerGrant(ice.turn_urls, username, credential))
    grants += [IceServerGrant(server.urls, server.username, server.credential) for server in ice.server]
    return tuple(grants)


def turn_credential(secret: str, user: str, expiry: int) -> tuple[str, str]:
    """Return user name and password for a coturn with `use-auth-secret` (its REST API draft).

    Args:
        secret: `static-auth-secret` of the server.
        user: any name; a colon or a space in it is replaced.
        expiry: seconds since the epoch until which both are valid.
    """
    username = f"{expiry}:{re.sub('[^A-Za-z0-9._@-]', '_', user)}"
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(digest).decode()


def parse_ice_url(url: str) -> IceUrl:
    """Parse a STUN or TURN URL.

    Raises:
        ValueError: it is malformed.
    """
    match = _URL.fullmatch(url.strip())
    if not match:
        raise ValueError(f"{url!r} is not of the form stun:host:port or turn:host:port?transport=udp")
    scheme = match["scheme"].lower()
    secure = scheme.endswith("s")
    port = int(match["port"] or (5349 if secure else 3478))
    if not 1 <= port <= 65535:
        raise ValueError(f"the port of {url!r} is not within 1-65535")
    transport = (match["transport"] or ("tcp" if secure else "udp")).lower()
    return IceUrl(scheme, match["host"].strip("[]"), port, transport)


def gather_servers(grants: Iterable[IceServerGrant]) -> GatherServers:
    """Choose the servers for candidates of the switch: the first usable STUN and TURN server.

    TLS to a STUN server and DTLS to a TURN server are left to browsers.

    Raises:
        ValueError: a URL is malformed.
    """
    stun: tuple[str, int] | None = None
    turn: TurnAccess | None = None
    for grant in grants:
        for url in map(parse_ice_url, grant.urls):
            if url.scheme == "stun" and stun is None:
                stun = (url.host, url.port)
            elif url.scheme == "turn" and turn is None:
                turn = TurnAccess(
                    url.host, url.port, url.transport, tls=False,
                    username=grant.username, credential=grant.credential,
                )  # fmt: skip
            elif url.scheme == "turns" and url.transport == "tcp" and turn is None:
                turn = TurnAccess(
                    url.host, url.port, "tcp", tls=True,
                    username=grant.username, credential=grant.credential,
                )  # fmt: skip
    return GatherServers(stun, turn)


def host_addresses(configured: Sequence[str], found: Iterable[str], *, loopback: bool) -> tuple[str, ...]:
    """Return the local addresses that become host candidates.

    Args:
        configured: `[ice] host_addresses`; if there are any, only these are used.
        found: addresses of the interfaces.
        loopback: whether 127.0.0.1 is added at the end: true where the web server is bound to loopback, so
            that a browser on this machine connects without any network.
    """
    if configured:
        return tuple(dict.fromkeys(configured))[:MAX_HOST_ADDRESSES]
    usable = [
        address
        for address in dict.fromkeys(found)
        if not ((ip := ipaddress.ip_address(address)).is_loopback or ip.is_link_local or ip.is_multicast)
    ]
    kept = usable[: MAX_HOST_ADDRESSES - 1]
    return (*kept, "127.0.0.1") if loopback or not kept else tuple(kept)
