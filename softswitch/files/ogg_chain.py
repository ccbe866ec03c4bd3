"""Splitter of chained OGG files: each link has its own codec, rate and channels, and is a file of its own.

FFmpeg stops after the first link if the next one has another format. `decode` decodes the links in turn.
"""

from collections.abc import Iterator

MAX_LINKS = 1000
"""Most links of one file; opening a short link takes longer than decoding it."""

_HEAD = 27
"""Bytes of a page header before its segment table (RFC 3533 section 6)."""
_BEGINS = 0x02
"""Header flag of the first page of a stream."""


def links(data: bytes) -> Iterator[bytes]:
    """Yield the links of an OGG file in order; a file that is not chained is yielded whole.

    A link begins with the first pages of its streams, which follow pages that are not first pages (RFC 3533
    section 4). If the pages are damaged, the rest belongs to the last link.

    Args:
        data: the whole file.
    """
    first = at = 0
    in_head = True
    count = 1
    while count < MAX_LINKS and data[at : at + 4] == b"OggS" and at + _HEAD <= len(data):
        begins = bool(data[at + 5] & _BEGINS)
        if begins and not in_head:
            yield data[first:at]
            first = at
            count += 1
        in_head = begins
        segments = data[at + 26]
        at += _HEAD + segments + sum(data[at + _HEAD : at + _HEAD + segments])
    yield data[first:] if first else data
