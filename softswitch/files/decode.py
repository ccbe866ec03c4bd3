"""Audio files to play: fetched through the egress client, decoded from memory in pieces of one second.

Any fault of a file becomes an `AudioSourceError` of its own playback.

FFmpeg never gets the URL, since it would read local files and follow playlists (`file:`, `concat:`,
`subfile:`). It gets the bytes and the name of one demuxer, and may open nothing else.
"""

import asyncio
import io
import logging
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Protocol, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from softswitch.egress.http import Fetched
from softswitch.errors import PeerError
from softswitch.files.ogg_chain import links
from softswitch.files.sniff import RAW_RATES, Found, UnknownFormatError, sniff

logger = logging.getLogger(__name__)

PIECE_S = 1.0
MAX_SECONDS = 4 * 3600.0
"""Longest audio of one file, in seconds; a few megabytes of FLAC can hold days of silence."""
MAX_CHANNELS = 8
MAX_BAD_PACKETS = 100
RATES = range(8000, 48001)
"""Sample rates that a file is decoded to, Hz."""
FILE_RATES = range(1000, 768_001)
"""Sample rates that a file may have, Hz. With lower ones, one packet would become hours of audio."""
SKIP_S = 60.0
"""Seconds of audio before the offset that one call of `Decoder.skip` decodes."""


__all__ = ["AudioFile", "AudioSourceError", "Fetcher", "UnknownFormatError", "fetch_audio"]


class AudioSourceError(PeerError):
    """A file cannot be decoded."""

    code = 422


class Fetcher(Protocol):
    """The part of the egress client that files need."""

    async def fetch(self, url: str) -> Fetched:
        """Fetch a URL within the limits on address, size and time."""


async def fetch_audio(egress: Fetcher, url: str) -> "AudioFile":
    """Fetch a file and determine its format.

    Raises:
        EgressError: The URL is forbidden, or the request failed.
        AudioSourceError: The response has another status than 2xx.
        UnknownFormatError: The file is not in a supported audio format.
    """
    fetched = await egress.fetch(url)
    if not 200 <= fetched.status < 300:
        raise AudioSourceError(f"the URL answers with status {fetched.status}", field="url")
    content_type = fetched.headers.get("Content-Type", "")
    return AudioFile(fetched.body, sniff(fetched.body, fetched.url.name, content_type))


class AudioFile:
    """An audio file in memory, which can be decoded any number of times."""

    def __init__(self, data: bytes, found: Found) -> None:
        """Create a file.

        Args:
            data: the whole file.
            found: format, from :func:`sniff`.
        """
        self.found = found
        self._data = data

    async def pieces(
        self, rate: int, *, offset_ms: int = 0, executor: Executor | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Decode in an executor and yield PCM16 little endian, mono, one second at a time, then the rest.

        The next piece is decoded when it is requested; nothing is buffered. A caller that stops early must
        close the iterator.

        Args:
            rate: Hz, 8000-48000.
            offset_ms: position to begin at, in milliseconds.
            executor: executor to decode in; None means that of the loop.

        Raises:
            AudioSourceError: It cannot be decoded, or is too long.
            ValueError: `rate` is out of range.
        """
        loop = asyncio.get_running_loop()
        decoder = await loop.run_in_executor(executor, Decoder, self._data, self.found, rate, offset_ms)
        try:
            while await loop.run_in_executor(executor, decoder.skip):
                pass
            while piece := await loop.run_in_executor(executor, decoder.read):
                yield piece
        finally:
            # After a cancellation, a thread may still be decoding a piece; `close` waits for it, in the
            # executor.
            await loop.run_in_executor(executor, decoder.close)


class Decoder:
    """Decoder of one file, for any thread, one at a time."""

    def __init__(self, data: bytes, found: Found, rate: int, offset_ms: int = 0) -> None:
        """Open a file; for the arguments see `AudioFile` and its `pieces`.

        Raises:
            AudioSourceError: It cannot be opened, or has no audio that can be decoded.
            ValueError: `rate` is out of range.
        """
        if rate not in RATES:
            raise ValueError(f"rate: {rate} is not within {RATES.start}-{RATES.stop - 1} Hz")
        self._rate = rate
        self._demuxer = found.demuxer
        self._lock = Lock()
        self._pcm = bytearray()
        self._bytes_left = int(MAX_SECONDS * rate) * 2
        self._bad_packets_left = MAX_BAD_PACKETS
        self._begin_s = max(0, offset_ms) / 1000
        self._bytes_to_drop: int | None = None
        self._finished = False
        self._shape: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None
        self._container: InputContainer | None = None
        audio = data[found.begin :] if found.begin else data
        self._size = len(audio)
        self._links = links(audio) if found.demuxer == "ogg" else iter((audio,))
        self._packets: Iterator[Packet[AudioStream]] = iter(())
        with _faults():
            self._open_next()

    def skip(self) -> bool:
        """Decode up to `SKIP_S` of audio before the offset; return whether there may be more of it.

        Raises:
            AudioSourceError: As `read`.
        """
        with self._lock, _faults():
            enough = self._bytes_left - int(SKIP_S * self._rate) * 2
            while self._is_skipping and self._bytes_left > enough:
                self._decode_packet()
            return self._is_skipping

    def read(self) -> bytes:
        """Return the next second of PCM16, less at the end, then b"".

        Raises:
            AudioSourceError: The file is damaged, or longer than `MAX_SECONDS`.
        """
        wanted = int(self._rate * PIECE_S) * 2
        with self._lock, _faults():
            while len(self._pcm) < wanted and not self._finished:
                self._decode_packet()
            piece = bytes(self._pcm[:wanted])
            del self._pcm[:wanted]
        return piece

    def close(self) -> None:
        """Release the file; waits for a thread that decodes."""
        with self._lock:
            self._finished = True
            self._close_link()

    @property
    def _is_skipping(self) -> bool:
        """Whether all audio decoded so far lies before the offset."""
        return self._begin_s > 0 and not self._pcm and not self._finished

    # --- the parts of a chain ---------------------------------------------------------

    def _open_next(self) -> bool:
        """Open the next link of the file; return False at its end."""
        self._close_link()
        data = next(self._links, None)
        if data is None:
            return False
        self._container = _open(data, self._demuxer)
        try:
            self._packets = self._select(self._container)
            if self._begin_s and len(data) == self._size and not _seeks_badly(self._container):
                # A container that cannot seek is decoded from its beginning, and the audio before the offset
                # dropped. So is a chain, whose links each have timestamps of their own.
                with suppress(av.FFmpegError):
                    self._container.seek(int(self._begin_s * 1_000_000))
        except BaseException:
            self._close_link()
            raise
        return True

    def _close_link(self) -> None:
        if self._container is not None:
            self._packets = iter(())
            self._container.close()
            self._container = None

    def _select(self, container: InputContainer) -> "Iterator[Packet[AudioStream]]":
        stream = next(iter(container.streams.audio), None)
        if stream is None:
            raise AudioSourceError("the file has no audio", field="url")
        context = cast("AudioCodecContext | None", stream.codec_context)
        if context is None:
            # FFmpeg has no decoder for this codec.
            raise AudioSourceError("the audio codec of the file is not supported", field="url")
        if not 1 <= context.channels <= MAX_CHANNELS:
            raise AudioSourceError(f"the file has more than {MAX_CHANNELS} channels", field="url")
        _check_rate(context.sample_rate)
        return container.demux(stream)

    # --- packets and frames -----------------------------------------------------------

    def _decode_packet(self) -> None:
        packet = self._next_packet()
        if packet is None:
            self._flush()
            self._finished = not self._open_next()
            return
        try:
            for frame in packet.decode():
                self._locate(frame)
                self._append(self._fitting(frame).resample(frame))
        except (av.FFmpegError, ValueError) as error:
            # A damaged packet is only a click; decoding goes on until `MAX_BAD_PACKETS` of them.
            self._bad_packets_left -= 1
            if self._bad_packets_left < 0:
                raise _undecodable(error) from None

    def _next_packet(self) -> "Packet[AudioStream] | None":
        try:
            return next(self._packets, None)
        except (av.FFmpegError, ValueError) as error:
            raise _undecodable(error) from None

    def _fitting(self, frame: AudioFrame) -> AudioResampler:
        """Return the resampler for a frame, a new one if the file changed its rate or channels."""
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or self._shape != shape:
            _check_rate(frame.sample_rate)
            self._flush()
            self._shape = shape
            self._resampler = AudioResampler(format="s16", layout="mono", rate=self._rate)
        return self._resampler

    def _flush(self) -> None:
        """Append the samples left in the resampler, and drop it."""
        resampler, self._resampler = self._resampler, None
        if resampler is not None:
            self._append(resampler.resample(None))

    def _locate(self, frame: AudioFrame) -> None:
        """Compute from the first frame's time how many bytes before the offset to drop."""
        if self._bytes_to_drop is None:
            early_s = self._begin_s - (frame.time or 0.0)
            self._bytes_to_drop = max(0, round(early_s * self._rate)) * 2

    def _append(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            pcm = bytes(frame.planes[0])[: frame.samples * 2]
            self._bytes_left -= len(pcm)
            if self._bytes_left < 0:
                raise AudioSourceError(f"the file is longer than {MAX_SECONDS:g} s", field="url")
            dropped = min(len(pcm), self._bytes_to_drop or 0)
            if dropped:
                self._bytes_to_drop = (self._bytes_to_drop or 0) - dropped
            self._pcm += pcm[dropped:]


@contextmanager
def _faults() -> Generator[None, None, None]:
    """Convert errors of FFmpeg and its binding into an `AudioSourceError`."""
    try:
        yield
    except PeerError:
        raise
    except (av.FFmpegError, ValueError) as error:
        raise _undecodable(error) from None
    except Exception as error:
        logger.warning("unexpected error while decoding an audio file", exc_info=True)
        raise _undecodable(error) from error


def _open(data: bytes, demuxer: str) -> InputContainer:
    # No protocol is permitted, so that references to other files fail.
    options = {"protocol_whitelist": ""}
    if rate := RAW_RATES.get(demuxer):
        options["sample_rate"] = str(rate)
    try:
        # Tags are not used, so tags that are not UTF-8 do not matter.
        container = av.open(io.BytesIO(data), format=demuxer, options=options, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise AudioSourceError(f"the file cannot be read ({type(error).__name__})", field="url") from None
    return cast("InputContainer", container)


def _seeks_badly(container: InputContainer) -> bool:
    """Return whether packets have wrong times after a seek, as with FLAC in OGG."""
    return container.format.name == "ogg" and container.streams.audio[0].codec_context.name == "flac"


def _check_rate(rate: int) -> None:
    if rate not in FILE_RATES:
        raise AudioSourceError(
            f"the file's sample rate of {rate} Hz is not within {FILE_RATES.start}-{FILE_RATES.stop - 1} Hz",
            field="url",
        )


def _undecodable(error: Exception) -> AudioSourceError:
    return AudioSourceError(f"the file cannot be decoded ({type(error).__name__})", field="url")
