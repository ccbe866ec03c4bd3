"""Recordings on their way to the disk: a bounded ring each, and one thread that writes them all."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from softswitch.media.messages import StartRecorder
from softswitch.media.recording_file import BLOCK, RecordingFile, open_file

logger = logging.getLogger(__name__)

_RING_S = 10
"""Audio that may wait for a disk that hangs, seconds; what comes beyond it becomes silence in the file."""

_PASS_S = 1.0
"""Time between two passes of the writer, seconds: what a crash can cost at most, with its own duration."""


@dataclass(frozen=True, slots=True)
class Closed:
    """What became of a recording."""

    recorder: int
    path: str
    duration_ms: int
    size: int
    error: str


class Recording:
    """One recording. The tick puts audio in, the writer takes it out."""

    def __init__(self, order: StartRecorder) -> None:
        """Make the ring for what `order` asks for."""
        self.order = order
        self.is_closing = False
        """No more audio will be put in."""
        self.lost_bytes = 0
        """Audio for which there was no room."""
        self._lock = threading.Lock()
        self._ring: deque[bytes | int] = deque()
        self._waiting = 0
        self._capacity = _RING_S * order.sample_rate * BLOCK

    def put(self, pcm: bytes) -> None:
        """Append stereo PCM16; without room it leaves a gap of its length, so that nothing shifts."""
        with self._lock:
            if self._waiting + len(pcm) <= self._capacity:
                self._ring.append(pcm)
                self._waiting += len(pcm)
                return
            self.lost_bytes += len(pcm)
            if self._ring and isinstance(self._ring[-1], int):
                self._ring[-1] += len(pcm)
            else:
                self._ring.append(len(pcm))

    def take(self) -> bytes:
        """Return all that waits."""
        with self._lock:
            pieces, self._ring, self._waiting = self._ring, deque(), 0
        return b"".join(piece if isinstance(piece, bytes) else bytes(piece) for piece in pieces)


class _Open:
    """A recording with its file, in the writer's hands."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.error = ""
        self._order = recording.order
        self._file: RecordingFile | None = None
        self._written = 0

    def write(self) -> bool:
        """Write what waits; False once the recording is over."""
        # Asked before the ring is emptied: what is put in before closing is in it then.
        closing = self.recording.is_closing
        try:
            self._write(self.recording.take())
        except (OSError, ValueError) as error:
            self.error = str(error) or type(error).__name__
        return not (closing or self.error)

    def close(self) -> Closed:
        """Close the file and tell what became of it."""
        size = 0
        if self._file is not None:
            try:
                self._file.close()
            except (OSError, ValueError) as error:
                self.error = self.error or str(error)
            size = self._size()
        duration_ms = self._written * 1000 // (BLOCK * self._order.sample_rate)
        return Closed(self._order.recorder, self._order.path, duration_ms, size, self.error)

    def _write(self, pcm: bytes) -> None:
        if self._file is None:
            self._file = open_file(self._order.path, self._order.container, self._order.sample_rate)
        limit = self._order.max_bytes
        if limit and self._order.container == "wav":
            room = max(limit - self._file.size, 0) // BLOCK * BLOCK
            full, pcm = len(pcm) > room, pcm[:room]
        else:
            full = bool(limit) and self._file.size >= limit
        if pcm:
            self._file.write(pcm)
            self._written += len(pcm)
        self._file.flush()
        if full:
            self.error = f"max_bytes: the recording reached its limit of {limit} bytes"

    def _size(self) -> int:
        try:
            return Path(self._order.path).stat().st_size
        except OSError:
            return 0


class RecordingWriter:
    """The one thread that touches the disk. It runs while there are recordings."""

    def __init__(self, on_closed: Callable[[], None]) -> None:
        """Make the writer; `on_closed` is called from its thread when :attr:`closed` has got something."""
        self.closed: deque[Closed] = deque()
        """Recordings that are over, for the tick to report."""
        self._on_closed = on_closed
        self._new: deque[Recording] = deque()
        self._open: list[_Open] = []
        self._lock = threading.Lock()
        self._nudge = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, recording: Recording) -> None:
        """Begin to write a recording."""
        with self._lock:
            self._new.append(recording)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="media-recorder", daemon=True)
                self._thread.start()
        # The file is made at once: what is wrong with it is told at once.
        self._nudge.set()

    def nudge(self) -> None:
        """Make a pass now: a recording is closing."""
        self._nudge.set()

    def join(self) -> None:
        """Wait until every recording that is closing is on disk."""
        self._nudge.set()
        thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            self._nudge.wait(_PASS_S)
            self._nudge.clear()
            began = time.monotonic()
            self._make_pass()
            if (took := time.monotonic() - began) > 2 * _PASS_S:
                logger.warning("disk is slow", extra={"seconds": round(took, 1)})
            with self._lock:
                # Decided under the lock: whoever adds a recording after this starts another thread.
                if not self._open and not self._new:
                    self._thread = None
                    return

    def _make_pass(self) -> None:
        with self._lock:
            while self._new:
                self._open.append(_Open(self._new.popleft()))
        still_open = []
        for entry in self._open:
            if entry.write():
                still_open.append(entry)
            else:
                self.closed.append(entry.close())
                self._on_closed()
        self._open = still_open
