"""Transcripts of recorded calls: they wait in a queue and are made one after another.

Calls that are live need the recogniser sooner, so one recording at a time is listened to, and it counts among
the recognitions of ``[limits] speech_streams``. What still waits when the switch goes down has failed; a
client may ask for it again.
"""

import asyncio
import importlib
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from softswitch.errors import NotNowError, SoftswitchError, UnavailableError
from softswitch.speech import provider as speech
from softswitch.speech.endpointer import RATE
from softswitch.store.store import CallRecord
from softswitch.store.transcript import Party, Transcript, Turn, encode
from softswitch.switch.resources import Resources
from softswitch.switch.transcripts.listener import Heard, Listener
from softswitch.switch.transcripts.utterances import Cutter, Utterance

logger = logging.getLogger(__name__)

MOST_WAITING = 1000
"""Recordings that wait for their transcripts."""
MOST_OF_ACCOUNT = 100
"""The same, of one account."""
MOST_TURNS = 10_000
MOST_TEXT = 1_000_000
"""Characters of one transcript."""
RETRY_S = 30.0
_SIDES = "softswitch.files.sides"
"""Reads recordings; it imports PyAV, which takes 16 MB."""
FREE_S = 1.0
"""Time between two looks whether a recogniser is free, in seconds."""

OnMade = Callable[[CallRecord, Transcript, str], None]
"""Takes the record of the call, the transcript, and the URL that the request for it named."""


class _Job(NamedTuple):
    record: CallRecord
    language: str
    url: str


class Transcripts:
    """The queue of recordings to be transcribed."""

    def __init__(self, resources: Resources, on_made: OnMade = lambda record, transcript, url: None) -> None:
        """Start empty; :meth:`run` works.

        Args:
            resources: Store, recognisers, settings.
            on_made: Called with each transcript that was stored, also with one that failed.
        """
        self._resources = resources
        self._on_made = on_made
        self._waiting: deque[_Job] = deque()
        self._present: _Job | None = None
        self._to_do = asyncio.Event()

    def __len__(self) -> int:
        """Return how many recordings wait."""
        return len(self._waiting)

    def add(self, record: CallRecord, language: str = "", url: str = "") -> None:
        """Have the recording of a call transcribed.

        Args:
            record: The call; it has ended.
            language: Spoken language, BCP 47; empty: that of the settings.
            url: Named by the request; `on_made` gets it.

        Raises:
            NotNowError: As many recordings wait as may.
        """
        own = sum(job.record.account == record.account for job in self._waiting)
        if len(self._waiting) >= MOST_WAITING or own >= MOST_OF_ACCOUNT:
            self._resources.metrics.transcripts.labels("refused").inc()
            raise NotNowError("too many recordings wait for their transcripts", retry_after_s=RETRY_S)
        self._waiting.append(_Job(record, language, url))
        self._to_do.set()

    def ended(self, record: CallRecord) -> None:
        """Have the recording of a call that has just ended transcribed; a full queue is its failure."""
        try:
            self.add(record)
        except NotNowError as error:
            logger.warning("a call is not transcribed", extra={"call_id": record.id, "reason": str(error)})
            self._made(_Job(record, "", ""), _failed("", str(error)))

    def waits(self, call_id: str) -> bool:
        """Tell whether the transcript of a call is being made, or waits."""
        present = self._present
        return (present is not None and present.record.id == call_id) or any(
            job.record.id == call_id for job in self._waiting
        )

    async def run(self) -> None:
        """Make transcripts until cancelled; those that wait then have failed."""
        try:
            while True:
                while not self._waiting:
                    self._to_do.clear()
                    await self._to_do.wait()
                self._present = self._waiting.popleft()
                self._made(self._present, await self._transcript(self._present))
                self._present = None
        finally:
            left = [] if self._present is None else [self._present]
            for job in (*left, *self._waiting):
                self._made(job, _failed(job.language, "the switch went down"))
            self._waiting.clear()

    # --- inside -------------------------------------------------------------------------

    def _made(self, job: _Job, transcript: Transcript) -> None:
        record = job.record
        self._resources.metrics.transcripts.labels(transcript.status).inc()
        if transcript.status == "completed" or not record.transcript_json:
            # A second try that fails leaves the transcript that is there.
            record = msgspec.structs.replace(record, transcript_json=encode(transcript))
            self._resources.store.save_call(record)
        self._on_made(record, transcript, job.url)

    async def _transcript(self, job: _Job) -> Transcript:
        try:
            turns = await self._listen(job)
        except SoftswitchError as error:
            logger.warning(
                "a recording is not transcribed", extra={"call_id": job.record.id, "reason": str(error)}
            )
            return _failed(job.language, str(error))
        except Exception as error:  # One recording must not stop the others.
            logger.exception("a transcript failed", extra={"call_id": job.record.id})
            return _failed(job.language, f"internal error: {type(error).__name__}")
        language = job.language or self._resources.settings.speech.language
        return Transcript(
            id=str(uuid.uuid4()),
            status="completed",
            made_at=int(time.time() * 1000),
            language=language,
            turns=tuple(turns),
        )

    async def _listen(self, job: _Job) -> list[Turn]:
        """Return what was said in a recording, in order; raises SoftswitchError."""
        resources, record = self._resources, job.record
        path = await resources.store.recording_path(record.recording)
        if path is None:
            raise UnavailableError("the recording is gone")
        await self._free()
        resources.recognitions += 1
        heard: list[Heard] = []
        listener: Listener | None = None
        try:
            listener = await self._open(job, heard)
            decoder = await asyncio.to_thread(importlib.import_module, _SIDES)
            cutter, pieces = Cutter(), decoder.sides(path, RATE)
            while (found := await asyncio.to_thread(_next, pieces, cutter)) is not None:
                for utterance in found:
                    await listener.hear(utterance)
                if len(heard) > MOST_TURNS or sum(len(one.text) for one in heard) > MOST_TEXT:
                    raise UnavailableError(f"the transcript is longer than {MOST_TEXT} characters")
            await listener.finish()
        finally:
            resources.recognitions -= 1
            if listener is not None:
                await listener.close()
        shift = await self._began_ms(record)
        return [_turn(one, record, shift) for one in sorted(heard, key=lambda one: one.start_ms)]

    async def _free(self) -> None:
        """Wait until a recogniser is free."""
        while True:
            if self._resources.recognitions < self._resources.settings.limits.speech_streams:
                return
            await asyncio.sleep(FREE_S)

    async def _open(self, job: _Job, heard: list[Heard]) -> Listener:
        resources, record = self._resources, job.record
        options = speech.AsrOptions(
            language=job.language, account=record.account, call=record.id, meter=speech.Meter()
        )
        opened = await resources.providers.open_asr((resources.settings.speech.asr,), options)
        if opened.stream is None:
            raise UnavailableError("; ".join(opened.warnings) or "no recogniser is set ([speech] asr)")
        wrong = [warning for warning in opened.warnings if warning.startswith("language:")]
        if wrong:
            opened.stream.close()
            raise UnavailableError("; ".join(wrong))
        realtime = opened.provider != speech.DEFAULT
        return Listener(opened.stream, realtime=realtime, on_heard=heard.append)

    async def _began_ms(self, record: CallRecord) -> int:
        """Return when the recording began, milliseconds from the answer of the call."""
        found = await self._resources.store.records.recordings_of(record.id, record.account)
        began = next((one.created_at for one in found if one.name == record.recording), None)
        if began is None or record.answered_at is None:
            return 0
        return max(0, began - record.answered_at)


def _next(pieces: Iterator[tuple[bytes, bytes]], cutter: Cutter) -> list[Utterance] | None:
    """Return the utterances that end in the next second; those at the end with the last; then None."""
    piece = next(pieces, None)
    if piece is not None:
        return cutter.push(piece)
    return cutter.end() or None


def _turn(heard: Heard, record: CallRecord, shift_ms: int) -> Turn:
    # The party of an incoming call is its caller, that of any other its callee.
    of_side: tuple[Party, Party] = (
        ("caller", "callee") if record.direction == "inbound" else ("callee", "caller")
    )
    return Turn(of_side[heard.side], heard.start_ms + shift_ms, heard.end_ms + shift_ms, heard.text)


def _failed(language: str, error: str) -> Transcript:
    return Transcript(
        id=str(uuid.uuid4()),
        status="failed",
        made_at=int(time.time() * 1000),
        language=language,
        error=error,
    )
