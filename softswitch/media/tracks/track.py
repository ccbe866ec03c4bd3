"""One track: a FIFO of audio, marks and sentence ends, played with gradual changes of gain."""

from collections import deque
from enum import Enum

import numpy as np

from softswitch.audio.pcm import BUS_RATE, FRAME, Pcm, Pcm16
from softswitch.media import messages as m
from softswitch.media.feeds.stream_queue import StreamQueue
from softswitch.media.tracks.convert import Converters
from softswitch.media.tracks.live_tracks import LiveTracks
from softswitch.media.tracks.pcm_fifo import PcmFifo
from softswitch.media.tracks.queue_fifo import QueueFifo
from softswitch.media.tracks.ramp import PER_MS, Ramp

DUCK_MS = 200
"""Duration of the ramp by which a track is ducked under speech, and restored, milliseconds."""

FOREVER = 1 << 60
"""Ticks of a track that does nothing until a message comes."""

_LOWEST_HZ, _HIGHEST_HZ = 8000, 48000

_MOST_MARKS = 10_000

_CLICK_MS = 10
"""Duration of the ramp by which a track is paused, resumed or cleared without a click, milliseconds."""


_SPURT_TICKS = 10
"""Ticks without audio, 200 ms, after which the next audio begins a talk spurt."""


class _Leaving(Enum):
    """How a track was dropped."""

    NO = 0
    """The track was not dropped."""
    BY_SENTENCE = 1
    """The track plays the current sentence to its end; a pause suspends this."""
    AT_ONCE = 2
    """The track fades out; a pause does not suspend this, it only shortens the fade."""


class Track:
    """A one-way source of a mix; the tick pulls frames, and :attr:`reports` collects what happened."""

    def __init__(
        self,
        message: m.AddTrack,
        converters: Converters,
        live: LiveTracks,
        queue: StreamQueue | None = None,
    ) -> None:
        """Open a track.

        Args:
            message: describes it.
            converters: shared by all tracks.
            live: shared by all tracks.
            queue: of a stream, whose audio comes past the messages of the engine.
        """
        self.id, self.mix, self.duck_to = message.track, message.mix, message.duck_to
        self.reports: list[m.Report] = []
        self.finished = False
        """The track has reported its end and can be removed."""
        self.queue = queue
        """Of a stream; None: all audio comes by :meth:`feed`."""
        self._fifo = PcmFifo(converters) if queue is None else QueueFifo(queue)
        self._marks: deque[tuple[int, str, bool]] = deque()
        """Position and name, and whether audio before it was refused."""
        self._incomplete = False
        """Whether audio was refused since the last mark."""
        self._full_reported = False
        self._boundaries: deque[int] = deque()
        self._capacity, self._low = message.capacity_ms * PER_MS, message.low_ms * PER_MS
        self._gain, self._duck, self._pause_gain = Ramp(message.gain), Ramp(1.0), Ramp(1.0)
        self._paused = self._started = self._ended = self._sealed = False
        self._leaving = _Leaving.NO
        self._low_reported = self._drained_reported = True
        self._fed = 0
        self._prebuffer = message.prebuffer_ms * PER_MS
        self._primed, self._stalled = not self._prebuffer, 0
        self._dry, self._fed_before = _SPURT_TICKS, 0
        self._live = live
        self._lateness = live.judge(self._prebuffer) if message.live else None
        self._read = 0
        """Samples of the queue so far, where it has noted that more came."""
        self._admit()

    @property
    def is_sounding(self) -> bool:
        """True if the next frame has audio of this track."""
        return self._fifo.waiting > 0 and self._primed and not (self._paused and not self._pause_gain.left)

    @property
    def played_ms(self) -> int:
        """Audio that was played, milliseconds."""
        return self._fifo.taken // PER_MS

    def feed(self, message: m.FeedTrack, now: float) -> int:
        """Append audio; return the milliseconds refused because the queue is full or the track has ended.

        Raises:
            ValueError: the sample rate is not within 8000-48000 Hz.
        """
        if not _LOWEST_HZ <= message.sample_rate <= _HIGHEST_HZ:
            raise ValueError(
                f"sample_rate: {message.sample_rate} Hz is not within {_LOWEST_HZ}-{_HIGHEST_HZ}"
            )
        if self._ended or self._sealed:
            self._incomplete = True
            # Two bytes a sample: bytes / 2 * 1000 / rate.
            return len(message.pcm) * 500 // message.sample_rate
        before, room = self._fifo.end, self._capacity - self._fifo.waiting
        refused = self._fifo.feed(message.pcm, message.sample_rate, room)
        if self.queue is None:
            self._fed += self._fifo.end - before
        else:
            self._notice()
            self._admit()
        self._low_reported = self._drained_reported = False
        if message.boundary:
            while self._boundaries and self._boundaries[0] < self._fifo.taken:
                self._boundaries.popleft()
            self._boundaries.append(self._fifo.end)
            if self._leaving is _Leaving.BY_SENTENCE:
                self._stop_at(self._fifo.end)
        if refused:
            self._refuse(refused // PER_MS, now)
        return refused // PER_MS

    def _refuse(self, refused_ms: int, now: float) -> None:
        self._incomplete = True
        if not self._full_reported:
            self._full_reported = True
            self.reports.append(m.TrackFull(self.id, now, refused_ms))

    def mark(self, name: str, now: float) -> None:
        """Put a mark behind the queued audio; beyond 10 000 marks it is reported as cleared at once.

        A mark behind audio that was refused is reported in its turn as cleared: not all before it was heard.
        """
        refused, self._incomplete = self._incomplete, False
        if len(self._marks) < _MOST_MARKS:
            self._marks.append((self._fifo.end, name, refused))
        else:
            self.reports.append(m.MarkReached(self.id, now, name, cleared=True))

    def end(self) -> None:
        """Let the track end once its queue is played."""
        self._ended = True
        self._admit()

    def drop(self, fade_ms: int, at_boundary: bool) -> None:
        """Cut the track short, now or at the end of the sentence.

        Args:
            fade_ms: duration of the fade-out, limited to 0-2000 ms.
            at_boundary: play the current sentence to its end first, unless the track is paused.
        """
        if at_boundary and self.is_sounding and self._started and not self._paused:
            if self._leaving is _Leaving.NO:
                self._finish_sentence()
            return
        self._fade_out(min(max(fade_ms, 0), 2000) * PER_MS)

    def clear(self, now: float) -> None:
        """Discard the queue and report its marks as cleared; the track stays open."""
        self._pass_marks(now)
        self._incomplete = False
        self._fifo.fade_out(self._audible(_CLICK_MS * PER_MS))
        self._admit()
        self._boundaries.clear()
        # What is left of the queue is the fade: its end is the last sample that will be heard.
        self.reports.append(m.TrackCleared(self.id, now, self._fifo.end // PER_MS))
        self._clear_marks(now)
        self._low_reported = True

    def set(self, message: m.SetTrack) -> None:
        """Pause, resume or change the gain."""
        if message.gain is not None:
            self._gain.to(message.gain, max(message.ramp_ms, 0) * PER_MS if self._started else 0)
        if message.paused is not None and message.paused != self._paused:
            audible = self._started and self._primed and self._fifo.waiting > 0
            self._paused = message.paused
            self._pause_gain.to(0.0 if message.paused else 1.0, _CLICK_MS * PER_MS if audible else 0)
            if message.paused and self._leaving is _Leaving.AT_ONCE:
                self._fade_out(self._fifo.waiting)

    def pull(self, now: float, ducked: bool) -> Pcm | None:
        """Return the next frame, ``(480,)``, which callers must not write to; None for silence."""
        if self.duck_to is not None:
            target = self.duck_to if ducked else 1.0
            if target != self._duck.target:
                self._duck.to(target, DUCK_MS * PER_MS if self._started else 0)
        self._notice()
        if self._prebuffer:
            self._prime()
        frame = self._next_frame(now) if self.is_sounding else None
        if self._marks or self._fifo.waiting < self._low or not self._fifo.waiting:
            self._settle(now)
        return frame

    def steady_ticks(self, ducked: bool) -> int:
        """Return for how many ticks :meth:`pull` would only play on, 0 where there is something to decide.

        A track that does not sound until a message comes returns :data:`FOREVER`. In those ticks a sounding
        track plays the frames of :attr:`ahead` with the gain :attr:`level`, and :meth:`advance` makes up for
        what was played elsewhere.

        Args:
            ducked: what :meth:`pull` would be told.
        """
        if self.reports or self._lateness is not None or (self._prebuffer and self.queue is None):
            return 0
        if self.duck_to is not None and self._duck.target != (self.duck_to if ducked else 1.0):
            return 0
        if self.queue is not None:
            return self._stream_ticks(self.queue)
        taken, waiting = self._fifo.taken, self._fifo.waiting
        # A mark is passed, an end reached and a low level reported by the frame after the last steady one.
        ticks = (self._marks[0][0] - taken - 1) // FRAME if self._marks else FOREVER
        if not (self._low_reported or self._ended):
            ticks = min(ticks, (waiting - self._low) // FRAME)
        if not self.is_sounding:
            idle = waiting or not (self._ended or self._leaving is not _Leaving.NO)
            return FOREVER if idle and ticks >= 0 and (waiting or self._drained_reported) else 0
        if self._gain.left or self._duck.left or self._pause_gain.left or not self._started:
            return 0
        return max(min(ticks, len(self.ahead) // FRAME, (waiting - 1) // FRAME), 0)

    def _stream_ticks(self, queue: StreamQueue) -> int:
        """Return for how many ticks the track of a stream has nothing to decide.

        It goes on until compiled code finds that its audio runs out, that the next mark is reached, or, where
        it waits, that audio has come.
        """
        taken, waiting = self._fifo.taken, self._fifo.waiting
        if self._paused or self._low or self._leaving is not _Leaving.NO:
            return 0
        if not self.is_sounding:
            idle = not (waiting or self._ended or self._marks) and self._drained_reported
            idle = idle and not (self._prebuffer and self._primed)
            return FOREVER if idle and queue.fed == self._read else 0
        if self._gain.left or self._duck.left or self._pause_gain.left or not self._started:
            return 0
        mark = self._marks[0][0] - taken if self._marks else FOREVER
        if (
            waiting <= FRAME
            or mark <= FRAME
            or (isinstance(self._fifo, QueueFifo) and not self._fifo.is_plain)
        ):
            return 0
        queue.next_mark(mark)
        return FOREVER

    def rest(self, ticks: int) -> None:
        """Do as if :meth:`pull` had been called so often, while the track waited for audio."""
        self._dry += ticks

    @property
    def ahead(self) -> Pcm | Pcm16:
        """Audio that comes next and has the bus rate; callers must not write to it."""
        return self._fifo.ahead

    @property
    def level(self) -> float:
        """Gain while no ramp is under way."""
        return self._gain.value * self._duck.value * self._pause_gain.value

    def advance(self, ticks: int) -> None:
        """Move on by `ticks`, at most those of :meth:`steady_ticks`, whose frames were played elsewhere."""
        self._fifo.skip(ticks * FRAME)

    def settle(self, now: float) -> None:
        """Report what is due without playing, while the mix has no listener; a dropped track ends at once."""
        self._notice()
        if self._leaving is not _Leaving.NO:
            self._fade_out(0)
        self._settle(now)

    def _notice(self) -> None:
        """Note that the tick has read audio of a stream's socket."""
        if self.queue is not None and (fed := self.queue.fed) != self._read:
            self._fed += fed - self._read
            self._read = fed
            self._low_reported = self._drained_reported = False

    def _admit(self) -> None:
        """Let the tick read audio, or not: what follows half a sample, or is refused, comes by `feed`."""
        if self.queue is not None and isinstance(self._fifo, QueueFifo):
            self.queue.open(takes=not (self._ended or self._sealed or self._fifo.is_odd))

    def _next_frame(self, now: float) -> Pcm:
        # A track that is being paused sounds only until the ramp of its pause gain has ended.
        pcm = self._take(min(FRAME, self._pause_gain.left) if self._paused else FRAME, now)
        if not self._started:
            self._started = True
            self.reports.append(m.TrackStarted(self.id, now))
        pcm = self._shape(pcm)
        if self._paused:
            self._pause_gain.to(0.0, 0)
        if len(pcm) < FRAME:
            self._primed, self._stalled = not self._prebuffer, 0
            pcm = np.pad(pcm, (0, FRAME - len(pcm)))
        return pcm

    def _take(self, samples: int, now: float) -> Pcm:
        lateness = self._lateness
        if lateness is None:
            return self._fifo.take(samples)
        if samples < FRAME or self._leaving is not _Leaving.NO or self._fifo.waiting < FRAME:
            lateness.ran_dry(now)
            return self._fifo.take(samples)
        return self._live.next_frame(self._fifo, lateness, now)

    def _shape(self, pcm: Pcm) -> Pcm:
        if not (self._gain.left or self._duck.left or self._pause_gain.left):
            level = self.level
            return pcm if level == 1.0 else pcm * np.float32(level)
        steady, moving = 1.0, None
        for ramp in (self._gain, self._duck, self._pause_gain):
            gain = ramp.next(len(pcm))
            if isinstance(gain, float | int):
                steady *= gain
            else:
                moving = gain if moving is None else moving * gain
        return pcm * np.float32(steady) * (1.0 if moving is None else moving)

    def _prime(self) -> None:
        """Start once the prebuffer is filled or no further audio seems to come; again after an underrun.

        At the beginning of a talk spurt, one tick without new audio says that nothing follows: a lone message
        of 20 ms is not held back. The wait is the whole prebuffer after an underrun within a spurt, because
        the source is late, and for crumbs of less than half a frame, because a source that sends them sends
        more.
        """
        grown, self._fed_before = self._fed != self._fed_before, self._fed
        if not self._fifo.waiting:
            self._primed, self._stalled = False, 0
            self._dry += 1
        elif not self._primed:
            self._stalled += 1
            # A resampler holds back a part of what was fed: 20 ms of a message are less than a frame here.
            begins = self._dry >= _SPURT_TICKS and self._fifo.waiting >= FRAME // 2
            patient = grown if begins else self._stalled <= self._prebuffer // FRAME + 1
            self._primed = self._fifo.waiting >= self._prebuffer or self._ended or not patient
        if self._primed:
            self._dry = 0

    def _audible(self, samples: int) -> int:
        """Return how many of the next `samples` are audible: in a pause only those of its ramp."""
        if not self.is_sounding:
            return 0
        return min(samples, self._pause_gain.left) if self._paused else samples

    def _fade_out(self, samples: int) -> None:
        """Discard the queue behind the next `samples`, or behind those of them that are audible."""
        self._leaving = _Leaving.AT_ONCE
        self._sealed = True
        self._fifo.fade_out(self._audible(samples))
        self._admit()

    def _finish_sentence(self) -> None:
        self._leaving = _Leaving.BY_SENTENCE
        while self._boundaries and self._boundaries[0] < self._fifo.taken:
            self._boundaries.popleft()
        if self._boundaries:
            self._stop_at(self._boundaries[0])
        elif self._ended:
            self._stop_at(self._fifo.end)

    def _stop_at(self, position: int) -> None:
        self._fifo.end_at(position)
        self._sealed = True
        self._admit()

    def _settle(self, now: float) -> None:
        self._pass_marks(now)
        if self._fifo.waiting:
            self._report_low(now)
        elif self._leaving is not _Leaving.NO:
            self._clear_marks(now)
            self._finish(m.TrackDropped(self.id, now, self.played_ms, self._fed // PER_MS))
        elif self._ended:
            self._finish(m.TrackEnded(self.id, now, self.played_ms))
        else:
            self._report_low(now)
            if not self._drained_reported:
                self._drained_reported = True
                self.reports.append(m.TrackDrained(self.id, now, self.played_ms))

    def _pass_marks(self, now: float) -> None:
        while self._marks and self._marks[0][0] <= self._fifo.taken:
            _, name, refused = self._marks.popleft()
            self.reports.append(m.MarkReached(self.id, now, name, cleared=refused))

    def _report_low(self, now: float) -> None:
        if self._low_reported or self._ended or self._fifo.waiting >= self._low:
            return
        self._low_reported = True
        self.reports.append(m.TrackLow(self.id, now, self._fifo.waiting * 1000 // BUS_RATE))

    def _clear_marks(self, now: float) -> None:
        while self._marks:
            self.reports.append(m.MarkReached(self.id, now, self._marks.popleft()[1], cleared=True))

    def _finish(self, report: m.Report) -> None:
        self.finished = True
        self.reports.append(report)
