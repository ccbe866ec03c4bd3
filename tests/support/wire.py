"""What an event of `/call` must look like: its fields, and the rules that hold for every message."""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

Event = Mapping[str, Any]

_TRACK: dict[str, type] = {"trackId": str}

REQUIRED: dict[str, dict[str, type]] = {
    "incoming": _TRACK | {"caller": str, "callee": str, "sdp": str},
    "answer": _TRACK | {"sdp": str},
    "ringing": _TRACK | {"earlyMedia": bool},
    "reject": _TRACK | {"code": int, "reason": str},
    "hangup": {"reason": str, "initiator": str, "startTime": str, "hangupTime": str},
    "speaking": _TRACK | {"startTime": int},
    "silence": _TRACK | {"startTime": int, "duration": int},
    "asrDelta": _TRACK | {"index": int, "startTime": int, "endTime": int, "text": str},
    "asrFinal": _TRACK | {"index": int, "startTime": int, "endTime": int, "text": str},
    "dtmf": _TRACK | {"digit": str},
    "trackStart": _TRACK,
    "trackEnd": _TRACK | {"duration": int},
    "interruption": _TRACK | {"position": int},
    "error": _TRACK | {"sender": str, "error": str},
    "metrics": {"key": str, "duration": int, "data": dict},
    "binary": _TRACK | {"data": list},
    "mark": _TRACK | {"name": str, "status": str},
    "collect": {"digits": str, "reason": str},
    "candidate": _TRACK | {"candidates": list},
    "mediaReady": _TRACK,
    "inactivity": _TRACK,
    "bridged": _TRACK | {"targetSessionId": str},
    "unbridged": _TRACK | {"targetSessionId": str},
    "hold": _TRACK | {"onHold": bool},
    "mute": _TRACK | {"muted": bool},
    "recording": _TRACK | {"state": str},
    "supervision": _TRACK | {"targetSessionId": str, "state": str, "mode": str},
    "overheard": _TRACK | {"targetSessionId": str, "side": str, "index": int, "text": str, "final": bool},
    "levels": _TRACK | {"targetSessionId": str, "first": int, "second": int},
    "eou": _TRACK | {"completed": bool, "complete": bool, "text": str},
    "tone": _TRACK | {"tone": str, "frequencies": list, "at": int},
    "amd": _TRACK | {"result": str, "reason": str, "at": int, "duration": int},
    "media": _TRACK | {"state": str, "seconds": int},
    "addHistory": _TRACK | {"sender": str, "speaker": str, "text": str},
    "transferRequest": _TRACK | {"referTo": str, "referredBy": str},
    "message": {"body": str, "contentType": str},
    "custom": {"sender": str},
    "stream": _TRACK | {"streamId": str, "status": str},
    "toolCall": _TRACK | {"streamId": str, "toolCallId": str, "name": str, "arguments": dict, "status": str},
    "ack": {"requestId": str},
    "resumed": _TRACK | {"resume": str},
}
"""Fields that each event has, with their types; every event has a timestamp besides."""

OPTIONAL: dict[str, dict[str, type]] = {
    "incoming": {"headers": dict},
    "answer": {"audio": dict, "resume": str, "refer": bool},
    "hangup": _TRACK | {"answerTime": str, "from": dict, "to": dict, "headers": dict},
    "ringing": {"refer": bool},
    "recording": {"file": str, "duration": int},
    "reject": {"refer": bool, "redirectTo": list},
    "silence": {"speechStart": int, "speechDuration": int},
    "asrDelta": {"confidence": float},
    "asrFinal": {"confidence": float, "isFiller": bool, "rejected": bool, "match": str},
    "dtmf": {"durationMs": int, "method": str},
    "trackStart": {"playId": str},
    "trackEnd": {"playId": str, "unheard": int},
    "interruption": {"current": int, "playId": str, "totalDuration": int, "subtitle": str, "unheard": int},
    "resumed": {"unheard": int},
    "error": {"code": int, "requestId": str},
    "mark": {"playId": str},
    "collect": _TRACK,
    "message": _TRACK,
    "custom": _TRACK | {"data": object},
    "stream": {"reason": str},
    "eou": {"probability": float},
    "amd": {"speechStart": int, "text": str},
}
"""Fields that it may have."""

ALLOWED = {
    "dtmf.digit": re.compile("[0-9A-D*#]"),
    "dtmf.method": re.compile("rfc4733|info|inband"),
    "toolCall.status": re.compile("requested|cancelled"),
    "mark.status": re.compile("played|cleared"),
    "collect.reason": re.compile("complete|terminator|timeout|interrupted"),
    "supervision.mode": re.compile("listen|whisper|join|takeOver"),
    "supervision.state": re.compile("started|changed|ended"),
    "overheard.side": re.compile("first|second"),
    "media.state": re.compile("none|resumed"),
    "hangup.startTime": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"),
    "hangup.answerTime": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"),
    "hangup.hangupTime": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"),
}
"""Values of fields that have few."""

EPOCH_FIELDS = ("timestamp", "startTime", "endTime", "speechStart")
SLACK_MS = 300_000


def faults(event: Event) -> list[str]:
    """Return what is wrong with one event, in words; an empty list for a good one."""
    name = event.get("event")
    if name not in REQUIRED:
        return [f"the event {name!r} is unknown"]
    required = REQUIRED[name] | {"timestamp": int}
    optional = OPTIONAL.get(name, {}) | {"seq": int}
    found = [f"{name} has no {field}" for field in required if field not in event]
    for field, value in event.items():
        if field == "event":
            continue
        kind = required.get(field) or optional.get(field)
        if kind is None:
            found.append(f"{name} has the unknown field {field}")
        elif not _is(value, kind):
            found.append(f"{name}.{field} is {value!r} and not {kind.__name__}")
        elif not _is_allowed(f"{name}.{field}", value):
            found.append(f"{name}.{field} has the value {value!r}")
    found += [
        f"{name}.{field} is {event[field]} and no time" for field in EPOCH_FIELDS if not _is_now(event, field)
    ]
    return found


def sequence_faults(events: Sequence[Event]) -> list[str]:
    """Return what is wrong with the numbers of a client's events, counted from 1 without a gap.

    Events with audio (``binary``) have numbers of their own.
    """
    numbers = [event["seq"] for event in events if "seq" in event and event["event"] != "binary"]
    wrong = [event["event"] for event in events if "seq" not in event]
    found = [f"no seq on {wrong}"] if wrong else []
    if numbers != list(range(1, len(numbers) + 1)):
        found.append(f"seq runs {numbers}")
    return found


def _is(value: object, kind: type) -> bool:
    if kind is object:
        return value is not None
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def _is_allowed(field: str, value: object) -> bool:
    return field not in ALLOWED or ALLOWED[field].fullmatch(str(value)) is not None


def _is_now(event: Event, field: str) -> bool:
    value = event.get(field)
    return not isinstance(value, int) or abs(value - time.time() * 1000) < SLACK_MS
