"""The values that the steps of one tick share: layout, audio arrays and output."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import FRAME, Pcm
from softswitch.media.engine.layout import Layout
from softswitch.media.messages import Output, Report


@dataclass(slots=True, eq=False)
class TickState:
    """State of one tick, passed from step to step."""

    now: float
    """Monotonic seconds."""
    layout: Layout
    said: Pcm
    """Audio from each port, ``(rows, 480)``, float32 in PCM16 units at 24 kHz."""
    heard: Pcm
    """Audio to each port, ``(rows, 480)``."""
    sounding: NDArray[np.bool_]
    """By row: a frame is due to the port, because another port of its mix can speak or a track plays."""
    output: Output
    said_by_rtp: Pcm
    """The rows of :attr:`said` of connected RTP ports, ``(rtp_rows, 480)``."""
    heard_by_rtp: Pcm
    """The rows of :attr:`heard` of RTP ports that are sent the mix, ``(mixed_rows, 480)``."""

    def report(self, *reports: Report) -> None:
        """Append reports to the output of the tick."""
        self.output.reports.extend(reports)


class TickArrays:
    """The audio arrays of the ticks, allocated once.

    Fresh memory of this size costs page faults, which take as long as the work done in the arrays.
    """

    def __init__(self) -> None:
        self._said = self._heard = np.zeros((0, FRAME), np.float32)
        self._layout: Layout | None = None
        self._views: tuple[Pcm, Pcm, Pcm, Pcm] = (self._said,) * 4
        """Parts of the arrays that a tick of `_layout` uses; :class:`TickState` names them."""

    def set(self, now: float, layout: Layout, output: Output) -> TickState:
        """Return the state in which a tick begins; rows that no step is sure to write are zero."""
        if layout is not self._layout:
            self._arrange(layout)
        said, heard, said_by_rtp, heard_by_rtp = self._views
        # The other rows are overwritten in every tick: by the RTP plane, and from the queues of feed ports.
        if len(said) > layout.written_rows:
            said[layout.written_rows :] = 0.0
        return TickState(
            now, layout, said, heard, layout.mixing.has_speaker, output, said_by_rtp, heard_by_rtp
        )

    def _arrange(self, layout: Layout) -> None:
        rows = len(layout)
        if len(self._said) < rows:
            self._said, self._heard = np.zeros((2, 2 * rows, FRAME), np.float32)
        said, heard = self._said[:rows], self._heard[:rows]
        self._views = said, heard, said[: layout.rtp_rows], heard[: layout.mixed_rows]
        self._layout = layout
