"""Tell what kind of audio file some bytes are: the name of one demuxer, so that none is guessed by content.

A demuxer that is chosen by the file itself may be one that opens other files (playlists, concat scripts).
Here only containers that hold their audio are named, and by their first bytes alone.
"""

from collections.abc import Callable

from softswitch.errors import PeerError

_Sniffer = Callable[[bytes], bool]


class UnknownFormatError(PeerError):
    """Say that a file is not audio of a kind that is played."""

    code = 415


def sniff(data: bytes, name: str = "", content_type: str = "") -> str:
    """Return the name of the FFmpeg demuxer for a file.

    Args:
        data: the file, or its beginning.
        name: its name or URL; only its ending counts, and only for headerless µ-law and A-law.
        content_type: as the server gave it; only for headerless µ-law and A-law.

    Raises:
        UnknownFormatError: it is none of wav, mp3, ogg, flac, m4a, au, 8-bit µ-law or A-law.
    """
    if len(data) < 4:
        raise UnknownFormatError("the file is empty", field="url")
    for demuxer, matches in _BY_CONTENT.items():
        if matches(data):
            return demuxer
    if found := _headerless(name, content_type):
        return found
    if _is_mp3_frame(data):
        return "mp3"
    raise UnknownFormatError("the file is none of wav, mp3, ogg, flac, m4a, au, µ-law or A-law", field="url")


def _headerless(name: str, content_type: str) -> str:
    kind = content_type.partition(";")[0].strip().lower()
    ending = name.partition("?")[0].partition("#")[0].rpartition(".")[2].lower()
    for demuxer, (endings, types) in HEADERLESS.items():
        if ending in endings or kind in types:
            return demuxer
    return ""


def _is_wav(data: bytes) -> bool:
    return data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE"


def _is_mp3_frame(data: bytes) -> bool:
    """Tell whether an MP3 without tags begins here; a weak sign, which any noise shows now and then."""
    # Frame sync, layer III, and neither bit rate nor sample rate reserved (ISO 11172-3 section 2.4.2.3).
    return (
        data[0] == 0xFF and data[1] & 0xE6 == 0xE2 and data[2] >> 4 not in (0, 15) and data[2] >> 2 & 3 != 3
    )


_BY_CONTENT: dict[str, _Sniffer] = {
    "wav": _is_wav,
    "ogg": lambda data: data[:4] == b"OggS",
    "flac": lambda data: data[:4] == b"fLaC",
    "mov": lambda data: data[4:8] == b"ftyp",
    "au": lambda data: data[:4] == b".snd",
    "mp3": lambda data: data[:3] == b"ID3",
}
HEADERLESS = {
    "mulaw": ({"ul", "ulaw", "mulaw", "pcmu", "mu"}, {"audio/basic", "audio/pcmu"}),
    "alaw": ({"al", "alaw", "pcma"}, {"audio/pcma", "audio/x-alaw-basic"}),
}
"""Endings and media types; audio/basic is µ-law at 8 kHz (RFC 2046 section 4.3)."""
