"""Canonical spelling of hosts, so that they can be compared with allow lists.

One address has many spellings, so a comparison of the text could be bypassed.
"""

import re
import string
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from softswitch.sip.syntax.remembered import remembered

_EDGES = string.whitespace + "[]"
_PART = re.compile(r"0[xX][0-9A-Fa-f]*|[0-9]+")
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")


@remembered
def canonical(host: str) -> str:
    """Return the canonical spelling of a host: an address in its standard form, a name in lower case.

    Brackets, a zone and trailing dots are removed. An IPv6 address that embeds an IPv4 address becomes that
    one (RFC 4291 section 2.5.5, RFC 6052). Forms that only ``inet_aton`` reads (fewer than four parts, octal
    and hexadecimal parts) become the IPv4 address they mean.

    Args:
        host: Name or address, as a URI or a setting spells it.
    """
    text = host.partition("%")[0].lstrip(_EDGES).rstrip(_EDGES + ".").lower()
    try:
        address = ip_address(text)
    except ValueError:
        four = _loose(text)
        return text if four is None else str(four)
    return str(_inner(address))


def is_numeric(host: str) -> bool:
    """Return whether a host is an address in any spelling."""
    try:
        ip_address(canonical(host))
    except ValueError:
        return False
    return True


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    number = int(address)
    # :: and ::1 are IPv6 addresses, although they lie in the range of IPv4-compatible addresses.
    if address in _NAT64 or (address in _COMPATIBLE and number > 1):
        return IPv4Address(number & 0xFFFFFFFF)
    return address


def _loose(text: str) -> IPv4Address | None:
    """Parse an IPv4 address as ``inet_aton`` does: the last part fills all remaining octets."""
    parts = text.split(".")
    if not 1 <= len(parts) <= 4 or not all(_PART.fullmatch(part) for part in parts):
        return None
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:
        return None
    octets_left = 5 - len(parts)
    if any(number > 255 for number in numbers[:-1]) or numbers[-1] >= 256**octets_left:
        return None
    value = numbers[-1]
    for place, number in enumerate(numbers[:-1]):
        value |= number << (8 * (3 - place))
    return IPv4Address(value)


def _number(part: str) -> int:
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8) if part.startswith("0") and len(part) > 1 else int(part)
