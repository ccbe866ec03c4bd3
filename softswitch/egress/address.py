"""Decide what may be dialled. Pure: text and addresses in, a verdict out.

A caller of this switch can name URLs (play, mediaPass, streams), and the switch stands inside somebody's
network: without rules he could read that network through it. The lists are our own rather than
`ipaddress.is_global`, whose answers for several of these networks differ between Python releases.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from yarl import URL

from softswitch.egress.errors import EgressRefused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL = 8192
"""Characters of the longest URL that is read."""

HTTP = frozenset({"http", "https"})
WEBSOCKET = frozenset({"ws", "wss"})

_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")

WEB_PORTS = frozenset({80, 443})
"""The only ports below 1024 that are dialled: requests could be smuggled into the protocols of the others."""

FOREIGN_PORTS = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, *range(6665, 6670), 6679, 6697, 10080}
)
"""Ports above 1023 that browsers refuse too (Fetch standard, "bad port"): H.323, NFS, SIP, X11, IRC."""

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
        "2002::/16",  # 6to4: carries an IPv4 address that a relay would dial for us
        "3fff::/20",  # documentation
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")


def networks(allow: Sequence[str]) -> tuple[Network, ...]:
    """Read the networks of the setting `[egress] allow`.

    Raises:
        ValueError: if one of them is not a network.
    """
    return tuple(ip_network(text, strict=False) for text in allow)


def read_url(text: str, schemes: frozenset[str], *, trusted: bool = False) -> URL:
    """Read a URL that a peer gave, and refuse every spelling that two readers could understand differently.

    Args:
        text: the URL as it came.
        schemes: the schemes that fit the purpose, lower case.
        trusted: whether the operator wrote it; then any port will do.

    Returns:
        The URL, whose `raw_host` is a plain name or an address in its one canonical form.

    Raises:
        EgressRefused: if it may not be dialled, whatever its name resolves to.
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
        # An address that is already encoded stays as it is: its signature covers the exact spelling.
        url = URL(text, encoded=text.isascii())
        url.port  # noqa: B018 - read here, since it raises only when asked for
    except ValueError as error:
        raise EgressRefused("the URL cannot be read") from error
    return url


def _check_host(host: str, *, bracketed: bool) -> None:
    if bracketed:
        if "%" in host or not _is_address(host):
            raise EgressRefused("the host of the URL is not an IPv6 address that can be dialled")
        return
    if not host.isascii() or not _HOST.fullmatch(host) or len(host) > 253:
        raise EgressRefused("the host of the URL is not a plain name (a dot at the end is none either)")
    # 2130706433, 0x7f.1 and 0177.0.0.1 are addresses to some resolvers and names to others.
    if _NUMBER.fullmatch(host.rpartition(".")[2]) and not _is_address(host):
        raise EgressRefused("the host of the URL is an oddly spelled address; write four decimal numbers")


def _check_port(port: int) -> None:
    if (port < 1024 and port not in WEB_PORTS) or port in FOREIGN_PORTS:
        raise EgressRefused(f"port {port} is not a port of the web")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def check_address(address: Address, allow: Sequence[Network]) -> None:
    """Refuse an address that is not public, unless a network of `allow` has it.

    Args:
        address: what a name resolved to, or what stood in the URL.
        allow: the networks of `[egress] allow`.

    Raises:
        EgressRefused: if it may not be dialled; the text names the setting.
    """
    inner = _inner(address)
    if any(one in network for one in (address, inner) for network in allow):
        return
    if not _is_public(inner):
        raise EgressRefused(
            "the URL leads to an address that is not public; the setting [egress] allow could permit it"
        )


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for (RFC 4291 section 2.5.5.2, RFC 6052), or itself."""
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
