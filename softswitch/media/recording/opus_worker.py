"""The process that encodes recordings, at low priority, until its last file is complete.

    python -m softswitch.media.recording.opus_worker FD

Requests of :mod:`softswitch.media.recording.opus_wire` come by the socket FD and are answered there. When the
switch ends or crashes, the socket is closed; the process then completes every file with the audio received,
and ends.
"""

import contextlib
import os
import signal
import socket
import sys
import time

from softswitch.media.recording.opus_file import COMPLEXITY, OpusFile
from softswitch.media.recording.opus_wire import Frame, Frames, Kind

NICENESS = 10
"""Niceness of the process."""
PIECE_BYTES = 262_144
_EFFORTS = ((3.0, 0), (1.5, 3))
"""Delay of the audio in seconds, and the complexity from there on: lower quality rather than a growing
queue."""


class Worker:
    """The files being written."""

    def __init__(self) -> None:
        self._files: dict[int, OpusFile] = {}

    def take(self, frame: Frame, now: float) -> Frame | None:
        """Carry out a request and return the answer; None for a file that failed before."""
        try:
            return self._do(frame, now)
        except (OSError, ValueError) as error:
            failed = self._files.pop(frame.file, None)
            body = str(error).encode()
            if failed is None:
                return Frame(Kind.FAILED, frame.file, body=body)
            with contextlib.suppress(OSError, ValueError):
                failed.close()  # What was written stays readable; the last page may still find room.
            return Frame(Kind.FAILED, frame.file, position=failed.position, size=failed.size, body=body)

    def finish(self) -> None:
        """Complete every file, without answers: the switch has ended."""
        for file in self._files.values():
            try:
                file.close()
            except (OSError, ValueError) as error:
                sys.stderr.write(f"a recording could not be completed: {error}\n")
        self._files.clear()

    def _do(self, frame: Frame, now: float) -> Frame | None:
        if frame.kind is Kind.OPEN:
            opened = self._files[frame.file] = OpusFile(os.fsdecode(frame.body), frame.position)
            return self._answer(Kind.OPENED, frame.file, opened)
        file = self._files.get(frame.file)
        if file is None:
            return None
        if frame.kind is Kind.CLOSE:
            file.close()
            del self._files[frame.file]
            return self._answer(Kind.CLOSED, frame.file, file)
        waited = now - frame.stamp
        file.set_complexity(next((effort for limit, effort in _EFFORTS if waited > limit), COMPLEXITY))
        file.write(frame.body)
        return self._answer(Kind.WRITTEN, frame.file, file)

    def _answer(self, kind: Kind, number: int, file: OpusFile) -> Frame:
        return Frame(kind, number, position=file.position, size=file.size)


def serve(link: socket.socket) -> None:
    """Serve requests until the socket is closed."""
    worker, frames = Worker(), Frames()
    try:
        while data := link.recv(PIECE_BYTES):
            for frame in frames.feed(data):
                answer = worker.take(frame, time.monotonic())
                if answer is not None:
                    link.sendall(answer.packed())
    except OSError:
        pass  # the switch has ended: its files are completed nevertheless
    finally:
        worker.finish()


def main() -> None:
    """Serve requests on the socket whose descriptor is the only argument."""
    os.nice(NICENESS)
    # A service manager signals all processes of a service; this one has to complete its files first.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as link:
        serve(link)


if __name__ == "__main__":
    main()
