"""Other spellings that clients in the field use, mapped to those of the RustPBX document."""

from typing import Any

_KEYS = {
    "end_of_stream": "endOfStream",
    "play_id": "playId",
    "auto_hangup": "autoHangup",
    "sampleRate": "samplerate",
    "sample_rate": "samplerate",
    "voice": "speaker",
    "apiKey": "secretKey",
    "sdpMlineIndex": "sdpMLineIndex",
    "target": "callee",
    "rate": "speed",
}
_FREE = frozenset({"extra", "headers", "data", "session", "result"})
"""Keys whose content belongs to the client and stays as it is."""
MAX_DEPTH = 32


class TooDeep(ValueError):
    """A message nests deeper than `MAX_DEPTH` levels."""


def normal(value: Any, depth: int = 0) -> Any:
    """Return a message in the document's spelling, without nulls: a null key means the same as an absent one.

    Raises:
        TooDeep: beyond 32 levels.
    """
    if depth > MAX_DEPTH:
        raise TooDeep(f"the message nests deeper than {MAX_DEPTH} levels")
    if isinstance(value, list):
        return [normal(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    for name, item in value.items():
        key = str(name)
        if item is None:
            continue
        known: str = _KEYS.get(key, key)
        if known in result and known != key:
            continue  # The document's spelling wins where both are given.
        result[known] = item if key in _FREE else normal(item, depth + 1)
    return result


def command_of(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message with its command under the document's name, where it came under another."""
    if message.get("command") == "addIceCandidate":
        inner = message.get("candidate")
        one = inner if isinstance(inner, dict) else message
        return {**message, "command": "candidate", "candidates": [one]}
    if message.get("command") == "candidate" and "candidates" not in message and "candidate" in message:
        inner = message["candidate"]
        return {**message, "candidates": [inner if isinstance(inner, dict) else message]}
    if message.get("command") == "message" and "body" not in message and "text" in message:
        return {**message, "body": message["text"]}
    if message.get("command") == "offer" and "offer" not in message and "sdp" in message:
        return {**message, "offer": message["sdp"]}
    return message
