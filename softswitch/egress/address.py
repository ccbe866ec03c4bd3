"""Rules for outgoing URLs and addresses; pure.

Clients of the switch can name URLs (play, mediaPass, streams), and the switch is inside the operator's
network: without rules a client could reach that network through it. `ipaddress.is_global` is not used, since
its result for several of these networks differs between Python releases.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from yarl import URL

from softswitch.egress.errors import EgressRefused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL = 8192
"""Characters of the longest URL."""

HTTP = frozenset({"http", "https"})
WEBSOCKET = frozenset({"ws", "wss"})

_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")

WEB_PORTS = frozenset({80, 443})
"""Permitted ports below 1024: an HTTP request could be misread as another protocol on the other ports."""

FOREIGN_PORTS = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, *range(6665, 6670), 6679, 6697, 10080}
)
"""Refused ports above 1023, as in browsers (Fetch standard, "bad port"): H.323, NFS, SIP, X11, IRC."""

_REFUSED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # "this network"; 0.0.0.0 reaches this host on Linux
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; also the metadata service of one cloud
        "127.0.0.0/8",
        "168.63.129.16/32",  # looks public, but is the host agent of a cloud
        "169.254.0.0/16",  # link-local, with the metadata service of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, with the broadcast address
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4: embeds an IPv4 address, which a relay would connect to
        "3fff::/20",  # documentation
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")


def networks(allow: Sequence[str]) -> tuple[Network, ...]:
    """Parse the networks of `[egress] allow`.

    Raises:
        ValueError: An entry is not a network.
    """
    return tuple(ip_network(text, strict=False) for text in allow)


def read_url(text: str, schemes: frozenset[str], *, trusted: bool = False) -> URL:
    """Parse a URL from a peer; spellings that two parsers could read differently are refused.

    Args:
        text: URL as the peer sent it.
        schemes: permitted schemes, in lower case.
        trusted: whether the URL comes from the settings; then every port is permitted.

    Returns:
        The URL; its `raw_host` is a plain name or a canonical address.

    Raises:
        EgressRefused: The rules forbid it whatever its host resolves to.
    """
    url = _parse(text)
    if url.scheme not in schemes:
        wanted = " or ".join(f"{name}://" for name in sorted(schemes))
        raise EgressRefused(f"the URL must start with {wanted}")
    if url.raw_user is not None or url.raw_password is not None or "@" in url.raw_authority:
        raise EgressRefused("the URL must not carry a user name or password")
    _check_host(url.raw_host or "", bracketed="[" in url.raw_authority)
    if url.raw_authority.endswith(":") or url.port == 0:
        raise EgressRefused("the port in the URL is not a port")
    if not trusted:
        _check_port(url.port or 0)
    return url


def _parse(text: str) -> URL:
    if not text:
        raise EgressRefused("the URL is empty")
    if len(text) > MAX_URL:
        raise EgressRefused(f"the URL is longer than {MAX_URL} characters")
    if "\\" in text or any(character <= " " or character == "\x7f" for character in text):
        raise EgressRefused("the URL has a backslash, a space or a control character")
    try:
        # An encoded URL stays as it is: signatures in URLs cover the exact spelling.
        url = URL(text, encoded=text.isascii())
        url.port  # noqa: B018 - raises for a malformed port
    except ValueError as error:
        raise EgressRefused("the URL cannot be read") from error
    return url


def _check_host(host: str, *, bracketed: bool) -> None:
    if bracketed:
        if "%" in host or not is_address(host):
            raise EgressRefused("the host of the URL is not an IPv6 address that can be dialled")
        return
    if not host.isascii() or not _HOST.fullmatch(host) or len(host) > 253:
        raise EgressRefused("the host of the URL is not a plain name (a trailing dot is not permitted)")
    # Some resolvers take 2130706433, 0x7f.1 and 0177.0.0.1 for addresses, others for names.
    if _NUMBER.fullmatch(host.rpartition(".")[2]) and not is_address(host):
        raise EgressRefused("the host of the URL is an oddly spelled address; write four decimal numbers")


def _check_port(port: int) -> None:
    if (port < 1024 and port not in WEB_PORTS) or port in FOREIGN_PORTS:
        raise EgressRefused(f"port {port} is not a port of the web")


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address, and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def check_address(address: Address, allow: Sequence[Network]) -> None:
    """Check that an address is public or in a network of `allow`.

    Args:
        address: address in the URL, or one that its host resolved to.
        allow: networks of `[egress] allow`.

    Raises:
        EgressRefused: It is neither; the text names the setting.
    """
    inner = _inner(address)
    if any(one in network for one in (address, inner) for network in allow):
        return
    if not _is_public(inner):
        raise EgressRefused(
            "the URL leads to an address that is not public; the setting [egress] allow could permit it"
        )


def _inner(address: Address) -> Address:
    """Return the IPv4 address embedded in an IPv6 one (RFC 4291 section 2.5.5.2, RFC 6052), or itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    return address in _GLOBAL_V6 and not any(address in network for network in _REFUSED_V6)
