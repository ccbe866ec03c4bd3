"""What a supervisor is told of the supervised call: how loud both sides are, and what they say."""

import asyncio
import time
from collections.abc import Callable

import numpy as np

from softswitch.audio.level import SILENT_DBOV, dbov
from softswitch.audio.pcm import from_bytes
from softswitch.call.vocabulary import events, reports
from softswitch.call.vocabulary.commands import AsrOption
from softswitch.call.vocabulary.events import Event
from softswitch.call.vocabulary.values import AgentSide, party_of
from softswitch.media import messages as m
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.conversation.recognition import Transcriber

RATE = 8000
"""Sample rate at which levels are measured, Hz."""
TICKS = 10
"""Ticks of 20 ms between two events `levels`: five a second."""
_DIRECTIONS: dict[AgentSide, m.Direction] = {"first": "inbound", "second": "outbound"}
"""The sides as the first party's port knows them: what it says, and all that it hears."""


class Watch:
    """Levels and texts of one supervised call for one supervisor."""

    def __init__(self, supervisor: Conversation, other: Conversation) -> None:
        """Prepare; `move` begins.

        Args:
            supervisor: The call of the supervisor, which gets the events.
            other: The supervised call.
        """
        self._supervisor, self._other = supervisor, other
        self._resources = supervisor.resources
        self._port: int | None = None
        self._taps: dict[AgentSide, int] = {}
        self._frames: dict[AgentSide, list[bytes]] = {"first": [], "second": []}
        self._transcribes = False
        self._recognitions: list[asyncio.Task[None]] = []
        self._texts: _Texts | None = None

    def move(self, port: int | None, *, transcribes: bool) -> None:
        """Follow a port of the supervised call's first party.

        Args:
            port: The port; None: the first party has none.
            transcribes: Whether both sides are transcribed.
        """
        moved = port != self._port
        if moved:
            self._end_levels()
            self._port = port
            if port is not None:
                self._begin_levels(port)
        if moved or transcribes != self._transcribes:
            self._transcribes = transcribes
            self._end_texts()
            if transcribes and port is not None:
                self._begin_texts(port)

    def close(self) -> None:
        """End; idempotent."""
        self._end_levels()
        self._end_texts()
        self._port = None

    # --- levels -----------------------------------------------------------------------

    def _begin_levels(self, port: int) -> None:
        for side, direction in _DIRECTIONS.items():
            tap = self._taps[side] = next(self._resources.ids)
            self._resources.routes.frames(tap, self._meter(side))
            self._resources.engine.post(m.AddTap(tap, port, direction, RATE))

    def _end_levels(self) -> None:
        for tap in self._taps.values():
            self._resources.engine.post(m.RemoveTap(tap))
            self._resources.routes.remove(tap)
        self._taps.clear()
        for frames in self._frames.values():
            frames.clear()

    def _meter(self, side: AgentSide) -> Callable[[bytes], None]:
        frames = self._frames[side]

        def measure(frame: bytes) -> None:
            frames.append(frame)
            if len(frames) >= TICKS and side == "second":
                self._tell_levels()

        return measure

    def _tell_levels(self) -> None:
        first, second = (self._level(self._frames[side]) for side in ("first", "second"))
        self._publish(
            events.Levels(
                timestamp=self._now(),
                subject=party_of(self._supervisor.id),
                other=self._other.id,
                first=first,
                second=second,
            )
        )

    @staticmethod
    def _level(frames: list[bytes]) -> int:
        pcm = from_bytes(b"".join(frames))
        frames.clear()
        return round(float(dbov(pcm[np.newaxis])[0])) if len(pcm) else round(SILENT_DBOV)

    # --- texts ------------------------------------------------------------------------

    def _begin_texts(self, port: int) -> None:
        """Recognise both sides; a side that its own call recognises is not recognised twice."""
        recognised = self._other.call.option.asr
        sides: list[AgentSide] = ["second"]
        if recognised is None:
            sides.append("first")
        else:
            self._texts = _Texts(self._other.id, self._tell_text)
            self._other.subscribe(self._texts)
        for side in sides:
            transcriber = Transcriber(
                side,
                port,
                self._resources,
                self._heard,
                gated=False,
                direction=_DIRECTIONS[side],
                asker=self._supervisor.asker,
                meter=self._supervisor.executor.meter,
            )
            work = transcriber.run(recognised or AsrOption())
            self._recognitions.append(self._supervisor.spawn(work))

    def _end_texts(self) -> None:
        for task in self._recognitions:
            task.cancel()
        self._recognitions.clear()
        if self._texts is not None:
            self._other.unsubscribe(self._texts)
            self._texts = None

    def _heard(self, report: reports.Report) -> None:
        match report:
            case reports.Transcribed():
                side: AgentSide = "first" if report.leg == "first" else "second"
                self._tell_text(side, report.index, report.text, report.final)
            case reports.SpeechWarned():
                self._supervisor.report(report)
            case _:
                pass  # Measurements and judgements of turns are not for supervisors.

    def _tell_text(self, side: AgentSide, index: int, text: str, final: bool) -> None:
        self._publish(
            events.Overheard(
                timestamp=self._now(),
                subject=party_of(self._supervisor.id),
                other=self._other.id,
                side=side,
                index=index,
                text=text,
                final=final,
            )
        )

    def _now(self) -> float:
        return self._supervisor.call.clock(time.monotonic())

    def _publish(self, event: Event) -> None:
        if not self._supervisor.over:
            self._supervisor.publish(event)


class _Texts:
    """Passes on what the supervised call itself has recognised of its first party (a subscriber)."""

    def __init__(self, call_id: str, tell: Callable[[AgentSide, int, str, bool], None]) -> None:
        self._party, self._tell = party_of(call_id), tell

    def event(self, event: Event, seq: int) -> None:
        """Pass a text on."""
        if isinstance(event, events.AsrDelta | events.AsrFinal) and event.subject == self._party:
            self._tell("first", event.index, event.text, isinstance(event, events.AsrFinal))

    def audio(self, side: int, pcm: bytes) -> None:
        """Ignore audio."""

    def close(self, code: int, reason: str) -> None:
        """Do nothing: the supervision ends with the call."""
