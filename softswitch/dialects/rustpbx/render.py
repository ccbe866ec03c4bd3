"""From events of the common call model to the text on the wire."""

import msgspec

from softswitch.call import events as e
from softswitch.call.events import Event
from softswitch.dialects.instants import rfc3339
from softswitch.dialects.rustpbx import wire_events as w

_encoder = msgspec.json.Encoder()

_SAME: dict[type[Event], type[w.Wire]] = {
    e.Incoming: w.Incoming,
    e.Resumed: w.Resumed,
    e.Ringing: w.Ringing,
    e.Rejected: w.Reject,
    e.Speaking: w.Speaking,
    e.Silence: w.Silence,
    e.AsrDelta: w.AsrDelta,
    e.AsrFinal: w.AsrFinal,
    e.Dtmf: w.Dtmf,
    e.TrackStart: w.TrackStart,
    e.TrackEnd: w.TrackEnd,
    e.Interruption: w.Interruption,
    e.Error: w.Error,
    e.Metrics: w.Metrics,
    e.Mark: w.Mark,
    e.Collected: w.Collect,
    e.Hold: w.Hold,
    e.Muted: w.Mute,
    e.HistoryAdded: w.AddHistory,
    e.TransferRequest: w.TransferRequest,
    e.MessageReceived: w.Message,
    e.CustomEvent: w.Custom,
    e.StreamChanged: w.Stream,
    e.Ack: w.Ack,
}
"""Events whose fields are the same above and on the wire, but for spelling."""


def render(event: Event, seq: int | None = None) -> str:
    """Translate one event.

    Args:
        event: What happened.
        seq: Its number within the call, from 1.
    """
    return _encoder.encode(_wire(event, seq)).decode()


def render_audio(track_id: str, timestamp: int, data: bytes) -> str:
    """Translate audio into the JSON form that the document shows (``option.binaryEvents``)."""
    return _encoder.encode(w.Binary(track_id=track_id, timestamp=timestamp, data=list(data))).decode()


def _wire(event: Event, seq: int | None) -> w.Wire:
    if same := _SAME.get(type(event)):
        return same(seq=seq, **msgspec.structs.asdict(event))
    match event:
        case e.Answer():
            audio = event.audio
            return w.Answer(
                seq=seq,
                timestamp=event.timestamp,
                track_id=event.track_id,
                sdp=event.sdp,
                audio=w.AudioFormat(audio.codec, audio.sample_rate, audio.ptime) if audio else None,
                resume=event.resume,
                refer=event.refer,
            )
        case e.HungUp():
            return w.Hangup(
                seq=seq,
                timestamp=event.timestamp,
                track_id=event.track_id,
                reason=event.reason,
                initiator=event.initiator,
                start_time=rfc3339(event.start_time),
                answer_time=rfc3339(event.answer_time) if event.answer_time is not None else None,
                hangup_time=rfc3339(event.hangup_time),
                from_=event.caller or None,
                to=event.callee or None,
                headers=event.headers,
            )
        case e.Media():
            return w.Media(
                seq=seq,
                timestamp=event.timestamp,
                track_id=event.track_id,
                state=event.state,
                seconds=round(event.seconds),
            )
        case e.EndOfUtterance():
            return w.Eou(
                seq=seq,
                timestamp=event.timestamp,
                track_id=event.track_id,
                completed=event.completed,
                complete=event.completed,
                text=event.text,
            )
        case _:
            raise TypeError(f"no wire form for {type(event).__name__}")
