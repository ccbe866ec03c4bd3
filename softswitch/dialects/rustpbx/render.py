"""Translation of events of the call model to their text on the wire.

The translation of each kind of event is planned once, when this module is imported: an event of a call is
rendered for each of its subscribers.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, get_type_hints

import msgspec

from softswitch.call.vocabulary import events as e
from softswitch.call.vocabulary.events import Event
from softswitch.call.vocabulary.values import Candidate
from softswitch.dialects.rustpbx.attendee import attendee
from softswitch.dialects.rustpbx.tracks import track_id
from softswitch.dialects.wording import words
from softswitch.protocol import call_events as w
from softswitch.protocol.instants import rfc3339

_encode = msgspec.json.Encoder().encode

_OTHER_NAMES: Final[dict[type[Event], type[w.Event]]] = {
    e.Rejected: w.Reject,
    e.HungUp: w.Hangup,
    e.EndOfUtterance: w.Eou,
    e.AnsweredBy: w.Amd,
    e.ToneHeard: w.Tone,
    e.Collected: w.Collect,
    e.Muted: w.Mute,
    e.HistoryAdded: w.AddHistory,
    e.MessageReceived: w.Message,
    e.CustomEvent: w.Custom,
    e.StreamChanged: w.Stream,
    e.CandidatesFound: w.Candidate,
}
"""Wire structs of the events that have another name on the wire; the others are found by their name."""


def _millis(epoch_s: float) -> int:
    return round(epoch_s * 1000)


def _text(epoch_s: float) -> str:
    return rfc3339(_millis(epoch_s))


def _audio(audio: e.Audio) -> w.AudioFormat:
    return w.AudioFormat(audio.codec, audio.sample_rate, audio.ptime)


def _candidates(found: tuple[Candidate, ...]) -> list[w.IceCandidate]:
    return [w.IceCandidate(candidate=one.text, sdp_mid=one.mid, sdp_m_line_index=one.line) for one in found]


def _camel(mode: str) -> str:
    return "takeOver" if mode == "take_over" else mode


class _Field(NamedTuple):
    """Where a field of the wire comes from."""

    source: str
    """Field of the event."""
    name: str
    """Field of the wire struct."""
    change: Callable[[Any], Any] | None
    """Translation of its value; None: it is the same."""


_CHANGES: Final[dict[type[Event], dict[str, tuple[str, Callable[[Any], Any] | None]]]] = {
    e.Answer: {"audio": ("audio", _audio)},
    e.HungUp: {
        "start_time": ("start_time", _text),
        "answer_time": ("answer_time", _text),
        "hangup_time": ("hangup_time", _text),
        "caller": ("caller", attendee),
        "callee": ("callee", attendee),
    },
    e.Mark: {"name": ("mark", None)},
    e.ToolCall: {"name": ("tool", None)},
    e.CandidatesFound: {"candidates": ("candidates", _candidates)},
    e.Media: {"seconds": ("seconds", round)},
    e.Bridged: {"other": ("target_session_id", None)},
    e.Unbridged: {"other": ("target_session_id", None)},
    e.Supervision: {"other": ("target_session_id", None), "mode": ("mode", _camel)},
    e.Overheard: {"other": ("target_session_id", None)},
    e.Levels: {"other": ("target_session_id", None)},
}
"""Fields that have another name or form on the wire, by event: the name there, and the translation."""

_DERIVED: Final[dict[type[Event], tuple[str, Callable[[Any], Any]]]] = {
    e.Error: ("error", lambda event: event.error if event.rejection is None else words(event.rejection)),
    e.EndOfUtterance: ("complete", lambda event: event.completed),
}
"""One field of the wire that follows from the whole event."""


def _kinds(base: type[Event]) -> Iterator[type[Event]]:
    """Yield every event below a base that has no events below it."""
    below = base.__subclasses__()
    if not below:
        yield base
    for kind in below:
        yield from _kinds(kind)


def _fields(kind: type[Event]) -> Iterator[_Field]:
    """Yield the fields of the wire struct of an event that come from single fields of the event."""
    changes = _CHANGES.get(kind, {})
    for source, hint in get_type_hints(kind, include_extras=True).items():
        if source == "rejection":
            continue
        if source in changes:
            yield _Field(source, *changes[source])
        elif source == "subject":
            yield _Field(source, "track_id", track_id)
        elif hint in (e.Instant, e.Instant | None):
            yield _Field(source, source, _millis)
        else:
            yield _Field(source, source, None)


def _converter(kind: type[Event]) -> Callable[[Event, int | None], w.Event]:
    """Return the translation of one kind of event to its wire struct."""
    struct: Callable[..., w.Event] = _OTHER_NAMES.get(kind) or getattr(w, kind.__name__)
    fields, derived = tuple(_fields(kind)), _DERIVED.get(kind)
    same = tuple((field.source, field.name) for field in fields if field.change is None)
    instants = tuple(field.source for field in fields if field.change is _millis)
    changed = tuple(field for field in fields if field.change not in (None, _millis))

    def convert(event: Event, seq: int | None) -> w.Event:
        # What is None in the call model has its default on the wire, and is left out.
        given: dict[str, Any] = {"seq": seq}
        for source, name in same:
            if (value := getattr(event, source)) is not None:
                given[name] = value
        for name in instants:
            if (value := getattr(event, name)) is not None:
                given[name] = round(value * 1000)
        for source, name, change in changed:
            if change is not None and (value := getattr(event, source)) is not None:
                given[name] = change(value)
        if derived is not None:
            given[derived[0]] = derived[1](event)
        return struct(**given)

    return convert


_CONVERTERS: Final = {kind: _converter(kind) for kind in _kinds(Event)}


def render(event: Event, seq: int | None = None) -> str:
    """Translate one event.

    Args:
        event: What happened.
        seq: Its number within the call, from 1.
    """
    return _encode(_CONVERTERS[type(event)](event, seq)).decode()


def render_audio(track_id: str, timestamp: int, data: bytes, seq: int | None = None) -> str:
    """Translate audio into the JSON form that the document shows (``option.binaryEvents``).

    Args:
        track_id: Track that is heard.
        timestamp: Epoch milliseconds.
        data: The audio.
        seq: Its number among the audio messages of its socket, from 1: events are counted apart.
    """
    return _encode(w.Binary(track_id=track_id, timestamp=timestamp, data=list(data), seq=seq)).decode()
