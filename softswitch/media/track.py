"""One track: a FIFO of audio, marks and sentence ends, played through gains that never jump."""

from collections import deque

import numpy as np

from softswitch.audio.pcm import BUS_RATE, FRAME, Pcm
from softswitch.media import messages as m
from softswitch.media.convert import Converters
from softswitch.media.pcm_fifo import PcmFifo
from softswitch.media.ramp import PER_MS, Ramp

DUCK_MS = 200
"""Time in which a bed goes down under speech, and comes back, milliseconds."""

_LOWEST_HZ, _HIGHEST_HZ = 8000, 48000

_MOST_MARKS = 10_000

_CLICK_MS = 10
"""Time in which a track is silenced or resumed where nobody asked for another, milliseconds."""


class Track:
    """A one-way source of a mix. The tick pulls; the reports of what that did wait in :attr:`reports`."""

    def __init__(self, order: m.AddTrack, converters: Converters) -> None:
        """Open the track that `order` describes."""
        self.id, self.mix, self.duck_to = order.track, order.mix, order.duck_to
        self.reports: list[m.Report] = []
        self.finished = False
        """Nothing more will come of it: it has reported its end."""
        self._fifo = PcmFifo(converters)
        self._marks: deque[tuple[int, str]] = deque()
        self._boundaries: deque[int] = deque()
        self._capacity, self._low = order.capacity_ms * PER_MS, order.low_ms * PER_MS
        self._gain, self._duck, self._gate = Ramp(order.gain), Ramp(1.0), Ramp(1.0)
        self._paused = self._started = self._ended = self._dropping = self._stops_at_boundary = False
        self._low_told = self._drained_told = True
        self._fed = 0
        self._prebuffer = order.prebuffer_ms * PER_MS
        self._primed, self._stalled = not self._prebuffer, 0

    @property
    def is_sounding(self) -> bool:
        """Tell whether the next frame has audio of this track."""
        return self._fifo.waiting > 0 and self._primed and not (self._paused and not self._gate.left)

    @property
    def played_ms(self) -> int:
        """Audio that was sent, milliseconds."""
        return self._fifo.taken // PER_MS

    def feed(self, order: m.FeedTrack) -> int:
        """Append audio; return the milliseconds that found no room or came after the end.

        Raises:
            ValueError: the sample rate is not one that audio has.
        """
        if not _LOWEST_HZ <= order.sample_rate <= _HIGHEST_HZ:
            raise ValueError(f"sample_rate: {order.sample_rate} Hz is not within {_LOWEST_HZ}-{_HIGHEST_HZ}")
        if self._ended or self._dropping:
            return len(order.pcm) * 500 // order.sample_rate
        before, room = self._fifo.end, self._capacity - self._fifo.waiting
        refused = self._fifo.feed(order.pcm, order.sample_rate, room)
        self._fed += self._fifo.end - before
        self._low_told = self._drained_told = False
        if order.boundary:
            while self._boundaries and self._boundaries[0] < self._fifo.taken:
                self._boundaries.popleft()
            self._boundaries.append(self._fifo.end)
            if self._stops_at_boundary:
                self._stop_at(self._fifo.end)
        return refused // PER_MS

    def mark(self, name: str, now: float) -> None:
        """Put a mark behind what waits; where too many wait already, it comes back at once."""
        if len(self._marks) < _MOST_MARKS:
            self._marks.append((self._fifo.end, name))
        else:
            self.reports.append(m.MarkReached(self.id, now, name, cleared=True))

    def end(self) -> None:
        """Let the track end when it is drained."""
        self._ended = True

    def drop(self, fade_ms: int, at_boundary: bool) -> None:
        """Cut the track short, now or at the end of the sentence."""
        if at_boundary and self.is_sounding and self._started:
            if not self._dropping:
                self._finish_sentence()
            return
        fade = min(max(fade_ms, 0), 2000) * PER_MS
        self._fifo.fade_out(fade if self.is_sounding else 0)
        self._dropping = True

    def clear(self, now: float) -> None:
        """Throw away what waits and give its marks back; the track stays open."""
        self._pass_marks(now)
        self._fifo.fade_out(_CLICK_MS * PER_MS if self.is_sounding else 0)
        self._boundaries.clear()
        self._clear_marks(now)
        self._low_told = True

    def set(self, order: m.SetTrack) -> None:
        """Pause, resume or change the gain."""
        if order.gain is not None:
            self._gain.to(order.gain, max(order.ramp_ms, 0) * PER_MS if self._started else 0)
        if order.paused is not None and order.paused != self._paused:
            audible = self._started and self._fifo.waiting > 0
            self._paused = order.paused
            self._gate.to(0.0 if order.paused else 1.0, _CLICK_MS * PER_MS if audible else 0)

    def pull(self, now: float, ducked: bool) -> Pcm | None:
        """Return the next frame, ``(480,)``, not to be written to, or None for silence."""
        if self.duck_to is not None:
            target = self.duck_to if ducked else 1.0
            if target != self._duck.target:
                self._duck.to(target, DUCK_MS * PER_MS if self._started else 0)
        if self._prebuffer:
            self._prime()
        frame = self._next_frame(now) if self.is_sounding else None
        if self._marks or self._fifo.waiting < self._low or not self._fifo.waiting:
            self._settle(now)
        return frame

    def settle(self, now: float) -> None:
        """Report what is due without playing: nobody is there to hear it yet."""
        self._settle(now)

    def _next_frame(self, now: float) -> Pcm:
        # A track that is being paused sounds only as long as its gate closes.
        pcm = self._fifo.take(min(FRAME, self._gate.left) if self._paused else FRAME)
        if not self._started:
            self._started = True
            self.reports.append(m.TrackStarted(self.id, now))
        pcm = self._shape(pcm)
        if self._paused:
            self._gate.to(0.0, 0)
        if len(pcm) < FRAME:
            self._primed, self._stalled = not self._prebuffer, 0
            pcm = np.pad(pcm, (0, FRAME - len(pcm)))
        return pcm

    def _shape(self, pcm: Pcm) -> Pcm:
        if not (self._gain.left or self._duck.left or self._gate.left):
            level = self._gain.value * self._duck.value * self._gate.value
            return pcm if level == 1.0 else pcm * np.float32(level)
        steady, moving = 1.0, None
        for ramp in (self._gain, self._duck, self._gate):
            gain = ramp.next(len(pcm))
            if isinstance(gain, float | int):
                steady *= gain
            else:
                moving = gain if moving is None else moving * gain
        return pcm * np.float32(steady) * (1.0 if moving is None else moving)

    def _prime(self) -> None:
        """Begin only with some audio in hand, or when no more seems to come; begin anew after running out."""
        if not self._fifo.waiting:
            self._primed, self._stalled = False, 0
        elif not self._primed:
            self._stalled += 1
            patient = self._stalled <= self._prebuffer // FRAME + 1
            self._primed = self._fifo.waiting >= self._prebuffer or self._ended or not patient

    def _finish_sentence(self) -> None:
        self._stops_at_boundary = True
        while self._boundaries and self._boundaries[0] < self._fifo.taken:
            self._boundaries.popleft()
        if self._boundaries:
            self._stop_at(self._boundaries[0])
        elif self._ended:
            self._stop_at(self._fifo.end)

    def _stop_at(self, position: int) -> None:
        self._fifo.end_at(position)
        self._dropping = True

    def _settle(self, now: float) -> None:
        self._pass_marks(now)
        if self._fifo.waiting:
            self._tell_low(now)
        elif self._dropping or self._stops_at_boundary:
            self._clear_marks(now)
            self._finish(m.TrackDropped(self.id, now, self.played_ms, self._fed // PER_MS))
        elif self._ended:
            self._finish(m.TrackEnded(self.id, now, self.played_ms))
        else:
            self._tell_low(now)
            if not self._drained_told:
                self._drained_told = True
                self.reports.append(m.TrackDrained(self.id, now))

    def _pass_marks(self, now: float) -> None:
        while self._marks and self._marks[0][0] <= self._fifo.taken:
            self.reports.append(m.MarkReached(self.id, now, self._marks.popleft()[1], cleared=False))

    def _tell_low(self, now: float) -> None:
        if self._low_told or self._ended or self._fifo.waiting >= self._low:
            return
        self._low_told = True
        self.reports.append(m.TrackLow(self.id, now, self._fifo.waiting * 1000 // BUS_RATE))

    def _clear_marks(self, now: float) -> None:
        while self._marks:
            self.reports.append(m.MarkReached(self.id, now, self._marks.popleft()[1], cleared=True))

    def _finish(self, report: m.Report) -> None:
        self.finished = True
        self.reports.append(report)
