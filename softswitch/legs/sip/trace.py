"""The SIP trace: the last messages of each call in memory, until the call has ended and they are stored.

A message comes before its call is known: the INVITE that is challenged, the first one of a call that rings.
Messages are therefore kept by their Call-ID, and a leg says later which call a Call-ID belongs to. Those of a
Call-ID without a call are dropped, the oldest first.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from softswitch.legs.sip.counters import SipCounters
from softswitch.settings import url_host
from softswitch.sip.trace import SipMessage, call_id_of, masked
from softswitch.sip.transaction.flow import Flow

MOST_SHOWN = 16_384
"""Most octets of one message that are kept."""
CALL_MESSAGES = 400
"""Most messages of one call."""
CALL_BYTES = 524_288
"""Most octets of the messages of one call."""
TOTAL_BYTES = 33_554_432
"""Most octets of all messages."""
UNKNOWN = 1000
"""Call-IDs without a call that are kept."""


@dataclass(slots=True)
class _Kept:
    """One message as it was received or sent."""

    at: int
    sent: bool
    flow: Flow
    data: bytes
    size: int
    """Octets of the whole message."""


@dataclass(slots=True)
class CallTrace:
    """The messages of one call; or of one Call-ID, as long as no call is known."""

    messages: list[_Kept] = field(default_factory=list)
    octets: int = 0
    call_ids: set[bytes] = field(default_factory=set)


class SipTrace:
    """Keeps the SIP messages of calls within bounds; every message that is dropped is counted."""

    def __init__(self, counters: SipCounters, clock: Callable[[], float] = time.time) -> None:
        """Start without messages.

        Args:
            counters: of all SIP legs.
            clock: epoch seconds.
        """
        self._counters = counters
        self._clock = clock
        self._unknown: OrderedDict[bytes, CallTrace] = OrderedDict()
        self._by_call_id: dict[bytes, CallTrace] = {}
        self._calls: dict[str, CallTrace] = {}
        self.octets = 0
        """Octets of all messages."""

    def add(self, data: bytes, flow: Flow, *, sent: bool) -> None:
        """Keep a message that was received or is being sent.

        Args:
            data: octets of the message.
            flow: where it came from or goes to.
            sent: whether the switch sends it.
        """
        call_id = call_id_of(data)
        if not call_id:
            return
        trace = self._by_call_id.get(call_id)
        if trace is None:
            trace = self._unknown.get(call_id)
            if trace is None:
                trace = self._unknown[call_id] = CallTrace(call_ids={call_id})
            self._unknown.move_to_end(call_id)
        size = min(len(data), MOST_SHOWN)
        while self._unknown and (self.octets + size > TOTAL_BYTES or len(self._unknown) > UNKNOWN):
            _, oldest = self._unknown.popitem(last=False)
            self.octets -= oldest.octets
            if oldest is trace:
                return
        is_full = len(trace.messages) >= CALL_MESSAGES or trace.octets + size > CALL_BYTES
        if is_full or self.octets + size > TOTAL_BYTES:
            self._counters.trace_dropped += 1
            return
        kept = _Kept(round(self._clock() * 1000), sent, flow, bytes(data[:MOST_SHOWN]), len(data))
        trace.messages.append(kept)
        trace.octets += size
        self.octets += size
        self._counters.traced += 1

    def bind(self, call_id: str, call: str) -> None:
        """Say which call the messages of a Call-ID belong to.

        Args:
            call_id: Call-ID of one of its legs.
            call: id of the call.
        """
        key = call_id.encode("utf-8", "surrogateescape")
        if not key or key in self._by_call_id:
            return
        trace = self._calls.setdefault(call, CallTrace())
        self._by_call_id[key] = trace
        trace.call_ids.add(key)
        if (early := self._unknown.pop(key, None)) is not None:
            trace.messages += early.messages
            trace.octets += early.octets

    def messages(self, call: str) -> list[SipMessage]:
        """Return the messages of a live call so far, without secrets, in their order."""
        trace = self._calls.get(call)
        return [] if trace is None else shown(trace)

    def end(self, call: str) -> CallTrace | None:
        """Return the trace of a call that has ended; its last messages still come. None: it has no trace."""
        return self._calls.pop(call, None)

    def take(self, trace: CallTrace) -> list[SipMessage]:
        """Return all messages of a call that has ended, and free them."""
        for call_id in trace.call_ids:
            if self._by_call_id.get(call_id) is trace:
                del self._by_call_id[call_id]
        self.octets -= trace.octets
        return shown(trace)


def shown(trace: CallTrace) -> list[SipMessage]:
    """Return the messages of a trace without secrets, in their order."""
    ordered = sorted(trace.messages, key=lambda kept: kept.at)
    return [
        SipMessage(
            at=kept.at,
            sent=kept.sent,
            transport=kept.flow.transport,
            remote=f"{url_host(kept.flow.host)}:{kept.flow.port}",
            local=f"{url_host(kept.flow.local_host)}:{kept.flow.local_port}" if kept.flow.local_host else "",
            text=masked(kept.data)
            + (f"\r\n... {kept.size - MOST_SHOWN} more octets" if kept.size > MOST_SHOWN else ""),
        )
        for kept in ordered
    ]
