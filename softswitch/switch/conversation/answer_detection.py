"""Who answers a call, a person or a machine: a leg's audio goes in, verdicts come as reports."""

import asyncio
import time
from collections.abc import Callable

from softswitch.audio import pcm as pcm16
from softswitch.call.vocabulary import reports
from softswitch.call.vocabulary.commands import AmdOption, AsrOption
from softswitch.egress import Asker
from softswitch.media import messages as m
from softswitch.speech import provider as speech
from softswitch.speech.answering_machine import RATE, Answer, AnsweringMachine, Bounds
from softswitch.switch.conversation.speech_options import asr_options
from softswitch.switch.resources import Resources


class AnswerDetection:
    """Listens to one leg from its answer on, until who has answered is known, and a machine has beeped."""

    def __init__(
        self,
        leg: str,
        port: int,
        resources: Resources,
        report: Callable[[reports.Report], None],
        *,
        asker: Asker,
        meter: speech.Meter,
    ) -> None:
        """Prepare; :meth:`run` starts.

        Args:
            leg: Name of the leg.
            port: Its port in the engine.
            resources: Engine, providers.
            report: Takes reports to the call.
            asker: The call, to which look-ups of names are attributed.
            meter: Counts what hosted recognisers are used for.
        """
        self._leg = leg
        self._port = port
        self._resources = resources
        self._report = report
        self._asker, self._meter = asker, meter
        self._tap = next(resources.ids)
        self._stream: speech.AsrStream | None = None
        self._machine = AnsweringMachine()
        self._began = time.monotonic()
        self._over = asyncio.Event()

    async def run(self, option: AmdOption) -> None:
        """Detect until it is over; without a recogniser rhythm and beep alone decide."""
        self._machine = AnsweringMachine(Bounds(silence_s=option.silence_s, beep_s=option.beep_s))
        self._began = time.monotonic()
        resources = self._resources
        resources.routes.frames(self._tap, self._frame)
        resources.engine.post(m.AddTap(self._tap, self._port, "inbound", RATE))
        try:
            opened = await resources.providers.open_asr(
                (resources.settings.speech.asr,), asr_options(AsrOption(), self._asker, self._meter)
            )
            self._stream = opened.stream
            if opened.stream is not None:
                async for output in opened.stream:
                    if isinstance(output, speech.AsrDelta):
                        self._tell(self._machine.heard(output.index, output.text))
            await self._over.wait()
        finally:
            resources.engine.post(m.RemoveTap(self._tap))
            resources.routes.remove(self._tap)
            self._close_stream()

    def _close_stream(self) -> None:
        """Let the recogniser go: words decide only who has answered."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _frame(self, frame: bytes) -> None:
        if self._machine.over:
            return
        if self._stream is not None:
            self._stream.push(frame)
        self._tell(self._machine.push(pcm16.from_bytes(frame)))

    def _tell(self, answers: list[Answer]) -> None:
        for answer in answers:
            self._report(
                reports.AnsweredBy(
                    self._leg,
                    answer.result,
                    answer.reason,
                    self._began + answer.at_s,
                    None if answer.speech_s is None else self._began + answer.speech_s,
                    answer.spoken_s,
                    answer.text,
                )
            )
        if self._machine.result is not None:
            self._close_stream()
        if self._machine.over:
            self._over.set()
