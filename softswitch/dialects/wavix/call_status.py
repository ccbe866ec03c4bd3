"""The status of a call in the words of Wavix: from events, snapshots and records to call objects."""

from collections.abc import Set as AbstractSet
from typing import Literal

from softswitch.call.vocabulary import events as e
from softswitch.call.vocabulary.events import Event
from softswitch.call.vocabulary.values import party_of
from softswitch.dialects.wavix.rates import FREE, Rates
from softswitch.dialects.wavix.responses import Call, CallEvent, EventType, Record
from softswitch.protocol.instants import rfc3339
from softswitch.protocol.wavix_stream import Direction
from softswitch.store.store import CallRecord
from softswitch.switch.directory import CallSnapshot

Disposition = Literal["answered", "noanswer", "busy", "failed"]
AnsweredBy = Literal["human", "machine"]
Step = tuple[EventType, CallEvent | None]

STEPS: AbstractSet[type[Event]] = frozenset(
    (
        e.Answer, e.AnsweredBy, e.Collected, e.Error, e.HungUp, e.Incoming, e.Rejected, e.Ringing,
        e.StreamChanged, e.ToolCall, e.TrackEnd, e.TrackStart,
    )
)  # fmt: skip
"""Kinds of events that may be steps of a call (`CallStatus.take`)."""

_DECLINED = frozenset({401, 403, 406, 407, 433, 488, 603, 606, 607, 608})
_FAILING_PARTS = frozenset({"tts", "play", "recorder", "media", "mediaPass"})


class CallStatus:
    """The status of one call, which its events change in order."""

    def __init__(
        self, uuid: str, direction: Direction, *, started_ms: int, caller: str = "", callee: str = ""
    ) -> None:
        """Begin with `call_setup`.

        Args:
            uuid: Id of the call.
            direction: inbound: the party called the switch.
            started_ms: When the call was opened, epoch milliseconds.
            caller: The caller, as far as it is known.
            callee: The callee, as far as it is known.
        """
        self.uuid, self.direction = uuid, direction
        self._party = party_of(uuid)
        self.caller, self.callee, self.tag = caller, callee, ""
        self.event_type: EventType = "call_setup"
        self.started_ms = self.event_ms = started_ms
        self.answered_ms: int | None = None
        self.finished_ms: int | None = None
        self.reason = ""
        self.refused = 0
        """SIP or HTTP code of the refusal; 0: none was given."""
        self.answered_by: AnsweredBy | None = None
        self._begun = False
        self._sounding: set[str] = set()
        """Ids of the playbacks that sound."""

    # --- events -----------------------------------------------------------------------

    def begin(self) -> list[Step]:
        """Return the step `call_setup`, the first time."""
        begun, self._begun = self._begun, True
        return [] if begun else [("call_setup", None)]

    def take(self, event: Event) -> list[Step]:
        """Return the steps that an event is; most events are none."""
        step = self._step(event)
        if step is None:
            return []
        before = self.begin()
        self.event_ms = _ms(event.timestamp)
        if step[0] != "on_call_event":
            self.event_type = step[0]
        return before if step[0] == "call_setup" else [*before, step]

    def _step(self, event: Event) -> Step | None:
        match event:
            case e.Incoming():
                self.caller, self.callee = event.caller, event.callee
                return ("call_setup", None)
            case e.HungUp():
                return self._ended(event)
            case e.StreamChanged():
                return ("on_call_event", _stream(event))
            case e.ToolCall():
                return _on_call_event("tool_call", _tool_call(event))
            case e.TrackStart() | e.TrackEnd() if event.subject.kind == "machine" and event.play_id:
                return self._audio(event, event.play_id)
            case e.Error() if event.sender in _FAILING_PARTS:
                return _on_call_event("error", {"part": event.sender, "message": event.error})
            case e.AnsweredBy():
                return self._detected(event)
            case e.SubjectEvent() if event.subject == self._party:
                return self._of_party(event)
            case e.Answer() if event.refer:
                return _on_call_event("transfer", {"status": "answered"})
            case e.Rejected():
                return _on_call_event(
                    "transfer", {"status": "failed", "code": event.code, "reason": event.reason}
                )
            case _:
                return None

    def _audio(self, event: e.TrackStart | e.TrackEnd, playback: str) -> Step | None:
        """Return that a playback has started or completed; one that never sounded is told by its error."""
        if isinstance(event, e.TrackStart):
            self._sounding.add(playback)
            return _on_call_event("audio", {"status": "started", "playback_id": playback})
        if playback not in self._sounding:
            return None
        self._sounding.discard(playback)
        return _on_call_event("audio", {"status": "completed", "playback_id": playback})

    def _detected(self, event: e.AnsweredBy) -> Step:
        """Return who has answered, or that a machine has beeped: the time to leave a message."""
        if event.result in ("human", "machine"):
            self.answered_by = answered_by(event.result)
        return _on_call_event("machine_detection", {"status": event.result, "reason": event.reason})

    def _of_party(self, event: e.SubjectEvent) -> Step | None:
        match event:
            case e.Ringing() if self.direction == "outbound" and self.answered_ms is None:
                # An incoming call has one step before its answer: applications answer each one they get.
                return ("early_media" if event.early_media else "ringing", None)
            case e.Answer() if self.answered_ms is None:
                self.answered_ms = _ms(event.timestamp)
                return ("answered", None)
            case e.Rejected():
                self.refused = event.code
            case e.Collected():
                enough = event.reason in ("complete", "terminator")
                return _on_call_event("collect", collected(event.digits, event.reason, enough=enough))
            case _:
                pass
        return None

    def _ended(self, event: e.HungUp) -> Step:
        self.finished_ms, self.reason = _ms(event.hangup_time), event.reason
        self.caller, self.callee = event.caller or self.caller, event.callee or self.callee
        if self.answered_ms is not None:
            return ("completed", None)
        if event.reason == "busy":
            return ("busy", None)
        if event.reason == "rejected":
            return ("rejected" if self.refused in _DECLINED or not self.refused else "failed", None)
        given_up = event.reason in ("caller", "callee", "user_requested", "no_answer", "killed")
        return ("cancelled" if given_up else "failed", None)

    # --- call objects ---------------------------------------------------------------------------

    def call(self, step: Step | None = None) -> Call:
        """Return the call object of this moment, or of a step."""
        event_type, payload = step or (self.event_type, None)
        # The call may have been answered or ended by the time that `call_setup` is written.
        begins = event_type == "call_setup"
        finished = None if begins else _moment(self.finished_ms)
        return Call(
            uuid=self.uuid,
            id=self.uuid,
            direction=self.direction,
            event_type=event_type,
            event_time=rfc3339(self.started_ms if begins else self.event_ms),
            event_payload=payload,
            from_=self.caller,
            to=self.callee,
            call_started=rfc3339(self.started_ms),
            call_answered=None if begins else _moment(self.answered_ms),
            call_finished=finished,
            call_completed=finished,
            machine_detected=self.answered_by == "machine",
            tag=self.tag,
        )

    def record(self, rates: Rates = FREE) -> Record:
        """Return the record that is posted after the call.

        Args:
            rates: What a call costs; nothing by default.
        """
        begun, ended = self.answered_ms, self.finished_ms
        seconds = round((ended - begun) / 1000) if begun is not None and ended is not None else 0
        return Record(
            uuid=self.uuid,
            direction=self.direction,
            from_=self.caller,
            to=self.callee,
            date=rfc3339(self.started_ms),
            duration=seconds,
            disposition=disposition(self.event_type),
            destination=self.callee,
            per_minute=rates.shown,
            charge=rates.price(seconds),
            answered_by=self.answered_by,
        )


def collected(digits: str, reason: str, *, enough: bool) -> dict[str, object]:
    """Return the payload about digits that were gathered: completed, or failed where too few came."""
    return {"status": "completed" if enough else "failed", "digits": digits, "reason": reason}


def answered_by(text: str) -> AnsweredBy | None:
    """Return who answered, None where that is not known."""
    return "human" if text == "human" else "machine" if text == "machine" else None


def disposition(event_type: EventType) -> Disposition:
    """Return the disposition of a call that ended with a step."""
    match event_type:
        case "completed":
            return "answered"
        case "busy":
            return "busy"
        case "cancelled":
            return "noanswer"
        case _:
            return "failed"


def _on_call_event(
    kind: Literal["stream", "collect", "audio", "transfer", "machine_detection", "error", "tool_call"],
    payload: dict[str, object],
) -> Step:
    return ("on_call_event", CallEvent(type=kind, payload=payload))


def _stream(event: e.StreamChanged) -> CallEvent:
    payload: dict[str, object] = {"status": event.status, "stream_id": event.stream_id}
    if event.reason is not None:
        payload["reason"] = event.reason
    return CallEvent(type="stream", payload=payload)


def _tool_call(event: e.ToolCall) -> dict[str, object]:
    return {
        "status": event.status,
        "stream_id": event.stream_id,
        "tool_call_id": event.tool_call_id,
        "name": event.name,
        "arguments": event.arguments,
    }


def _moment(epoch_ms: int | None) -> str | None:
    return None if epoch_ms is None else rfc3339(epoch_ms)


def _ms(epoch_s: float) -> int:
    return round(epoch_s * 1000)


def live_status(call: CallSnapshot) -> CallStatus:
    """Return the status of a live call."""
    status = CallStatus(
        call.id,
        direction_of(call.source.direction),
        started_ms=call.created_ms,
        caller=call.caller,
        callee=call.callee,
    )
    status.tag, status.answered_by = call.tag, answered_by(call.answered_by)
    if call.answered_ms is not None:
        status.answered_ms = status.event_ms = call.answered_ms
        status.event_type = "answered"
    elif call.ringing_ms is not None and status.direction == "outbound":
        status.event_ms = call.ringing_ms
        status.event_type = "early_media" if call.early_media else "ringing"
    return status


def past_status(record: CallRecord, ended_at: int) -> CallStatus:
    """Return the status of a call that has ended; ``ended_at`` is in epoch milliseconds."""
    status = CallStatus(
        record.id,
        direction_of(record.direction),
        started_ms=record.created_at,
        caller=record.caller,
        callee=record.callee,
    )
    status.answered_by = answered_by(record.answered_by)
    status.tag, status.answered_ms, status.refused = record.tag, record.answered_at, record.code
    status.take(
        e.HungUp(
            timestamp=ended_at / 1000,
            subject=party_of(record.id),
            reason=record.reason,
            initiator="",
            start_time=record.created_at / 1000,
            answer_time=None if record.answered_at is None else record.answered_at / 1000,
            hangup_time=ended_at / 1000,
            caller=record.caller,
            callee=record.callee,
        )
    )
    return status


def direction_of(text: str) -> Direction:
    """Return the direction of a call as Wavix writes it."""
    return "inbound" if text == "inbound" else "outbound"
