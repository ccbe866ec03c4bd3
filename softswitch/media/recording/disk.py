"""Writing of recordings to disk: a bounded queue for each, and one thread that writes them all.

Opus recordings go from that thread to another process (:mod:`softswitch.media.recording.opus_encoder`).
Encoding a second of audio of a hundred calls takes longer than the tick may be delayed by a thread of its own
process.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from softswitch.media.messages import StartRecorder
from softswitch.media.recording.announcement import AnnouncementTone
from softswitch.media.recording.opus_encoder import OpusEncoder
from softswitch.media.recording.opus_file import BLOCK
from softswitch.media.recording.recording_file import RecordingFile, open_file

logger = logging.getLogger(__name__)

_QUEUE_S = 10
"""Longest queue while a disk hangs, seconds; audio beyond it becomes silence in the file."""

_PASS_S = 1.0
"""Time between two passes of the writer, seconds; with the pass itself the most that a crash can lose."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Result of a recording that has ended."""

    recorder: int
    path: str
    duration_ms: int
    size: int
    error: str


class Recording:
    """Queue of one recording; the tick appends audio, the writer takes it."""

    def __init__(self, request: StartRecorder) -> None:
        """Make the queue for the recording that `request` describes."""
        self.request = request
        self.is_closing = False
        """No further audio will be appended."""
        self.tone: AnnouncementTone | None = AnnouncementTone(request.tone_ms) if request.tone_ms else None
        self.is_paused = False
        """Silence is appended in place of the audio, so that times in the file stay those of the call."""
        self.lost_bytes = 0
        """Bytes dropped because the queue was full."""
        self._lock = threading.Lock()
        self._queue: deque[bytes | int] = deque()
        self._waiting = 0
        self._capacity = _QUEUE_S * request.sample_rate * BLOCK

    def put(self, pcm: bytes) -> None:
        """Append stereo PCM16; a full queue notes a gap of its length, so that later audio is not shifted."""
        with self._lock:
            if self._waiting + len(pcm) <= self._capacity:
                self._queue.append(pcm)
                self._waiting += len(pcm)
                return
            self.lost_bytes += len(pcm)
            if self._queue and isinstance(self._queue[-1], int):
                self._queue[-1] += len(pcm)
            else:
                self._queue.append(len(pcm))

    def take(self) -> bytes:
        """Return all queued audio, with silence in the gaps."""
        with self._lock:
            pieces, self._queue, self._waiting = self._queue, deque(), 0
        return b"".join(piece if isinstance(piece, bytes) else bytes(piece) for piece in pieces)


class _Open:
    """A recording with its file, used by the writer's thread only."""

    def __init__(self, recording: Recording, encoder: OpusEncoder) -> None:
        self.recording = recording
        self.error = ""
        self._is_ending = False
        self._encoder = encoder
        self._request = recording.request
        self._file: RecordingFile | None = None

    def write(self) -> bool:
        """Write the queued audio; return False once the recording has ended."""
        if self._is_ending:
            return False
        if self._file is not None and not self._file.is_ready:
            return True
        # Read before the queue is emptied: all audio appended before is_closing was set is then in the queue.
        closing = self.recording.is_closing
        try:
            self._write(self.recording.take())
        except (OSError, ValueError) as error:
            self.error = str(error) or type(error).__name__
        self._is_ending = closing or bool(self.error)
        return not self._is_ending

    def finish(self) -> Closed | None:
        """Complete the file and return the result; None while it is not complete yet."""
        size = samples = 0
        if self._file is not None:
            try:
                if not self._file.finish():
                    return None
            except (OSError, ValueError) as error:
                self.error = self.error or str(error)
            size, samples = self._size(), self._file.samples
        duration_ms = samples * 1000 // self._request.sample_rate
        return Closed(self._request.recorder, self._request.path, duration_ms, size, self.error)

    def _write(self, pcm: bytes) -> None:
        if self._file is None:
            self._file = open_file(
                self._request.path, self._request.container, self._request.sample_rate, self._encoder
            )
        limit = self._request.max_bytes
        if limit and self._request.container == "wav":
            room = max(limit - self._file.size, 0) // BLOCK * BLOCK
            full, pcm = len(pcm) > room, pcm[:room]
        else:
            full = bool(limit) and self._file.size >= limit
        if pcm:
            self._file.write(pcm)
        self._file.flush()
        if full:
            self.error = f"max_bytes: the recording reached its limit of {limit} bytes"

    def _size(self) -> int:
        try:
            return Path(self._request.path).stat().st_size
        except OSError:
            return 0


class RecordingWriter:
    """The thread that writes to the disk; it runs while there are recordings."""

    def __init__(self, on_closed: Callable[[], None]) -> None:
        """Make the writer; `on_closed` is called from its thread after an append to :attr:`closed`."""
        self.closed: deque[Closed] = deque()
        """Results of ended recordings, for the tick to report."""
        self._on_closed = on_closed
        self._new: deque[Recording] = deque()
        self._open: list[_Open] = []
        self._lock = threading.Lock()
        self._wakeup = threading.Event()
        self._thread: threading.Thread | None = None
        self.encoder = OpusEncoder(self._wakeup.set)

    def add(self, recording: Recording) -> None:
        """Begin to write a recording."""
        with self._lock:
            self._new.append(recording)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="media-recorder", daemon=True)
                self._thread.start()
        # Wake the thread: the file is created at once, so that an error is reported at once.
        self._wakeup.set()

    def wake(self) -> None:
        """Make a pass now, because a recording is closing."""
        self._wakeup.set()

    def join(self) -> None:
        """Wait until all closing recordings are on disk."""
        self._wakeup.set()
        thread = self._thread
        if thread is not None:
            thread.join()
        self.encoder.stop()

    def _run(self) -> None:
        while True:
            self._wakeup.wait(_PASS_S)
            self._wakeup.clear()
            began = time.monotonic()
            self._make_pass()
            if (took := time.monotonic() - began) > 2 * _PASS_S:
                logger.warning("the disk of recordings is slow", extra={"seconds": round(took, 1)})
            with self._lock:
                # Decided under the lock: a recording added after this starts another thread.
                if not self._open and not self._new:
                    self._thread = None
                    return

    def _make_pass(self) -> None:
        with self._lock:
            while self._new:
                self._open.append(_Open(self._new.popleft(), self.encoder))
        still_open = []
        for entry in self._open:
            if entry.write() or (closed := entry.finish()) is None:
                still_open.append(entry)
            else:
                self.closed.append(closed)
                self._on_closed()
        self._open = still_open
