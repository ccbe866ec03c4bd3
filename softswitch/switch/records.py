"""Records of calls in the store: one while a call goes on, which a crash leaves behind, and the last one.

Setting up a call changes its state several times within milliseconds. A change is therefore written a moment
later, and a call that has ended by then is written once.
"""

import asyncio
import json
from collections.abc import Callable

from softswitch.log.tasks import Tasks
from softswitch.store.store import CallRecord
from softswitch.switch.call_parts import CallParts, TakeTrace
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.resources import Resources

CHANGED_S = 0.5
"""Longest time from a change of a call's state until it is written, seconds."""
TOGETHER_S = 0.1
"""Time by which records are written earlier, so that those of several calls are written together, seconds.

By so much at most the record of an ended call is written later, while more than one call ends in that time:
each write wakes a thread, commits, and wakes the event loop.
"""

_encode = json.JSONEncoder(default=str).encode


class CallRecords:
    """Writes the records of the calls of one switch."""

    def __init__(self, resources: Resources, tasks: Tasks) -> None:
        """Start without calls; ``tasks`` runs what stores the parts of ended calls."""
        self._resources = resources
        self._changed: dict[str, tuple[Conversation, float]] = {}
        """Calls whose state changed since they were written last, and when they are due; the oldest first."""
        self._timer: asyncio.TimerHandle | None = None
        self._wrote = 0.0
        """When records of ended calls were written last, by the clock of the event loop."""
        self._together: asyncio.Event | None = None
        """Set when the records of the calls that have ended since are written; None: none has."""
        self._unwritten: dict[str, tuple[Conversation, float]] = {}
        """Calls that have ended, and when (monotonic seconds), until their records are stored."""
        self._endings: dict[Conversation, tuple[float, TakeTrace | None]] = {}
        """Calls whose last record is to be written: when they ended, and what takes their SIP messages."""
        self.parts = CallParts(resources, tasks)
        """What is stored beside the records."""
        self.transcribe: Callable[[CallRecord], None] = lambda record: None
        """Called with the record of each ended call whose recording is to be transcribed."""

    def change(self, conversation: Conversation) -> None:
        """Write the record of a call that goes on within `CHANGED_S`."""
        loop = asyncio.get_running_loop()
        self._changed.setdefault(conversation.id, (conversation, loop.time() + CHANGED_S))
        if self._timer is None:
            self._timer = loop.call_later(CHANGED_S, self._write_due)

    def end(self, conversation: Conversation, ended: float) -> None:
        """Note the end of a call, whose task writes its last record by :meth:`write`.

        Args:
            conversation: The call.
            ended: When it ended, monotonic seconds.
        """
        self._changed.pop(conversation.id, None)
        self._unwritten[conversation.id] = conversation, ended
        self._endings[conversation] = ended, self.parts.end(conversation.id)

    def ended(self, call_id: str) -> CallRecord | None:
        """Return the record of a call that has ended and whose record is not stored yet, else None."""
        found = self._unwritten.get(call_id)
        return None if found is None else _record(*found)

    def _write_due(self) -> None:
        """Write the records of the calls that are due, or nearly so, and set the timer for the others.

        Most calls that have just changed change again, or end, before they are due.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + TOGETHER_S
        self._timer = None
        while self._changed:
            call_id, (conversation, due) = next(iter(self._changed.items()))
            if due > until:
                self._timer = loop.call_at(due, self._write_due)
                return
            del self._changed[call_id]
            self._resources.store.save_call(_record(conversation, None))

    def _next_write(self) -> asyncio.Event | None:
        """Return what is set when records are written next; None: now, as the last time was long ago."""
        loop = asyncio.get_running_loop()
        if self._together is None:
            now = loop.time()
            if now - self._wrote >= TOGETHER_S:
                self._wrote = now
                return None
            self._together = asyncio.Event()
            loop.call_at(self._wrote + TOGETHER_S, self._write_together)
        return self._together

    def _write_together(self) -> None:
        together, self._together = self._together, None
        self._wrote = asyncio.get_running_loop().time()
        if together is not None:
            together.set()

    async def write(self, conversation: Conversation) -> None:
        """Write the last record of a call that has ended and released everything."""
        call_id = conversation.call.id
        ended, trace = self._endings.pop(conversation)
        try:
            if (together := self._next_write()) is not None:
                await together.wait()
            record = _record(conversation, ended)
            self.parts.save(record, trace, conversation.quality())
            await self._resources.store.save_call(record)
            if conversation.executor.recording.transcribe and record.recording:
                self.transcribe(record)
        finally:
            conversation.recorded.set()
            if self._unwritten.get(call_id, (None,))[0] is conversation:
                del self._unwritten[call_id]


def _record(conversation: Conversation, ended: float | None) -> CallRecord:
    """Return the record of a call; `ended` is the monotonic time of its end, None: it goes on."""
    call = conversation.call
    answered = call.times.answered
    lasted = ended - answered if ended is not None and answered is not None else 0.0
    return CallRecord(
        id=call.id,
        kind=call.kind,
        created_at=conversation.created_ms,
        caller=call.option.caller,
        callee=call.option.callee,
        answered_at=round(call.clock(answered) * 1000) if answered is not None else None,
        ended_at=round(call.clock(ended) * 1000) if ended is not None else None,
        reason=call.reason,
        initiator=call.initiator,
        duration_ms=int(lasted * 1000),
        codec=call.codec,
        recording=conversation.executor.recording.name,
        option_json=_encode(call.option.shown),
        statistics_json=json.dumps(_statistics(conversation)),
        direction=conversation.source.direction,
        trunk=conversation.source.trunk or call.trunk,
        user=conversation.source.user,
        tag=conversation.tag,
        account=conversation.owner,
        code=call.code,
        answered_by=conversation.answered_by,
        transcript_json=conversation.executor.transcript.encoded(
            conversation.source.direction, call.clock(answered) if answered is not None else None
        ),
    )


def _statistics(conversation: Conversation) -> dict[str, object]:
    """Return the figures of a call's media, and under "speech" what it used of each hosted provider."""
    figures: dict[str, object] = dict(conversation.executor.legs.statistics)
    used = conversation.executor.meter.used
    if used:
        figures["speech"] = {
            name: {"characters": usage.characters, "seconds": round(usage.seconds, 2)}
            for name, usage in used.items()
        }
    return figures
