"""Encoding of recordings in another process; audio is kept here until the process has it in the file.

The process is started with the first such recording and again whenever it dies; what it had not written yet
is handed over again. Used by :mod:`softswitch.media.recording.disk`.
"""

import contextlib
import logging
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from softswitch.media.recording.opus_file import BLOCK
from softswitch.media.recording.opus_wire import Frame, Frames, Kind

logger = logging.getLogger(__name__)

HELD_S = 6
"""Most audio kept for one file until it is written, seconds; more stays in the queue of its recording."""
IDLE_S = 20.0
"""Time without a file after which the process is ended, seconds."""
SILENT_S = 20.0
"""Time without an answer to a request after which the process is replaced, seconds."""
TRIES = 4
"""Processes that end without having written a second of a file after which the file fails."""
PAUSE_S = 0.5
"""Pause before a process is replaced, seconds."""
_PIECE_BYTES = 65_536


class EncodedFile:
    """A recording as Opus in Ogg, implements `RecordingFile`; the state that the switch keeps of it."""

    def __init__(self, encoder: "OpusEncoder", number: int, path: str, sample_rate: int) -> None:
        """Make the state of a file; called by `OpusEncoder.open` only."""
        self.number, self.path, self.sample_rate = number, path, sample_rate
        self.size = 0
        """Bytes in the file by the last answer."""
        self.error = ""
        """Why the file failed; empty while it has not."""
        self.is_complete = False
        self.is_opened = False
        """The current process has opened the file and answered how far it is complete."""
        self.is_closing = False
        self.is_close_sent = False
        self.tries = 0
        self.pieces: deque[tuple[float, bytes]] = deque()
        """PCM that may not be in the file yet, with the time at which it was queued."""
        self.next = 0
        """Index in `pieces` of the piece to be sent next."""
        self.base = 0
        """Samples of each side before the first piece."""
        self.held = 0
        self._encoder = encoder

    @property
    def samples(self) -> int:
        """Samples of each side in the file, by the last answer."""
        return self.base

    @property
    def is_ready(self) -> bool:
        """True while more may be written now."""
        return bool(self.error) or self.held < HELD_S * self.sample_rate * BLOCK

    @property
    def is_over(self) -> bool:
        """True once the file is complete or has failed."""
        return self.is_complete or bool(self.error)

    def write(self, pcm: bytes) -> None:
        """Queue audio; the process writes it to the file later.

        Raises:
            OSError: audio queued before could not be written.
        """
        if self.error:
            raise OSError(self.error)
        if pcm:
            self._encoder.encode(self, pcm)

    def flush(self) -> None:
        """Do nothing: the process writes each page when it is full."""

    def finish(self) -> bool:
        """Request the completion of the file; return True once it is complete.

        Raises:
            OSError: the file failed.
        """
        if self.error:
            raise OSError(self.error)
        if not self.is_closing:
            self._encoder.close(self)
        return self.is_complete

    def settle(self, position: int) -> None:
        """Release audio up to `position`, samples of each side, because it is in the file."""
        while self.pieces and position > self.base:
            stamp, pcm = self.pieces[0]
            done = min((position - self.base) * BLOCK, len(pcm))
            self.base += done // BLOCK
            self.held -= done
            if done < len(pcm):
                self.pieces[0] = stamp, pcm[done:]
                return
            self.pieces.popleft()
            self.next = max(0, self.next - 1)


class OpusEncoder:
    """The encoding process, and the thread that exchanges requests and answers with it."""

    def __init__(self, on_progress: Callable[[], None]) -> None:
        """Begin without a process; `on_progress` is called from the thread when a file completes or fails."""
        self.restarts = 0
        """Number of processes that ended while files were open."""
        self.pid = 0
        """Id of the current process; 0 while no process runs."""
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._files: dict[int, EncodedFile] = {}
        self._numbers = 0
        self._thread: threading.Thread | None = None
        self._is_ending = False
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)

    def __del__(self) -> None:
        """Close the sockets."""
        self._wake_reader.close()
        self._wake_writer.close()

    def open(self, path: str, sample_rate: int) -> EncodedFile:
        """Begin to encode into an existing empty file."""
        with self._lock:
            self._numbers += 1
            file = EncodedFile(self, self._numbers, path, sample_rate)
            self._files[file.number] = file
            if self._thread is None:
                self._is_ending = False
                self._thread = threading.Thread(target=self._run, name="media-encoder", daemon=True)
                self._thread.start()
        self._wake()
        return file

    def encode(self, file: EncodedFile, pcm: bytes) -> None:
        """Queue audio of a file for the process."""
        with self._lock:
            file.pieces.append((time.monotonic(), pcm))
            file.held += len(pcm)
        self._wake()

    def close(self, file: EncodedFile) -> None:
        """Request the completion of a file."""
        file.is_closing = True
        self._wake()

    def stop(self) -> None:
        """Wait until every file is complete and the process and the thread have ended."""
        with self._lock:
            self._is_ending = True
            thread = self._thread
        self._wake()
        if thread is not None:
            thread.join()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # a wake-up is pending already
            self._wake_writer.send(b"!")

    # --- in the thread ----------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                self._serve_process()
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                logger.warning("the process that encodes recordings ended", extra={"error": str(error)})
            with self._lock:
                # Decided under the lock: a file that is opened after this gets another thread.
                if not self._files:
                    self._thread = None
                    return
            self.restarts += 1
            self._prepare_restart()
            time.sleep(PAUSE_S)

    def _prepare_restart(self) -> None:
        for file in list(self._files.values()):
            file.is_opened = file.is_close_sent = False
            file.next = 0
            file.tries += 1
            if file.tries >= TRIES:
                self._end(file, "the process that encodes recordings does not run")

    def _end(self, file: EncodedFile, error: str = "") -> None:
        with self._lock:
            self._files.pop(file.number, None)
            file.pieces.clear()
            file.held = 0
        file.error, file.is_complete = error, not error
        self._on_progress()

    def _serve_process(self) -> None:
        """Start a process and serve it until it ends or is not needed any longer."""
        near_side, child_side = socket.socketpair()
        with near_side:
            with child_side:
                process = _start(child_side)
            self.pid = process.pid
            try:
                near_side.setblocking(False)
                with selectors.DefaultSelector() as selector:
                    selector.register(self._wake_reader, selectors.EVENT_READ)
                    selector.register(near_side, selectors.EVENT_READ)
                    _Exchange(self, near_side, selector).run()
            finally:
                self.pid = 0
                near_side.close()
                _reap(process)

    def next_frame(self, opened: set[int]) -> Frame | None:
        """Return the next request, else None; adds to `opened` the files whose OPEN it returns."""
        with self._lock:
            for file in self._files.values():
                if file.number not in opened:
                    opened.add(file.number)
                    return Frame(
                        Kind.OPEN, file.number, position=file.sample_rate, body=os.fsencode(file.path)
                    )
                if not file.is_opened:
                    continue
                if file.next < len(file.pieces):
                    stamp, pcm = file.pieces[file.next]
                    file.next += 1
                    return Frame(Kind.PCM, file.number, stamp, body=pcm)
                if file.is_closing and not file.is_close_sent:
                    file.is_close_sent = True
                    return Frame(Kind.CLOSE, file.number)
        return None

    def on_answer(self, frame: Frame) -> None:
        """Process an answer; called by the thread."""
        file = self._files.get(frame.file)
        if file is None:
            return
        if frame.kind is Kind.FAILED:
            with self._lock:
                file.settle(frame.position)
            self._end(file, frame.body.decode(errors="replace"))
            return
        file.size = frame.size
        with self._lock:
            if frame.position > file.base:
                file.tries = 0
            file.settle(frame.position)
            if frame.kind is Kind.OPENED:
                # After a restart a disk may have lost audio that was written before; that piece is missing.
                file.base = min(file.base, frame.position)
            file.is_opened = True
        if frame.kind is Kind.CLOSED:
            self._end(file)

    def drain_wakeups(self) -> None:
        """Clear pending wake-ups; called by the thread."""
        with contextlib.suppress(BlockingIOError):
            while self._wake_reader.recv(1024):
                pass

    @property
    def is_owed(self) -> bool:
        """True while the process owes an answer."""
        with self._lock:
            return any(not file.is_opened or file.next or file.is_close_sent for file in self._files.values())

    def may_end(self, idle_s: float) -> bool:
        """Return True if the process may end after it has been idle for `idle_s` seconds."""
        with self._lock:
            return not self._files and (self._is_ending or idle_s >= IDLE_S)


class _Exchange:
    """Exchange of requests and answers with one process."""

    def __init__(self, encoder: OpusEncoder, link: socket.socket, selector: selectors.BaseSelector) -> None:
        self._encoder, self._link, self._selector = encoder, link, selector
        self._opened: set[int] = set()
        self._frames = Frames()
        self._out = memoryview(b"")
        self._answered_at = time.monotonic()

    def run(self) -> None:
        """Exchange frames until the process is not needed any longer.

        Raises:
            OSError: it ended, or it says nothing.
            ValueError: it says what cannot be read.
        """
        while True:
            now = time.monotonic()
            owed = self._encoder.is_owed
            if not owed and self._encoder.may_end(now - self._answered_at):
                return
            if owed and now - self._answered_at > SILENT_S:
                raise TimeoutError(f"no answer within {SILENT_S:.0f} s")
            self._send_requests()
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)
            self._selector.modify(self._link, events)
            was_owed = self._encoder.is_owed
            for key, mask in self._selector.select(1.0):
                if key.fileobj is not self._link:
                    self._encoder.drain_wakeups()
                elif mask & selectors.EVENT_READ:
                    self._receive_answers()
            if not was_owed and self._encoder.is_owed:
                self._answered_at = time.monotonic()

    def _send_requests(self) -> None:
        while True:
            if not self._out:
                frame = self._encoder.next_frame(self._opened)
                if frame is None:
                    return
                self._out = memoryview(frame.packed())
            try:
                self._out = self._out[self._link.send(self._out) :]
            except BlockingIOError:
                return

    def _receive_answers(self) -> None:
        data = self._link.recv(_PIECE_BYTES)
        if not data:
            raise ConnectionResetError("it closed its socket")
        self._answered_at = time.monotonic()
        for frame in self._frames.feed(data):
            self._encoder.on_answer(frame)


def _start(child_side: socket.socket) -> "subprocess.Popen[bytes]":
    # A session of its own: Ctrl-C in a terminal must end the switch only, which completes its recordings.
    return subprocess.Popen(  # noqa: S603  (our own program)
        [sys.executable, "-m", "softswitch.media.recording.opus_worker", str(child_side.fileno())],
        pass_fds=(child_side.fileno(),),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
        start_new_session=True,
    )


def _reap(process: "subprocess.Popen[bytes]") -> None:
    """Wait for the process, which ends when its socket is closed; kill it after 5 s."""
    try:
        process.wait(5.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
