"""Speech recognition of one leg: audio is fed while the party speaks, transcripts come out as reports."""

import logging
import time
from collections import deque
from collections.abc import Callable

from softswitch.call.vocabulary import reports
from softswitch.call.vocabulary.commands import AsrOption
from softswitch.egress import SWITCH, Asker
from softswitch.media import messages as m
from softswitch.speech import provider as speech
from softswitch.switch.conversation.speech_options import asr_options
from softswitch.switch.resources import Resources

logger = logging.getLogger(__name__)

RATE = 16000
PRE_ROLL = 30
"""Ticks of 20 ms kept from before detection, which needs some 200 ms and misses soft first consonants."""
HANG_OVER = 3
"""Ticks of 20 ms still fed after silence was detected, which itself takes about 300 ms."""
TICK_S = 0.02
MOST_WAITING = 500
"""Ticks of 20 ms (10 s, 320 kB) kept while the recogniser is opened, which may load a model or connect."""


class Transcriber:
    """Recognition stream of one leg, gated by speech detection.

    Silence is not fed: it costs the recogniser time, and it would take noise for words.
    """

    def __init__(
        self,
        leg: str,
        port: int,
        resources: Resources,
        report: Callable[[reports.Report], None],
        gated: bool,
        *,
        direction: m.Direction = "inbound",
        asker: Asker = SWITCH,
        meter: speech.Meter | None = None,
    ) -> None:
        """Prepare; :meth:`run` starts.

        Args:
            leg: Name of the leg.
            port: Its port in the engine.
            resources: Engine, routes and providers.
            report: Takes reports to the call.
            gated: Whether the leg has speech detection; without it all audio is fed.
            direction: Whether what the leg says is recognised, or what it hears.
            asker: The call, to which look-ups of names and the use of providers are attributed.
            meter: Counts what the call uses of hosted speech.
        """
        self._asker = asker
        self._meter = meter or speech.Meter()
        self._leg = leg
        self._port = port
        self._resources = resources
        self._report = report
        self._gated = gated
        self._direction: m.Direction = direction
        self._tap = next(resources.ids)
        self._stream: speech.AsrStream | None = None
        self._opening = True
        self._waiting: list[bytes | None] = []
        """Audio for a recogniser that is being opened; None is the end of an utterance."""
        self._lost = False
        """Whether audio came that found no room there."""
        self._recent: deque[bytes] = deque(maxlen=PRE_ROLL)
        self._open = not gated
        self._closing = 0
        self._pushed_s = 0.0
        self._segments: deque[tuple[float, float]] = deque(maxlen=64)

    async def run(self, option: AsrOption) -> None:
        """Recognise until cancelled; beyond ``[limits] speech_streams`` report a warning instead."""
        resources = self._resources
        limit = resources.settings.limits.speech_streams
        if resources.recognitions >= limit:
            self._report(reports.SpeechWarned("asr", f"busy: {limit} recognitions are under way", 503))
            return
        resources.recognitions += 1
        try:
            await self._recognise(option)
        finally:
            resources.recognitions -= 1

    async def _recognise(self, option: AsrOption) -> None:
        resources = self._resources
        resources.routes.frames(self._tap, self._frame)
        resources.engine.post(m.AddTap(self._tap, self._port, self._direction, RATE))
        try:
            opened = await resources.providers.open_asr(
                option.providers or (resources.settings.speech.asr,),
                asr_options(option, self._asker, self._meter),
            )
            for warning in opened.warnings:
                self._report(reports.SpeechWarned("asr", warning, 404))
            self._begin(opened.stream)
            if opened.stream is not None:
                async for output in opened.stream:
                    self._take(output)
        finally:
            resources.engine.post(m.RemoveTap(self._tap))
            resources.routes.remove(self._tap)
            self._opening = False
            if self._stream is not None:
                self._stream.close()
                self._stream = None

    def _begin(self, stream: speech.AsrStream | None) -> None:
        """Feed a recogniser that is open now what was said meanwhile; None: there is no recogniser."""
        self._stream, self._opening = stream, False
        waiting, self._waiting = self._waiting, []
        if stream is None:
            return
        for frame in waiting:
            if frame is None:
                stream.finalize()
            else:
                stream.push(frame)

    def speech_started(self) -> None:
        """Open the gate and feed the audio from just before detection."""
        self._closing = 0
        if self._open or not self._listens:
            return
        self._open = True
        self._segments.append((self._pushed_s, time.monotonic() - len(self._recent) * TICK_S))
        for frame in self._recent:
            self._push(frame)
        self._recent.clear()

    def finalize(self) -> None:
        """Feed the end of the last word, then request the final transcript: the party fell silent."""
        if not self._listens:
            return
        if not self._gated:
            self._finalize()
        elif self._open:
            self._closing = HANG_OVER

    def _frame(self, frame: bytes) -> None:
        if not self._open:
            self._recent.append(frame)
            return
        if not self._segments:
            self._segments.append((self._pushed_s, time.monotonic() - TICK_S))
        self._push(frame)
        if self._closing:
            self._closing -= 1
            if not self._closing and self._listens:
                self._open = False
                self._finalize()

    @property
    def _listens(self) -> bool:
        return self._opening or self._stream is not None

    def _push(self, frame: bytes) -> None:
        if self._stream is not None:
            self._stream.push(frame)
        elif self._opening and len(self._waiting) < MOST_WAITING:
            self._waiting.append(frame)
        elif self._opening and not self._lost:
            self._lost = True
            self._report(reports.SpeechWarned("asr", "the recogniser is not ready: speech is lost", 503))
            return
        else:
            return
        self._pushed_s += len(frame) / 2 / RATE

    def _finalize(self) -> None:
        if self._stream is not None:
            self._stream.finalize()
        elif len(self._waiting) < MOST_WAITING:
            self._waiting.append(None)

    def _take(self, output: object) -> None:
        match output:
            case speech.AsrDelta() | speech.AsrFinal():
                self._report(
                    reports.Transcribed(
                        self._leg,
                        output.index,
                        output.text,
                        self._at(output.start_ms / 1000),
                        self._at(output.end_ms / 1000),
                        isinstance(output, speech.AsrFinal),
                        output.confidence,
                        isinstance(output, speech.AsrFinal) and output.rejected,
                        output.match if isinstance(output, speech.AsrFinal) else "",
                    )
                )
            case speech.AsrTurn():
                ended = self._at(output.end_ms / 1000)
                self._report(reports.TurnJudged(self._leg, output.probability, ended))
            case speech.SpeechMetric():
                self._report(reports.Measured(output.key, output.duration_ms, output.data))
            case speech.SpeechError() | speech.SpeechSwitched():
                self._report(reports.SpeechWarned("asr", output.error, output.code))

    def _at(self, stream_s: float) -> float:
        """Return the monotonic time of a position in the fed audio, from the segment that contains it."""
        begin, at = self._segments[0] if self._segments else (0.0, time.monotonic())
        for segment in self._segments:
            if segment[0] <= stream_s:
                begin, at = segment
        return at + stream_s - begin
