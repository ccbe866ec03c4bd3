"""How the media of a section are kept secret, and which sockets they come from."""

import ipaddress
from collections.abc import Collection
from typing import Literal

from softswitch.sdp.crypto import crypto_lines
from softswitch.sdp.description import Description, Media
from softswitch.sdp.negotiate import PLAIN_PROFILES, SECURE_PROFILES
from softswitch.sdp.transport import lookup

Keying = Literal["plain", "sdes", "dtls", "ice"]
"""plain: not at all. sdes: keys in the description. dtls: DTLS-SRTP without ICE. ice: DTLS-SRTP with it."""

SDES_PROFILES = frozenset({"RTP/SAVP", "RTP/SAVPF"})


def keying_of(description: Description, media: Media, allowed: Collection[Keying]) -> Keying | None:
    """Return how a section is keyed; None when that is nothing known, or not allowed.

    A plain profile with ``a=crypto`` is what telephones write that would like to encrypt but need not.
    """
    has_keys = bool(crypto_lines(media))
    if media.protocol in PLAIN_PROFILES:
        return next((way for way in _plain_ways(has_keys=has_keys) if way in allowed), None)
    if media.protocol not in SECURE_PROFILES:
        return None
    found: Keying | None = None
    if media.protocol in SDES_PROFILES and has_keys:
        found = "sdes"
    elif lookup(description, media, "fingerprint"):
        found = "ice" if lookup(description, media, "ice-ufrag") else "dtls"
    return found if found in allowed else None


def _plain_ways(*, has_keys: bool) -> tuple[Keying, ...]:
    return ("sdes", "plain") if has_keys else ("plain",)


def shares_rtcp(media: Media) -> bool:
    """Tell whether RTCP comes and goes with RTP (RFC 5761)."""
    return media.has("rtcp-mux")


def rtcp_port(media: Media) -> int:
    """Return the port that RTCP goes to where it does not share that of RTP (RFC 3605)."""
    text = (media.first("rtcp") or "").partition(" ")[0]
    if text.isascii() and text.isdigit() and len(text) <= 5 and 1024 <= int(text) <= 65535:
        return int(text)
    return min(media.port + 1, 65535)


def is_nowhere(address: str) -> bool:
    """Tell whether an address is that of nobody: the hold of RFC 2543, or one that is not known yet."""
    try:
        return ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False
