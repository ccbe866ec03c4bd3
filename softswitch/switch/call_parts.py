"""Parts of the record of a call that are stored by themselves: SIP messages, quality over time."""

import asyncio
from collections.abc import Callable, Sequence

from softswitch.log.tasks import Tasks
from softswitch.sip.trace import SipMessage
from softswitch.store.call_parts import QUALITY, SIP, encode
from softswitch.store.quality import LegQuality
from softswitch.store.store import CallPart, CallRecord
from softswitch.switch.resources import Resources

SETTLE_S = 1.0
"""Time after the end of a call in which its last SIP messages come: the response to a BYE, seconds."""
PATIENCE_S = 5.0
"""Longest wait of a client for parts that are being stored, seconds."""

TakeTrace = Callable[[], list[SipMessage]]


class CallParts:
    """Stores the parts of calls that have ended."""

    def __init__(self, resources: Resources, tasks: Tasks) -> None:
        """Start without calls; ``tasks`` runs what waits for the last messages."""
        self._resources = resources
        self._tasks = tasks
        self._waiting: dict[str, asyncio.Event] = {}

    def end(self, call_id: str) -> TakeTrace | None:
        """End the trace of a call; `save` stores what the result takes. None: the call has no trace."""
        telephones = self._resources.telephones
        take = telephones.end_trace(call_id) if telephones is not None else None
        if take is not None:
            self._waiting[call_id] = asyncio.Event()
        return take

    def live(self, call_id: str) -> list[SipMessage]:
        """Return the SIP messages of a live call so far."""
        telephones = self._resources.telephones
        return telephones.traced(call_id) if telephones is not None else []

    def save(self, record: CallRecord, take: TakeTrace | None, quality: Sequence[LegQuality] = ()) -> None:
        """Store the parts of a call whose record is stored.

        Args:
            record: The record.
            take: What `end` returned for the call.
            quality: Quality of its legs.
        """
        if quality:
            self._resources.store.save_part(part_of(record, QUALITY, quality))
        if take is not None:
            self._tasks.spawn(self._save_trace(record, take), name="sip trace", call=record.id)

    async def stored(self, call_id: str) -> None:
        """Wait until the parts of a call that has just ended are stored, for a limited time."""
        waiting = self._waiting.get(call_id)
        if waiting is not None:
            await asyncio.wait([asyncio.ensure_future(waiting.wait())], timeout=PATIENCE_S)

    async def _save_trace(self, record: CallRecord, take: TakeTrace) -> None:
        waiting = self._waiting.get(record.id)
        try:
            await asyncio.sleep(SETTLE_S)
        finally:
            messages = take()
        if messages:
            await self._resources.store.save_part(part_of(record, SIP, messages))
        if waiting is not None:
            waiting.set()
            if self._waiting.get(record.id) is waiting:
                del self._waiting[record.id]


def part_of(record: CallRecord, name: str, content: object) -> CallPart:
    """Return a part of a call's record."""
    return CallPart(
        call_id=record.id,
        created_at=record.created_at,
        part=name,
        account=record.account,
        body=encode(content),
    )
