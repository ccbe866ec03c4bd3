"""Makes late feed ports punctual: cuts silence, compresses speech, and drops audio that is later still.

Cutting and dropping remove whole frames of 20 ms. Compressing removes a pitch period (2.5 to 10 ms) from a
frame; the rest of the frame that follows is held in the port until the next tick.
"""

from collections.abc import Callable, Sequence

import numpy as np

from softswitch.audio.pcm import BUS_RATE, FRAME, Pcm, fade
from softswitch.audio.stretch import accelerate
from softswitch.media.discards import DiscardCounter, DiscardKind
from softswitch.media.feeds.feed_port import FeedPort
from softswitch.media.lateness import QUIET

_STRETCHED_ROWS = 4
"""Ports whose speech is compressed in one tick, in turn: the search for a pitch period is expensive."""

_CUT_ROWS = 32
"""Ports from which frames are removed in one tick, in turn."""

_SEAM = fade(FRAME)
"""Cross-fade over a whole frame where audio is removed: no click, whatever sounds there."""

Decode = Callable[[list[int], list[bytes]], Pcm]
"""Decodes one more frame for each of some rows, ``(n, 480)``."""


class CatchingUp:
    """Removal of late audio from the ports of all banks, within one budget a tick."""

    def __init__(self, discards: DiscardCounter) -> None:
        """Begin without late ports; `discards` counts discarded audio."""
        self._discards = discards
        self._now = -1.0
        self._turn = 0
        self._stretches = self._cuts = 0

    def work(
        self, ports: Sequence[FeedPort], rows: Sequence[int], said: Pcm, now: float, decode: Decode
    ) -> None:
        """Shorten the audio of ports that are late, and prepend the held rest of a frame.

        Args:
            ports: all ports of the bank, by row.
            rows: rows that are late or hold a rest; each of them plays in this tick.
            said: next frames ``(n, 480)`` by row; overwritten with the audio to be played instead.
            now: monotonic seconds.
            decode: decodes one more frame of some rows.
        """
        if now != self._now:
            self._now, self._stretches, self._cuts = now, _STRETCHED_ROWS, _CUT_ROWS
        losing, stretched = self._choose(ports, rows, said, now)
        if losing:
            self._lose(ports, losing, said, decode)
        if stretched:
            self._compress(ports, stretched, said, decode)
        done = {*losing, *stretched}
        for row in rows:
            if row not in done and ports[row].held is not None:
                self._shift(ports[row], said[row])

    def _choose(
        self, ports: Sequence[FeedPort], rows: Sequence[int], said: Pcm, now: float
    ) -> tuple[dict[int, int], list[int]]:
        """Return what is cut or dropped in this tick (bytes to be skipped, by row), and rows to compress."""
        late = [
            (row, lateness)
            for row in rows
            if (lateness := ports[row].lateness) is not None
            and lateness.late
            and ports[row].fifo.level >= ports[row].fifo.frame
        ]
        late.sort(key=lambda entry: entry[1].turn)
        losing: dict[int, int] = {}
        stretched: list[int] = []
        for row, lateness in late[: _CUT_ROWS + _STRETCHED_ROWS]:
            port, frame = ports[row], ports[row].fifo.frame
            silent = float(np.abs(said[row]).max()) < QUIET
            hopeless = lateness.irrecoverable(now, silent=silent) // frame * frame
            if silent or hopeless:
                if len(losing) == self._cuts:
                    continue
                losing[row] = max(min(hopeless - frame, (port.fifo.level // frame - 2) * frame), 0)
                self._count("dropped" if hopeless else "cut", port, (losing[row] // frame + 1) * FRAME)
            elif len(stretched) < self._stretches:
                stretched.append(row)
            else:
                continue
            self._turn += 1
            lateness.turn = self._turn
        self._cuts -= len(losing)
        self._stretches -= len(stretched)
        return losing, stretched

    def _lose(self, ports: Sequence[FeedPort], losing: dict[int, int], said: Pcm, decode: Decode) -> None:
        """Cross-fade the next frame of each row into a later frame, and discard the frames between them."""
        rows = list(losing)
        after = decode(rows, [self._skip(ports[row], skipped) for row, skipped in losing.items()])
        for row, later in zip(rows, after, strict=True):
            port, pcm = ports[row], said[row]
            if port.held is not None:
                # The held rest comes first; the same length is discarded from the end of the frame instead.
                self._count("cut", port, len(port.held))
                pcm = np.concatenate((port.held, pcm))[:FRAME]
                port.held = None
            said[row] = pcm * (1.0 - _SEAM) + later * _SEAM

    def _compress(self, ports: Sequence[FeedPort], rows: list[int], said: Pcm, decode: Decode) -> None:
        """Remove a pitch period from the next frame of each row; hold the rest of the frame after it."""
        shorter, lengths = accelerate(said[rows])
        pieces: dict[int, list[Pcm]] = {}
        wanting: list[int] = []
        for row, pcm, length in zip(rows, shorter, lengths.tolist(), strict=True):
            held = ports[row].held
            pieces[row] = [pcm[:length]] if held is None else [held, pcm[:length]]
            self._count("compressed", ports[row], FRAME - length)
            if sum(map(len, pieces[row])) < FRAME:
                wanting.append(row)
        if wanting:
            more = decode(wanting, [self._skip(ports[row], 0) for row in wanting])
            for row, pcm in zip(wanting, more, strict=True):
                pieces[row].append(pcm)
        for row, parts in pieces.items():
            pcm = np.concatenate(parts)
            said[row] = pcm[:FRAME]
            ports[row].held = pcm[FRAME:] if len(pcm) > FRAME else None

    def _shift(self, port: FeedPort, said: Pcm) -> None:
        """Prepend the held rest to the next frame; in a quiet frame discard its end instead of holding it."""
        held = port.held
        if held is None:
            return
        quiet = float(np.abs(said).max()) < QUIET
        pcm = np.concatenate((held, said))
        said[:] = pcm[:FRAME]
        port.held = None if quiet else pcm[FRAME:]
        if quiet:
            self._count("cut", port, len(held))

    @staticmethod
    def _skip(port: FeedPort, size: int) -> bytes:
        """Discard `size` bytes of the queue and return the frame behind them."""
        if port.lateness is not None:
            port.lateness.cut(size + port.fifo.frame)
        return port.fifo.skip(size)

    def _count(self, kind: DiscardKind, port: FeedPort, samples: int) -> None:
        self._discards.count(kind, samples)
        port.caught_up_ms += samples * 1000 / BUS_RATE
