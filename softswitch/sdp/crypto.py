"""SRTP keys in descriptions (SDES, RFC 4568, with the suites of RFC 7714)."""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from softswitch.sdp.description import Media

MAX_LINES = 32
"""Most ``a=crypto`` lines that are read; fewer suites than that are defined."""


@dataclass(frozen=True, slots=True)
class Suite:
    """An SRTP crypto suite."""

    name: str
    """Name in ``a=crypto``."""
    profile: str
    """Name in pylibsrtp."""
    key_length: int
    """Bytes of master key and salt together."""


SUITES = {
    suite.name: suite
    for suite in (
        # The mandatory suite comes first: some telephones read the first line only.
        Suite("AES_CM_128_HMAC_SHA1_80", "AES128_CM_SHA1_80", 30),
        Suite("AEAD_AES_256_GCM", "AEAD_AES_256_GCM", 44),
        Suite("AEAD_AES_128_GCM", "AEAD_AES_128_GCM", 28),
        Suite("AES_CM_128_HMAC_SHA1_32", "AES128_CM_SHA1_32", 30),
    )
}
"""Suites by name, in the order of own offers."""

_TAG = re.compile(r"[0-9]{1,9}")
_INLINE = re.compile(r"inline:([A-Za-z0-9+/]+={0,2})(?:\|(?:2\^[0-9]{1,2}|[0-9]{1,20}))?", re.IGNORECASE)
"""Key and lifetime. A key with an MKI does not match, since packets would carry the MKI."""

_HARMLESS = re.compile(r"WSH=[0-9]{1,9}|KDR=0", re.IGNORECASE)
"""Session parameters that do not change the protection of packets (RFC 4568 section 6.3)."""


@dataclass(frozen=True, slots=True)
class CryptoLine:
    """A usable ``a=crypto`` line."""

    tag: str
    """Tag number as it was written, which the answer repeats."""
    suite: Suite
    key: bytes
    """Master key and salt for the packets that the writer of the line sends."""

    def text(self) -> str:
        """Return the value of ``a=crypto``."""
        return f"{self.tag} {self.suite.name} inline:{base64.b64encode(self.key).decode()}"

    def __repr__(self) -> str:
        """Return a text without the key."""
        return f"CryptoLine(tag={self.tag!r}, suite={self.suite.name!r}, key='***')"


def crypto_lines(media: Media) -> tuple[CryptoLine, ...]:
    """Return the usable ``a=crypto`` lines of a section in order; others are ignored."""
    found: dict[str, CryptoLine] = {}
    for line in _readable(media):
        found.setdefault(line.tag, line)
    return tuple(found.values())


def _readable(media: Media) -> Iterator[CryptoLine]:
    for number, value in enumerate(media.all("crypto")):
        if number == MAX_LINES:
            return
        if line := _line(value):
            yield line


def _line(value: str) -> CryptoLine | None:
    parts = value.split()
    if len(parts) < 3 or not _TAG.fullmatch(parts[0]):
        return None
    suite = SUITES.get(parts[1].upper())
    inline = _INLINE.fullmatch(parts[2])
    if suite is None or inline is None or not all(_HARMLESS.fullmatch(part) for part in parts[3:]):
        return None
    text = inline[1].rstrip("=")
    try:
        # Some peers omit the padding that RFC 4568 section 6.1 requires.
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return None
    return CryptoLine(parts[0], suite, key) if len(key) == suite.key_length else None
