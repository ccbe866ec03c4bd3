"""How far a call has come, in Wavix's words: from the events of the common call model to call objects."""

from typing import Literal

from softswitch.call import events as e
from softswitch.call.events import Event
from softswitch.dialects.instants import rfc3339
from softswitch.dialects.wavix.responses import Call, EventType, Happening, Record
from softswitch.dialects.wavix.stream_messages import Direction

Disposition = Literal["answered", "noanswer", "busy", "failed"]
Step = tuple[EventType, Happening | None]

_DECLINED = frozenset({401, 403, 406, 407, 433, 488, 603, 606, 607, 608})
_TROUBLES = frozenset({"tts", "play", "recorder", "media", "mediaPass"})


class Story:
    """What is told of one call; takes its events in order."""

    def __init__(
        self, uuid: str, direction: Direction, *, started_ms: int, caller: str = "", callee: str = ""
    ) -> None:
        """Begin with the call.

        Args:
            uuid: Id of the call.
            direction: inbound: somebody called us.
            started_ms: When it began, epoch milliseconds.
            caller: Who calls, as far as that is known.
            callee: Who is called.
        """
        self.uuid, self.direction = uuid, direction
        self.caller, self.callee, self.tag = caller, callee, ""
        self.event_type: EventType = "call_setup"
        self.started_ms = self.event_ms = started_ms
        self.answered_ms: int | None = None
        self.finished_ms: int | None = None
        self.reason = ""
        self.refused = 0
        """Code of the refusal."""
        self._told = False

    # --- what happens -----------------------------------------------------------------------

    def begin(self) -> list[Step]:
        """Return the first step, unless it was told."""
        told, self._told = self._told, True
        return [] if told else [("call_setup", None)]

    def take(self, event: Event) -> list[Step]:
        """Return what there is to tell of an event; often nothing."""
        step = self._step(event)
        if step is None:
            return []
        before = self.begin()
        self.event_ms = event.timestamp
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
            case e.Error() if event.sender in _TROUBLES:
                return _happened("error", {"part": event.sender, "message": event.error})
            case e.TrackEvent() if event.track_id == self.uuid:
                return self._of_party(event)
            case e.Answer() if event.refer:
                return _happened("transfer", {"status": "answered"})
            case e.Rejected():
                return _happened("transfer", {"status": "failed", "code": event.code, "reason": event.reason})
            case _:
                return None

    def _of_party(self, event: e.TrackEvent) -> Step | None:
        match event:
            case e.Ringing() if self.direction == "outbound" and self.answered_ms is None:
                # Of a call that came in exactly one event is told before its answer: whoever is told
                # answers it each time.
                return ("early_media" if event.early_media else "ringing", None)
            case e.Answer() if self.answered_ms is None:
                self.answered_ms = event.timestamp
                return ("answered", None)
            case e.Rejected():
                self.refused = event.code
            case e.Collected():
                return _happened("collect", {"digits": event.digits, "reason": event.reason})
            case _:
                pass
        return None

    def _ended(self, event: e.HungUp) -> Step:
        self.finished_ms, self.reason = event.hangup_time, event.reason
        self.caller, self.callee = event.caller or self.caller, event.callee or self.callee
        if self.answered_ms is not None:
            return ("completed", None)
        if event.reason == "busy":
            return ("busy", None)
        if event.reason == "rejected":
            return ("rejected" if self.refused in _DECLINED or not self.refused else "failed", None)
        given_up = event.reason in ("caller", "callee", "user_requested", "no_answer", "killed")
        return ("cancelled" if given_up else "failed", None)

    # --- what is told ---------------------------------------------------------------------------

    def call(self, step: Step | None = None) -> Call:
        """Return the call object as of now, or as of a step."""
        event_type, payload = step or (self.event_type, None)
        # A call may be answered, or over, by the time that its beginning is told.
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
            machine_detected=False,
            tag=self.tag,
        )

    def record(self) -> Record:
        """Return what is told once the call is over."""
        begun, ended = self.answered_ms, self.finished_ms
        return Record(
            uuid=self.uuid,
            direction=self.direction,
            from_=self.caller,
            to=self.callee,
            date=rfc3339(self.started_ms),
            duration=round((ended - begun) / 1000) if begun is not None and ended is not None else 0,
            disposition=disposition(self.event_type),
            answered_by=None,
        )


def disposition(event_type: EventType) -> Disposition:
    """Return how a call that is over went, in one word."""
    match event_type:
        case "completed":
            return "answered"
        case "busy":
            return "busy"
        case "cancelled":
            return "noanswer"
        case _:
            return "failed"


def _happened(kind: Literal["stream", "collect", "transfer", "error"], payload: dict[str, object]) -> Step:
    return ("on_call_event", Happening(type=kind, payload=payload))


def _stream(event: e.StreamChanged) -> Happening:
    payload: dict[str, object] = {"status": event.status, "stream_id": event.stream_id}
    if event.reason is not None:
        payload["reason"] = event.reason
    return Happening(type="stream", payload=payload)


def _moment(epoch_ms: int | None) -> str | None:
    return None if epoch_ms is None else rfc3339(epoch_ms)


def past_story(
    uuid: str,
    direction: Direction,
    *,
    started_ms: int,
    answered_ms: int | None,
    finished_ms: int,
    caller: str,
    callee: str,
    tag: str,
    reason: str,
    code: int,
) -> Story:
    """Return the story of a call that is over, from what was kept of it."""
    story = Story(uuid, direction, started_ms=started_ms, caller=caller, callee=callee)
    story.tag, story.answered_ms, story.refused = tag, answered_ms, code
    story.take(
        e.HungUp(
            timestamp=finished_ms,
            track_id=uuid,
            reason=reason,
            initiator="",
            start_time=started_ms,
            answer_time=answered_ms,
            hangup_time=finished_ms,
            caller=caller,
            callee=callee,
        )
    )
    return story
