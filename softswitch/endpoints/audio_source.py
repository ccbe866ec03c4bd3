"""Files to be played: fetched through the egress door, decoded from memory in pieces of a second.

The file is never opened by its URL: FFmpeg would read local files and follow playlists (`file:`, `concat:`,
`subfile:`). It gets bytes and the name of one demuxer, and may open nothing else.
"""

import asyncio
import io
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from threading import Lock
from typing import Protocol, cast

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from softswitch.egress.http import Fetched
from softswitch.endpoints.audio_format import HEADERLESS, UnknownFormatError, sniff
from softswitch.errors import PeerError

PIECE_S = 1.0
MAX_SECONDS = 4 * 3600.0
"""Longest audio of one file; a few megabytes of FLAC can hold days of silence."""
MAX_CHANNELS = 8
MAX_BAD_PACKETS = 100
RATES = range(8000, 48001)

__all__ = ["AudioFile", "AudioSourceError", "Fetcher", "UnknownFormatError", "decode", "fetch_audio"]


class AudioSourceError(PeerError):
    """Say that a file could not be decoded."""

    code = 422


class Fetcher(Protocol):
    """The egress door, as far as files need it."""

    async def fetch(self, url: str) -> Fetched:
        """Fetch a URL within the door's bounds of place, size and time."""


async def fetch_audio(door: Fetcher, url: str) -> "AudioFile":
    """Fetch a file and find out what it is.

    Raises:
        EgressError: the URL may not be dialled, or does not deliver.
        AudioSourceError: the server answers with something else than success.
        UnknownFormatError: it is not audio of a kind that is played.
    """
    fetched = await door.fetch(url)
    if not 200 <= fetched.status < 300:
        raise AudioSourceError(f"the URL answers with status {fetched.status}", field="url")
    content_type = fetched.headers.get("Content-Type", "")
    return AudioFile(fetched.body, sniff(fetched.body, fetched.url.name, content_type))


def decode(
    data: bytes, rate: int, offset_ms: int = 0, name: str = "", content_type: str = ""
) -> AsyncGenerator[bytes, None]:
    """Decode a file that is in memory, as `AudioFile.pieces` does.

    Args:
        data: the whole file.
        rate: Hz, 8000-48000.
        offset_ms: where to begin.
        name: its name or URL; headerless µ-law and A-law are known by it, or by their content type, alone.
        content_type: as the server gave it.

    Raises:
        UnknownFormatError: at once, when it is not audio of a kind that is played.
        AudioSourceError: from the iterator, when it cannot be decoded.
    """
    return AudioFile(data, sniff(data, name, content_type)).pieces(rate, offset_ms=offset_ms)


class AudioFile:
    """A file in memory, which can be decoded any number of times."""

    def __init__(self, data: bytes, demuxer: str) -> None:
        """Hold a file.

        Args:
            data: the whole file.
            demuxer: name of its FFmpeg demuxer, as of :func:`sniff`.
        """
        self.demuxer = demuxer
        self._data = data

    async def pieces(
        self, rate: int, *, offset_ms: int = 0, executor: Executor | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Decode in an executor and yield PCM16 little endian, mono, one second at a time, then the rest.

        The next piece is decoded when it is asked for: nothing is buffered, and whoever stops asking
        must close the iterator.

        Args:
            rate: Hz, 8000-48000.
            offset_ms: where to begin.
            executor: where to decode; None takes the loop's own.

        Raises:
            AudioSourceError: it cannot be decoded, or is too long.
            ValueError: `rate` is out of range.
        """
        loop = asyncio.get_running_loop()
        decoder = await loop.run_in_executor(executor, Decoder, self._data, self.demuxer, rate, offset_ms)
        try:
            while piece := await loop.run_in_executor(executor, decoder.read):
                yield piece
        finally:
            # Where the caller was cancelled, a piece may still be in work: closing waits for it, there.
            await loop.run_in_executor(executor, decoder.close)


class Decoder:
    """A file while it is being decoded; any thread may read and close it, one at a time."""

    def __init__(self, data: bytes, demuxer: str, rate: int, offset_ms: int = 0) -> None:
        """Open a file; the arguments are those of `AudioFile` and its `pieces`."""
        if rate not in RATES:
            raise ValueError(f"rate: {rate} is not within {RATES.start}-{RATES.stop - 1} Hz")
        self._rate = rate
        self._lock = Lock()
        self._pcm = bytearray()
        self._bytes_left = int(MAX_SECONDS * rate) * 2
        self._bad_packets_left = MAX_BAD_PACKETS
        self._begin_s = max(0, offset_ms) / 1000
        self._bytes_to_drop: int | None = None
        self._finished = False
        self._resampler = AudioResampler(format="s16", layout="mono", rate=rate)
        self._container = _open(data, demuxer)
        try:
            self._packets = self._select(self._container)
        except BaseException:
            self._container.close()
            raise

    def read(self) -> bytes:
        """Return the next second, less at the end, and nothing after it.

        Raises:
            AudioSourceError: the file is broken, or longer than `MAX_SECONDS`.
        """
        wanted = int(self._rate * PIECE_S) * 2
        with self._lock:
            while len(self._pcm) < wanted and not self._finished:
                self._decode_packet()
            piece = bytes(self._pcm[:wanted])
            del self._pcm[:wanted]
        self._bytes_left -= len(piece)
        if self._bytes_left < 0:
            raise AudioSourceError(f"the file is longer than {MAX_SECONDS:g} s", field="url")
        return piece

    def close(self) -> None:
        """Release the file, once nobody reads it any more."""
        with self._lock:
            self._finished = True
            self._container.close()

    def _select(self, container: InputContainer) -> "Iterator[Packet[AudioStream]]":
        stream = next(iter(container.streams.audio), None)
        if stream is None:
            raise AudioSourceError("the file has no audio", field="url")
        if not 1 <= stream.codec_context.channels <= MAX_CHANNELS:
            raise AudioSourceError(f"the file has more than {MAX_CHANNELS} channels", field="url")
        if self._begin_s:
            # Where the container cannot seek, what comes before is decoded and dropped.
            with suppress(av.FFmpegError):
                container.seek(int(self._begin_s * 1_000_000))
        return container.demux(stream)

    def _decode_packet(self) -> None:
        packet = self._next_packet()
        if packet is None:
            self._finished = True
            self._append(self._resampler.resample(None))
            return
        try:
            for frame in packet.decode():
                self._append(self._resampler.resample(self._located(frame)))
        except (av.FFmpegError, ValueError) as error:
            # One damaged packet is a click; players go on, and so do we, up to a point.
            self._bad_packets_left -= 1
            if self._bad_packets_left < 0:
                raise _undecodable(error) from None

    def _next_packet(self) -> "Packet[AudioStream] | None":
        try:
            return next(self._packets, None)
        except (av.FFmpegError, ValueError) as error:
            raise _undecodable(error) from None

    def _located(self, frame: AudioFrame) -> AudioFrame:
        """Find out from the first frame how much of the beginning is not wanted."""
        if self._bytes_to_drop is None:
            early_s = self._begin_s - (frame.time or 0.0)
            self._bytes_to_drop = max(0, round(early_s * self._rate)) * 2
        return frame

    def _append(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            pcm = bytes(frame.planes[0])[: frame.samples * 2]
            dropped = min(len(pcm), self._bytes_to_drop or 0)
            if dropped:
                self._bytes_to_drop = (self._bytes_to_drop or 0) - dropped
            self._pcm += pcm[dropped:]


def _open(data: bytes, demuxer: str) -> InputContainer:
    # No protocol at all: whatever refers to another file finds nothing.
    options = {"protocol_whitelist": ""}
    if demuxer in HEADERLESS:
        options["sample_rate"] = "8000"
    try:
        container = av.open(io.BytesIO(data), format=demuxer, options=options)
    except (av.FFmpegError, ValueError) as error:
        raise AudioSourceError(f"the file cannot be read ({type(error).__name__})", field="url") from None
    return cast("InputContainer", container)


def _undecodable(error: Exception) -> AudioSourceError:
    return AudioSourceError(f"the file cannot be decoded ({type(error).__name__})", field="url")
