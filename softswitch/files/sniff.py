"""Recognition of audio files: returns the name of the FFmpeg demuxer, so that FFmpeg does not guess.

FFmpeg could choose a demuxer that opens other files (playlists, concat scripts). Only containers that hold
their audio are recognized here, by their first bytes. `decode` uses it.
"""

from collections.abc import Callable
from typing import NamedTuple

from softswitch.errors import PeerError

_Sniffer = Callable[[bytes], bool]

MAX_TAGS = 16
"""Most ID3 tags skipped before the audio."""
MAX_ZEROS = 1024 * 1024
"""Most zero bytes skipped before the audio."""
KINDS = "wav, mp3, aac, ogg, flac, m4a, webm, aiff, au, amr, gsm, g722, µ-law or A-law"
"""Supported formats, for error texts."""


class UnknownFormatError(PeerError):
    """A file is not in a supported audio format."""

    code = 415


class Found(NamedTuple):
    """Recognized format of a file."""

    demuxer: str
    """Name of the FFmpeg demuxer."""
    begin: int = 0
    """Bytes before the audio: tags or padding."""


def sniff(data: bytes, name: str = "", content_type: str = "") -> Found:
    """Return the FFmpeg demuxer for a file, and where its audio begins.

    Args:
        data: the file or its beginning.
        name: file name or URL; its extension counts for formats without a header.
        content_type: Content-Type of the response; it counts for formats without a header.

    Raises:
        UnknownFormatError: It is not one of `KINDS`.
    """
    if len(data) < 4:
        raise UnknownFormatError("the file is empty", field="url")
    # A headerless format may begin with any bytes, so tags and padding are searched for afterwards only.
    if found := _by_content(data, 0) or _headerless(name, content_type):
        return Found(found)
    begin = _behind_tags(data)
    if found := _by_content(data, begin):
        return Found(found, begin)
    behind = begin + _zeros(data, begin)
    if found := _by_content(data, behind) or _bare_frames(data[behind : behind + 4]):
        return Found(found, behind)
    if begin:
        # A file with an ID3 tag and no other mark is an MP3, whose first frame FFmpeg finds.
        return Found("mp3")
    raise UnknownFormatError(f"the file is not one of {KINDS}", field="url")


def _by_content(data: bytes, begin: int) -> str:
    head = data[begin : begin + 16]
    return next((demuxer for demuxer, matches in _BY_CONTENT.items() if matches(head)), "")


def _behind_tags(data: bytes) -> int:
    """Return the bytes of the ID3 tags before the audio (ID3 2.4.0 structure, section 3.1)."""
    begin = 0
    for _ in range(MAX_TAGS):
        head = data[begin : begin + 10]
        if len(head) < 10 or head[:3] != b"ID3":
            break
        # The size has four bytes of seven bits each; flag 0x10 means that a footer of ten bytes follows.
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        begin += 10 + size + (10 if head[5] & 0x10 else 0)
    return begin


def _zeros(data: bytes, begin: int) -> int:
    padding = data[begin : begin + MAX_ZEROS]
    return len(padding) - len(padding.lstrip(b"\0"))


def _headerless(name: str, content_type: str) -> str:
    kind = content_type.partition(";")[0].strip().lower()
    ending = name.partition("?")[0].partition("#")[0].rpartition(".")[2].lower()
    for demuxer, (endings, types) in _HEADERLESS.items():
        if ending in endings or kind in types:
            return demuxer
    return ""


def _is_wav(data: bytes) -> bool:
    return data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE"


def _is_aiff(data: bytes) -> bool:
    return data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC")


def _bare_frames(head: bytes) -> str:
    """Return the demuxer for frames without a file header; random bytes can look like such frames."""
    if len(head) < 4 or head[0] != 0xFF:
        return ""
    # Frame sync, layer III, and neither bit rate nor sample rate reserved (ISO 11172-3 section 2.4.2.3).
    if head[1] & 0xE6 == 0xE2 and head[2] >> 4 not in (0, 15) and head[2] >> 2 & 3 != 3:
        return "mp3"
    # ADTS: the same sync of 12 bits with layer 0, and a sample rate that exists (ISO 14496-3 section 1.A.2).
    if head[1] & 0xF6 == 0xF0 and head[2] >> 2 & 15 < 13:
        return "aac"
    return ""


_BY_CONTENT: dict[str, _Sniffer] = {
    "wav": _is_wav,
    "ogg": lambda data: data[:4] == b"OggS",
    "flac": lambda data: data[:4] == b"fLaC",
    "mov": lambda data: data[4:8] == b"ftyp",
    "matroska": lambda data: data[:4] == b"\x1aE\xdf\xa3",
    "aiff": _is_aiff,
    "au": lambda data: data[:4] == b".snd",
    "amr": lambda data: data[:6] == b"#!AMR\n" or data[:9] == b"#!AMR-WB\n",
}
_HEADERLESS = {
    "mulaw": ({"ul", "ulaw", "mulaw", "pcmu", "mu"}, {"audio/basic", "audio/pcmu"}),
    "alaw": ({"al", "alaw", "pcma"}, {"audio/pcma", "audio/x-alaw-basic"}),
    "g722": ({"g722", "722"}, {"audio/g722"}),
    "gsm": ({"gsm"}, {"audio/gsm", "audio/x-gsm"}),
}
"""Extensions and media types; audio/basic is µ-law at 8 kHz (RFC 2046 section 4.3)."""
RAW_RATES = {"mulaw": 8000, "alaw": 8000, "gsm": 8000}
"""Sample rates in Hz of formats whose files do not contain it."""
