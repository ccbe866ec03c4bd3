"""Events of the Wyoming protocol: a line of JSON, then data and payload of the lengths it names."""

from typing import Any

import msgspec

from softswitch.speech.hosted.wire import number_of, read_json, text_of, to_json

MAX_LINE = 65536
MAX_BODY = 1_048_576
VERSION = "1.8.0"


class Event(msgspec.Struct, frozen=True):
    """One event."""

    type: str
    data: dict[str, Any] = {}
    payload: bytes = b""


def write(event: Event) -> bytes:
    """Return an event as bytes."""
    data = to_json(event.data).encode() if event.data else b""
    head: dict[str, object] = {"type": event.type, "version": VERSION}
    if data:
        head["data_length"] = len(data)
    if event.payload:
        head["payload_length"] = len(event.payload)
    return to_json(head).encode() + b"\n" + data + event.payload


class EventReader:
    """Reads events from the pieces of a byte stream."""

    def __init__(self) -> None:
        self._held = bytearray()

    def push(self, chunk: bytes) -> list[Event | None]:
        """Take bytes; return the events that are whole, None for a line that is not an event.

        Raises:
            ValueError: a length is beyond its bound, so that the stream cannot be followed any more.
        """
        self._held += chunk
        events: list[Event | None] = []
        while (end := self._held.find(b"\n")) >= 0:
            head = read_json(bytes(self._held[:end]))
            if head is None or not text_of(head, "type"):
                del self._held[: end + 1]
                events.append(None)
                continue
            sizes = [int(number_of(head, name) or 0) for name in ("data_length", "payload_length")]
            if any(not 0 <= size <= MAX_BODY for size in sizes):
                raise ValueError("an event is larger than 1 MiB")
            whole = end + 1 + sum(sizes)
            if len(self._held) < whole:
                return events
            middle = end + 1 + sizes[0]
            more = read_json(bytes(self._held[end + 1 : middle])) if sizes[0] else {}
            inline = head.get("data")
            data = {**(inline if isinstance(inline, dict) else {}), **(more or {})}
            events.append(Event(text_of(head, "type"), data, bytes(self._held[middle:whole])))
            del self._held[:whole]
        if len(self._held) > MAX_LINE:
            raise ValueError("a line is longer than 64 KiB")
        return events
