"""What the steps of one tick pass on to each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import FRAME, Pcm
from softswitch.media.messages import Output, Report
from softswitch.media.ports import Layout


@dataclass(slots=True, eq=False)
class Scene:
    """One tick: who is there, what they say, what they hear, and what comes of it."""

    now: float
    """Monotonic seconds."""
    layout: Layout
    said: Pcm
    """What each port says, ``(rows, 480)``."""
    heard: Pcm
    """What each port hears, ``(rows, 480)``."""
    sounding: NDArray[np.bool_]
    """By row: there is something to hear."""
    output: Output

    def report(self, *reports: Report) -> None:
        """Add to what is reported."""
        self.output.reports.extend(reports)


class Stage:
    """The arrays of the scenes, kept from tick to tick: fresh memory costs as much as the work done in it."""

    def __init__(self) -> None:
        """Begin with room for nobody."""
        self._said = self._heard = np.zeros((0, FRAME), np.float32)

    def set(self, now: float, layout: Layout, output: Output) -> Scene:
        """Return the scene of a tick, in which nobody has said anything yet."""
        rows = len(layout)
        if len(self._said) < rows:
            self._said, self._heard = np.zeros((2, 2 * rows, FRAME), np.float32)
        said, heard = self._said[:rows], self._heard[:rows]
        said[layout.rtp_rows :] = 0.0
        return Scene(now, layout, said, heard, layout.mixing.has_company, output)
