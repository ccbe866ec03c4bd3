"""Speech recognition of one leg: audio goes in while somebody speaks, understandings come out as reports."""

import logging
import time
from collections import deque
from collections.abc import Callable

from softswitch.call import reports
from softswitch.call.commands import AsrOption
from softswitch.media import messages as m
from softswitch.speech import provider as speech
from softswitch.switch.resources import Resources
from softswitch.switch.spoken import asr_options

logger = logging.getLogger(__name__)

RATE = 16000
PRE_ROLL = 30
"""Ticks kept from before speech was detected: that takes some 200 ms, and first consonants are soft."""
HANG_OVER = 10
"""Ticks still given after silence was detected."""
TICK_S = 0.02


class Transcriber:
    """Feeds one recognition stream with what a leg says, gated by speech detection.

    Silence is not sent: it costs the recogniser time, and noise would be understood as words.
    """

    def __init__(
        self, leg: str, port: int, resources: Resources, report: Callable[[reports.Report], None], gated: bool
    ) -> None:
        """Prepare; :meth:`run` starts.

        Args:
            leg: Name of the leg.
            port: Its port in the engine.
            resources: Engine, providers.
            report: Tells the call.
            gated: Whether speech detection will say when somebody speaks; else everything is sent.
        """
        self._leg = leg
        self._port = port
        self._resources = resources
        self._report = report
        self._gated = gated
        self._tap = next(resources.ids)
        self._stream: speech.AsrStream | None = None
        self._recent: deque[bytes] = deque(maxlen=PRE_ROLL)
        self._open = not gated
        self._closing = 0
        self._pushed_s = 0.0
        self._segments: deque[tuple[float, float]] = deque(maxlen=64)

    async def run(self, option: AsrOption) -> None:
        """Recognise until cancelled; beyond ``[limits] speech_streams`` there is one warning instead."""
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
        opened = await resources.providers.open_asr(
            option.providers or (resources.settings.speech.asr,),
            asr_options(option, resources.settings.speech),
        )
        for warning in opened.warnings:
            self._report(reports.SpeechWarned("asr", warning, 404))
        if opened.stream is None:
            return
        self._stream = opened.stream
        resources.routes.frames(self._tap, self._frame)
        resources.engine.post(m.AddTap(self._tap, self._port, "inbound", RATE))
        try:
            async for output in opened.stream:
                self._take(output)
        finally:
            resources.engine.post(m.RemoveTap(self._tap))
            resources.routes.remove(self._tap)
            opened.stream.close()
            self._stream = None

    def speech_started(self) -> None:
        """Open the gate; what came just before goes first."""
        self._closing = 0
        if self._open or self._stream is None:
            return
        self._open = True
        self._segments.append((self._pushed_s, time.monotonic() - len(self._recent) * TICK_S))
        for frame in self._recent:
            self._push(frame)
        self._recent.clear()

    def finalize(self) -> None:
        """The party fell silent: give the end of its last word, then ask for the final text."""
        if self._stream is None:
            return
        if not self._gated:
            self._stream.finalize()
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
            if not self._closing and self._stream is not None:
                self._open = False
                self._stream.finalize()

    def _push(self, frame: bytes) -> None:
        if self._stream is not None:
            self._stream.push(frame)
            self._pushed_s += len(frame) / 2 / RATE

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
                    )
                )
            case speech.SpeechMetric():
                self._report(reports.Measured(output.key, output.duration_ms, output.data))
            case speech.SpeechError():
                self._report(reports.SpeechWarned("asr", output.error, output.code))

    def _at(self, stream_s: float) -> float:
        """Return the monotonic time of a moment of the stream."""
        begin, at = self._segments[0] if self._segments else (0.0, time.monotonic())
        for segment in self._segments:
            if segment[0] <= stream_s:
                begin, at = segment
        return at + stream_s - begin
