"""Reads the events of `/call*` for clients, tolerantly: switches of other versions write other fields."""

from typing import Annotated, Any, get_args, get_origin

import msgspec

from softswitch.protocol.call_events import KINDS, Event, Hangup, Unknown


def _empty(hint: Any) -> Any:
    """Return the value that stands for a missing field of a type."""
    if get_origin(hint) is Annotated:
        return _empty(get_args(hint)[0])
    return {int: 0, float: 0.0, bool: False, str: "", dict: {}, list: []}.get(get_origin(hint) or hint)


_FIELDS = {kind: frozenset(kind.__struct_encode_fields__) for kind in KINDS.values()}
_FIELDS[Unknown] = frozenset({"timestamp", "seq", "trackId"})
_REQUIRED = {
    kind: {field.encode_name: _empty(field.type) for field in msgspec.structs.fields(kind) if field.required}
    for kind in _FIELDS
}
"""What stands for each required field that a message lacks."""


class NotAnEventError(ValueError):
    """A text message is not a JSON object with an ``event`` in it."""


def decode(text: str | bytes) -> Event:
    """Return the event of a text message, read tolerantly.

    An unknown event, and one with a field of an unexpected type, becomes :class:`Unknown`. Unknown fields are
    kept in ``extra``. Missing fields are empty. Numbers may be given as text.

    Raises:
        NotAnEventError: The text is not a JSON object with an ``event`` in it.
    """
    try:
        message = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotAnEventError(f"not JSON: {error}") from None
    name = message.get("event") if isinstance(message, dict) else None
    if not isinstance(name, str):
        raise NotAnEventError("not a JSON object with an event")
    del message["event"]
    kind = KINDS.get(name, Unknown)
    known = {key: value for key, value in message.items() if key in _FIELDS[kind] and value is not None}
    rest = {key: value for key, value in message.items() if key not in _FIELDS[kind]}
    if kind is Hangup:
        # Switches up to 0.1.0 sent the name alone.
        for key in ("from", "to"):
            if isinstance(name_alone := known.get(key), str):
                known[key] = {"username": name_alone, "source": name_alone}
    try:
        if kind is Unknown:
            fields = {**known, "event": "unknown", "kind": name, "extra": rest}
            return msgspec.convert(fields, Unknown, strict=False)
        event = msgspec.convert({**_REQUIRED[kind], **known, "event": name}, kind, strict=False)
    except msgspec.ValidationError:
        # One field of another type must not cost the application its call: it gets what came.
        return Unknown(kind=name, extra=message)
    if rest:
        event.__dict__["extra"] = rest
    return event
