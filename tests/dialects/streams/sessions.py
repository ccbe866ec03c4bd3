"""Helpers of the tests of stream dialects: sessions without credentials, and messages as objects."""

import json
from typing import Any

from softswitch.call.interfaces import StreamRequest
from softswitch.dialects.streams import stream_dialects
from softswitch.legs.stream import dialect as d
from softswitch.settings import Settings, Stream

NOW = 1_768_473_000_250
URL = "wss://bot.example/s?b=2&a=1"
ATTEMPT = d.Attempt(1_641_013_200, "00112233445566778899aabbccddeeff")


def open_session(protocol: str, *, rows: tuple[Stream, ...] = (), **fields: Any) -> d.StreamSession:
    """Return the session of a two-way stream named "stream" of the call "call"."""
    base: dict[str, Any] = {
        "two_way": True,
        "channel": "inbound",
        "caller": "+1555",
        "callee": "+1777",
        "parameters": {"plan": "gold"},
    }
    request = StreamRequest("call", "stream", fields.pop("url", URL), protocol=protocol, **{**base, **fields})
    return stream_dialects(Settings(stream=rows))[protocol].open(request)


def objects(messages: d.Messages) -> list[Any]:
    """Return text messages as decoded JSON."""
    return [json.loads(message) for message in messages]


def read(session: d.StreamSession, message: object, now_ms: int = NOW) -> list[d.StreamValue]:
    """Return what a JSON message of the service means."""
    return list(session.read_text(json.dumps(message).encode(), now_ms))
