"""How the media of a section are kept secret, and which sockets they come from."""

from collections.abc import Collection
from typing import Literal

from softswitch.sdp.crypto import crypto_lines
from softswitch.sdp.description import Description, Media
from softswitch.sdp.negotiate import PLAIN_PROFILES, SECURE_PROFILES
from softswitch.sdp.transport import address_of, lookup

Keying = Literal["plain", "sdes", "dtls", "ice"]
"""plain: no encryption. sdes: keys in the description. dtls: DTLS-SRTP. ice: DTLS-SRTP with ICE."""

SDES_PROFILES = frozenset({"RTP/SAVP", "RTP/SAVPF"})


def keying_of(description: Description, media: Media, allowed: Collection[Keying]) -> Keying | None:
    """Return the keying of a section, None if it is unknown or not allowed.

    Telephones for which encryption is optional write a plain profile with ``a=crypto``.
    """
    has_keys = bool(crypto_lines(media))
    if media.protocol in PLAIN_PROFILES:
        return next((keying for keying in _plain_keyings(has_keys=has_keys) if keying in allowed), None)
    if media.protocol not in SECURE_PROFILES:
        return None
    found: Keying | None = None
    if media.protocol in SDES_PROFILES and has_keys:
        found = "sdes"
    elif lookup(description, media, "fingerprint"):
        found = "ice" if lookup(description, media, "ice-ufrag") else "dtls"
    return found if found in allowed else None


def _plain_keyings(*, has_keys: bool) -> tuple[Keying, ...]:
    return ("sdes", "plain") if has_keys else ("plain",)


def shares_rtcp(media: Media) -> bool:
    """Return whether RTCP shares the port of RTP (RFC 5761)."""
    return media.has("rtcp-mux")


def rtcp_port(media: Media) -> int:
    """Return the remote port for RTCP that does not share the port of RTP (RFC 3605)."""
    text = (media.first("rtcp") or "").partition(" ")[0]
    if text.isascii() and text.isdigit() and len(text) <= 5 and 1024 <= int(text) <= 65535:
        return int(text)
    return min(media.port + 1, 65535)


def is_nowhere(address: str) -> bool:
    """Return whether an address is unspecified: a hold of RFC 2543, or an address not known yet."""
    found = address_of(address)
    return found is not None and found.is_unspecified
