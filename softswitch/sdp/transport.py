"""Transport attributes of descriptions: ICE (RFC 8839), DTLS (RFC 8842), fingerprints (RFC 8122)."""

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from softswitch.sdp.description import Description, Media, SdpError

MOST_ADDRESSES = 1024
"""Texts of addresses whose meaning is remembered: descriptions repeat few of them."""
LONGEST_ADDRESS = 100
"""Characters of the longest text that may be an address: IPv6 with a zone."""

Setup = Literal["actpass", "active", "passive"]
"""DTLS role: active opens the association, actpass lets the answerer choose (RFC 8842 section 5.3)."""

DIGEST_BYTES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
"""Accepted hash functions with their digest sizes; sha-1 and md5 are broken."""

MAX_CANDIDATES = 64
MAX_FINGERPRINTS = 8

_UFRAG = re.compile(r"[A-Za-z0-9+/=_-]{4,256}")
_PASSWORD = re.compile(r"[A-Za-z0-9+/=_-]{22,256}")
# RFC 8839 permits ice-char only, but some stacks also send "=", "-" and "_", which are harmless.
_FOUNDATION = re.compile(r"[A-Za-z0-9+/=_-]{1,64}")
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}")
_CANDIDATE_TYPES = {"host", "srflx", "prflx", "relay"}


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Fingerprint of a certificate."""

    algorithm: str
    """sha-256, sha-384 or sha-512."""
    value: str
    """Bytes in upper-case hexadecimal, separated by colons."""


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """Credentials of an ICE session; new ones restart ICE (RFC 8839 section 5.4)."""

    ufrag: str
    password: str

    def __repr__(self) -> str:
        """Return a text without the password."""
        return f"IceCredentials(ufrag={self.ufrag!r}, password='***')"


@dataclass(frozen=True, slots=True)
class CandidateLine:
    """An ICE candidate (RFC 8839 section 5.1)."""

    foundation: str
    component: int
    """1 for RTP, 2 for RTCP that is not multiplexed."""
    protocol: str
    """udp or tcp."""
    priority: int
    address: str
    """IP address or host name, such as an mDNS name."""
    port: int
    kind: str
    """host, srflx, prflx or relay."""
    related_address: str = ""
    related_port: int = 0
    ufrag: str = ""
    """ICE session of the candidate, "" if it is not given."""

    @property
    def ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """IP address, None for a host name."""
        return address_of(self.address)

    def text(self) -> str:
        """Return the candidate as the value of ``a=candidate``."""
        text = (
            f"{self.foundation} {self.component} {self.protocol} {self.priority} "
            f"{self.address} {self.port} typ {self.kind}"
        )
        if self.related_address:
            text += f" raddr {self.related_address} rport {self.related_port}"
        return f"{text} ufrag {self.ufrag}" if self.ufrag else text


@dataclass(frozen=True, slots=True)
class TransportOffer:
    """The ICE and DTLS part of an offer."""

    credentials: IceCredentials
    fingerprints: tuple[Fingerprint, ...]
    setup: Setup
    candidates: tuple[CandidateLine, ...]
    lite: bool = False
    """Whether the peer is an ICE-lite agent, which answers checks but sends none."""
    trickle: bool = False
    refused: tuple[str, ...] = ()
    """Errors of ignored candidates; a malformed candidate does not fail the call."""


def candidate_line(text: str) -> CandidateLine:
    """Parse a candidate, with or without the prefixes ``a=`` and ``candidate:``.

    Raises:
        SdpError: It is malformed; the error names the part.
    """
    text = text.strip().removeprefix("a=").removeprefix("candidate:")
    parts = text.split()
    if len(text) > 1024 or len(parts) < 8 or parts[6] != "typ":
        raise SdpError(
            "a candidate has the form 'foundation component protocol priority address port typ type'",
            field="candidate",
        )
    foundation, component, protocol, priority, address, port, _, kind = parts[:8]
    if not _FOUNDATION.fullmatch(foundation):
        raise _wrong("foundation")
    if kind not in _CANDIDATE_TYPES:
        raise _wrong("type")
    if address_of(address) is None and not _HOST_NAME.fullmatch(address):
        raise _wrong("address")
    extensions = dict(zip(parts[8::2], parts[9::2], strict=False))
    related_port = extensions.get("rport", "0")
    return CandidateLine(
        foundation=foundation,
        component=_number(component, 1, 256, "component"),
        protocol=protocol.lower(),
        priority=_number(priority, 0, 2**32 - 1, "priority"),
        address=address,
        port=_number(port, 0, 65535, "port"),
        kind=kind,
        related_address=extensions.get("raddr", ""),
        related_port=_number(related_port, 0, 65535, "rport"),
        ufrag=extensions.get("ufrag", ""),
    )


def transport_offer(offer: Description, media: Media) -> TransportOffer:
    """Parse the ICE and DTLS attributes of a media section.

    Attributes and candidates that the section lacks are taken from the session, then from the first section
    of its bundle, which applies to the whole bundle (RFC 9143 section 7.1.3).

    Raises:
        SdpError: ICE credentials, a strong fingerprint, a proper ``a=setup`` or ``a=rtcp-mux`` are missing.
    """
    tagged = _bundle_tagged(offer, media)
    if not (media.has("rtcp-mux") or (tagged is not None and tagged.has("rtcp-mux"))):
        raise SdpError("the offer does not carry RTCP with RTP (a=rtcp-mux)", field="offer")
    ufrag = lookup(offer, media, "ice-ufrag")
    password = lookup(offer, media, "ice-pwd")
    if not ufrag or not _UFRAG.fullmatch(ufrag):
        raise SdpError("a=ice-ufrag is missing or malformed", field="offer")
    if not password or not _PASSWORD.fullmatch(password):
        raise SdpError("a=ice-pwd is missing or malformed", field="offer")
    shares = tagged if media.first("candidate") is None else None
    candidates, refused = _candidates(shares or media)
    options = (lookup(offer, media, "ice-options") or "").split()
    return TransportOffer(
        credentials=IceCredentials(ufrag, password),
        fingerprints=_fingerprints(offer, media),
        setup=_setup(lookup(offer, media, "setup")),
        candidates=candidates,
        lite=offer.first("ice-lite") is not None,
        trickle="trickle" in options,
        refused=refused,
    )


@dataclass(frozen=True, slots=True)
class DtlsSide:
    """DTLS attributes of a description without ICE."""

    fingerprints: tuple[Fingerprint, ...]
    setup: Setup


def dtls_side(description: Description, media: Media) -> DtlsSide:
    """Parse the DTLS attributes of a section.

    Raises:
        SdpError: A strong fingerprint or a proper ``a=setup`` is missing.
    """
    return DtlsSide(_fingerprints(description, media), _setup(lookup(description, media, "setup")))


def _candidates(media: Media) -> tuple[tuple[CandidateLine, ...], tuple[str, ...]]:
    values = list(media.all("candidate"))
    if len(values) > MAX_CANDIDATES:
        raise SdpError(f"the offer has more than {MAX_CANDIDATES} candidates", field="offer")
    candidates: list[CandidateLine] = []
    refused: list[str] = []
    for value in values:
        try:
            candidates.append(candidate_line(value))
        except SdpError as error:
            refused.append(str(error))
    return tuple(candidates), tuple(refused)


def _fingerprints(offer: Description, media: Media) -> tuple[Fingerprint, ...]:
    values = list(media.all("fingerprint")) or list(offer.all("fingerprint"))
    if not values and (tagged := _bundle_tagged(offer, media)):
        values = list(tagged.all("fingerprint"))
    if len(values) > MAX_FINGERPRINTS:
        raise SdpError(f"the offer has more than {MAX_FINGERPRINTS} fingerprints", field="offer")
    found = tuple(found for value in values if (found := _fingerprint(value)))
    if not found:
        names = ", ".join(DIGEST_BYTES)
        raise SdpError(f"the offer has no a=fingerprint with one of {names}", field="offer")
    return found


def _fingerprint(value: str) -> Fingerprint | None:
    """Parse a fingerprint; return None if its hash function is unknown or too weak."""
    algorithm, _, digest = value.partition(" ")
    algorithm = algorithm.lower()
    if algorithm not in DIGEST_BYTES:
        return None
    digest = digest.strip().upper()
    if not re.fullmatch(f"(?:[0-9A-F]{{2}}:){{{DIGEST_BYTES[algorithm] - 1}}}[0-9A-F]{{2}}", digest):
        raise SdpError(f"a=fingerprint:{algorithm} is malformed", field="offer")
    return Fingerprint(algorithm, digest)


def _setup(value: str | None) -> Setup:
    match value:
        case "actpass" | "active" | "passive":
            return value
        case None:
            return "active"  # RFC 4145 section 4: the default of an offer
        case _:
            raise SdpError("a=setup must be actpass, active or passive", field="offer")


def lookup(offer: Description, media: Media, name: str) -> str | None:
    """Return an attribute of a section, of the session, or of the first section of its bundle."""
    if (value := media.first(name)) is not None:
        return value
    if (value := offer.first(name)) is not None:
        return value
    tagged = _bundle_tagged(offer, media)
    return tagged.first(name) if tagged else None


def _bundle_tagged(offer: Description, media: Media) -> Media | None:
    """Return the first section of the bundle of `media`, None without a bundle."""
    index = tagged_index(offer, media)
    return None if index is None else offer.media[index]


def tagged_index(offer: Description, media: Media) -> int | None:
    """Return the index of the first section of the bundle of `media`, None without a bundle."""
    mid = media.first("mid")
    for group in offer.all("group"):
        members = group.split()
        if members[:1] == ["BUNDLE"] and mid in members[1:]:
            mids = (index for index, other in enumerate(offer.media) if other.first("mid") == members[1])
            return next(mids, None)
    return None


def is_acceptable_tag(media: Media) -> bool:
    """Return whether a section without audio may be accepted as inactive: RTP, and not rejected."""
    is_open = media.port != 0 or media.has("bundle-only")
    return is_open and media.kind in {"audio", "video"} and "RTP/" in media.protocol and bool(media.formats)


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address that a text is, None for any other text."""
    return _known_address(text) if len(text) <= LONGEST_ADDRESS else None


@lru_cache(MOST_ADDRESSES)
def _known_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _number(text: str, least: int, most: int, name: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or not least <= int(text) <= most:
        raise _wrong(name)
    return int(text)


def _wrong(name: str) -> SdpError:
    return SdpError(f"the {name} of a candidate is malformed", field="candidate")
