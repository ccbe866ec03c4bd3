"""Traces of calls: a span for each call, leg, playback, utterance and webhook.

A `Tracer` makes the spans; without one, no call is followed and nothing is done. Attributes hold
neither numbers nor words: the id of the call leads to its record. Times are epoch seconds.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Protocol

from softswitch.call.vocabulary import events
from softswitch.call.vocabulary.events import Event
from softswitch.switch.conversation.conversation import Conversation

logger = logging.getLogger(__name__)

Value = str | int | float | bool
MOST_OPEN = 64
"""Spans of one call that are open at once."""
MOST_ENDED = 4096
"""Calls that have ended whose webhooks still find their trace."""


class Span(Protocol):
    """A span that has begun."""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""

    @property
    def traceparent(self) -> str:
        """Value of the header (W3C Trace Context)."""

    def child(self, name: str, at: float, attributes: Mapping[str, Value]) -> "Span":
        """Begin a span inside this one."""

    def end(self, at: float, attributes: Mapping[str, Value], error: str = "") -> None:
        """End the span; ``error`` says what failed."""


class Tracer(Protocol):
    """Maker of spans."""

    def begin(self, name: str, at: float, attributes: Mapping[str, Value]) -> Span:
        """Begin the first span of a trace."""


class Traces:
    """The traces of all calls of this process, by the ids of the calls."""

    def __init__(self, tracer: Tracer) -> None:
        """Start without calls."""
        self._tracer = tracer
        self._spans: OrderedDict[str, Span] = OrderedDict()

    def follow(self, conversation: Conversation) -> None:
        """Trace a call from its opening on."""
        source = conversation.source
        attributes: dict[str, Value] = {
            "call.id": conversation.id,
            "call.kind": conversation.call.kind,
            "call.direction": source.direction,
            "call.account": conversation.owner,
        }
        if source.trunk:
            attributes["call.trunk"] = source.trunk
        span = self._tracer.begin("call", conversation.created_ms / 1000, attributes)
        self._spans[conversation.id] = span
        self._spans.move_to_end(conversation.id)
        while len(self._spans) > MOST_ENDED:
            self._spans.popitem(last=False)
        trace = CallTrace(span)
        conversation.subscribe(trace)
        conversation.trace = trace

    def trace_id(self, call_id: str) -> str:
        """Return the trace of a call, for the log; empty for a call without one."""
        span = self._spans.get(call_id)
        return span.trace_id if span is not None else ""

    def webhook(self, call_id: str, at: float, attributes: Mapping[str, Value]) -> Span | None:
        """Begin the span of a message about a call; None: the call has no trace."""
        span = self._spans.get(call_id)
        return span.child("webhook", at, attributes) if span is not None else None


class CallTrace:
    """The spans of one call (a subscriber)."""

    def __init__(self, span: Span) -> None:
        """Begin with the span of the call."""
        self.span = span
        self._open: dict[str, Span] = {}
        self._answered = False
        self._over = self._broken = False

    # --- legs ---------------------------------------------------------------------------

    def leg_opened(self, leg: str, at: float) -> None:
        """Begin the span of a leg."""
        self._safely(lambda: self._begin(f"leg {leg}", "leg", at, {"leg.name": leg}))

    def leg_closed(self, leg: str, at: float, trunk: str) -> None:
        """End the span of a leg."""
        self._safely(lambda: self._end(f"leg {leg}", at, {"leg.trunk": trunk} if trunk else {}))

    # --- events -------------------------------------------------------------------------

    def event(self, event: Event, seq: int) -> None:
        """Begin and end what an event begins and ends."""
        self._safely(lambda: self._take(event))

    def _safely(self, work: Callable[[], None]) -> None:
        """Do something with spans; a fault of the library ends the trace, and not the call."""
        if self._broken:
            return
        try:
            work()
        except Exception:
            self._broken = True
            logger.exception("a trace failed")

    def _take(self, event: Event) -> None:
        at = event.timestamp
        match event:
            case events.Answer():
                self._answered = True
            case events.TrackStart():
                self._begin(f"play {event.play_id}", "playback", at, {"playback.id": event.play_id or ""})
            case events.TrackEnd():
                self._end(f"play {event.play_id}", at, {"playback.played_ms": event.duration})
            case events.Interruption():
                cut: dict[str, Value] = {"playback.played_ms": event.position, "playback.interrupted": True}
                self._end(f"play {event.play_id}", at, cut)
            case events.AsrFinal():
                said: dict[str, Value] = {"utterance.characters": len(event.text)}
                self.span.child("utterance", event.start_time, said).end(event.end_time, {})
            case events.HungUp():
                self._finish(event)
            case _:
                pass  # has no length

    def audio(self, side: int, pcm: bytes) -> None:
        """Ignore audio."""

    def close(self, code: int, reason: str) -> None:
        """Do nothing: the last event has ended the call's span."""

    def _begin(self, key: str, name: str, at: float, attributes: Mapping[str, Value]) -> None:
        if not self._over and key not in self._open and len(self._open) < MOST_OPEN:
            self._open[key] = self.span.child(name, at, attributes)

    def _end(self, key: str, at: float, attributes: Mapping[str, Value]) -> None:
        span = self._open.pop(key, None)
        if span is not None:
            span.end(at, attributes)

    def _finish(self, event: events.HungUp) -> None:
        if self._over:
            return
        self._over = True
        at = event.hangup_time
        for key in list(self._open):
            if not key.startswith("leg "):
                self._end(key, at, {})
        attributes: dict[str, Value] = {
            "call.reason": event.reason,
            "call.initiator": event.initiator,
            "call.answered": self._answered,
        }
        self.span.end(at, attributes, event.reason if event.reason == "error" else "")
