"""Bodies of the requests and answers of ``/api/v1``."""

from typing import Any, Literal

import msgspec

from softswitch.dialects.bounds import TooMany, count, too_deep
from softswitch.dialects.rooms.options import MAX_NAME, Faults, merged, read_room_options
from softswitch.dialects.stream_parameters import (
    MAX_PARAMETER_TEXT,
    MAX_PARAMETERS,
    header_fault,
    is_too_much,
)
from softswitch.protocol.instants import rfc3339
from softswitch.room.rejection import RoomReason, RoomRefused
from softswitch.switch.rooms.request import RoomRequest

MAX_BODY = 65536
MAX_PAGE = 100
STATES = ("created", "waiting", "active", "closed")


class JoinBody(msgspec.Struct, frozen=True):
    """A request for a seat."""

    agent_id: str
    metadata: dict[str, Any]


class StreamBody(msgspec.Struct, frozen=True):
    """An outside service that hears a room, and may speak in it."""

    url: str
    two_way: bool
    channel: Literal["outbound", "both"]
    protocol: str = "wavix"
    encoding: str = ""
    sample_rate: int = 0
    parameters: dict[str, str] = {}
    headers: dict[str, str] = {}
    session: dict[str, object] = {}


def read_room(body: bytes, cap: int) -> RoomRequest:
    """Read ``POST /rooms``; raises RoomRefused naming each field that is wrong."""
    given = _object(body)
    faults = Faults()
    name = _name(given, "", faults)
    settings = _settings(given, faults)
    options = read_room_options(settings, cap, faults)
    faults.check()
    return RoomRequest(name, settings, options)


def read_change(body: bytes, name: str, settings: dict[str, Any], cap: int) -> RoomRequest:
    """Read ``PATCH /rooms/{id}`` and merge it into the room's name and settings; raises RoomRefused."""
    given = _object(body)
    faults = Faults()
    name = _name(given, name, faults)
    settings = merged(settings, _settings(given, faults))
    options = read_room_options(settings, cap, faults)
    if too_deep(settings) or len(msgspec.json.encode(settings)) > MAX_BODY:
        faults.add("settings", "too large")
    faults.check()
    return RoomRequest(name, settings, options)


def read_join(body: bytes) -> JoinBody:
    """Read ``POST /rooms/{id}/participants``; raises RoomRefused."""
    given = _object(body)
    faults = Faults()
    agent = read_agent(given.get("agent_id"), "agent_id", faults)
    metadata = read_metadata(given.get("metadata", {}), faults)
    faults.check()
    return JoinBody(agent, metadata)


def read_stream(body: bytes) -> StreamBody:
    """Read ``POST /rooms/{id}/streams``; raises RoomRefused."""
    given = _object(body)
    faults = Faults()
    url, two_way = given.get("stream_url", ""), given.get("stream_type", "twoway")
    if not isinstance(url, str) or not url.startswith(("ws://", "wss://")) or len(url) > 2048:
        faults.add("stream_url", "must be a ws or wss URL")
    if two_way not in ("twoway", "oneway"):
        faults.add("stream_type", "must be twoway or oneway")
    stream = StreamBody(
        url if isinstance(url, str) else "",
        two_way == "twoway",
        "both",
        protocol=_text(given, "protocol", "wavix", faults),
        encoding=_text(given, "stream_encoding", "", faults),
        sample_rate=_rate(given, faults),
        parameters=_parameters(given, faults),
        headers=_headers(given, faults),
        session=_session(given, faults),
    )
    faults.check()
    return stream


def _text(given: dict[str, Any], field: str, default: str, faults: Faults) -> str:
    value = given.get(field, default)
    if isinstance(value, str) and len(value) <= 64:
        return value
    faults.add(field, "must be a text of at most 64 characters")
    return default


def _rate(given: dict[str, Any], faults: Faults) -> int:
    value = given.get("stream_sample_rate", 0)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    faults.add("stream_sample_rate", "must be a number of Hz")
    return 0


def _parameters(given: dict[str, Any], faults: Faults) -> dict[str, str]:
    value = given.get("stream_parameters", {})
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        faults.add("stream_parameters", "must be an object of texts")
        return {}
    if is_too_much(value):
        faults.add("stream_parameters", f"at most {MAX_PARAMETERS} values of {MAX_PARAMETER_TEXT} characters")
    return value


def _headers(given: dict[str, Any], faults: Faults) -> dict[str, str]:
    value = given.get("stream_headers", {})
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        faults.add("stream_headers", "must be an object of texts")
        return {}
    if fault := header_fault(value):
        faults.add("stream_headers", fault)
    return value


def _session(given: dict[str, Any], faults: Faults) -> dict[str, object]:
    value = given.get("stream_session", {})
    if isinstance(value, dict):
        return value
    faults.add("stream_session", "must be an object")
    return {}


def read_agent(value: object, field: str, faults: Faults) -> str:
    """Return an agent's name, or note what is wrong with it."""
    if isinstance(value, str) and 0 < len(value) <= 128 and value.isprintable():
        return value
    faults.add(field, "must be a text of 1 to 128 characters")
    return ""


def read_metadata(value: object, faults: Faults) -> dict[str, Any]:
    """Return metadata, or note what is wrong with it."""
    if not isinstance(value, dict) or too_deep(value):
        faults.add("metadata", "must be an object")
        return {}
    if not isinstance(value.get("display_name", ""), str):
        faults.add("metadata.display_name", "must be a text")
    if len(msgspec.json.encode(value)) > MAX_BODY // 4:
        faults.add("metadata", "too large")
    return value


def read_page(query: dict[str, str]) -> tuple[int, int, str]:
    """Return limit, offset and status of a listing; raises RoomRefused."""
    faults = Faults()
    limit = _number(query, "limit", 10, (1, MAX_PAGE), faults)
    offset = _number(query, "offset", 0, (0, 10**9), faults)
    status = query.get("status", "")
    if status and status not in STATES:
        faults.add("status", f"must be one of {', '.join(STATES)}")
    faults.check()
    return limit, offset, status


# --- answers ----------------------------------------------------------------------------


def session_shown(
    *,
    session: str,
    room: str,
    participant: str,
    start_ms: int,
    end_ms: int | None,
    now_ms: int,
    status: str,
    stats: object,
) -> dict[str, object]:
    """Return a session; while it runs, its duration is that so far and it has no end."""
    shown: dict[str, object] = {
        "id": session,
        "room_id": room,
        "participant_id": participant,
        "start_time": rfc3339(start_ms),
        "duration": round(((now_ms if end_ms is None else end_ms) - start_ms) / 1000),
        "status": status,
        "stats": stats,
    }
    if end_ms is not None:
        shown["end_time"] = rfc3339(end_ms)
    return shown


def paged(data: list[dict[str, object]], limit: int, offset: int, total: int) -> dict[str, object]:
    """Return a page of a listing."""
    return {"data": data, "pagination": {"limit": limit, "offset": offset, "total": total}}


def check_json(body: bytes) -> None:
    """Refuse a body that is no JSON object; raises RoomRefused."""
    _object(body)


def _object(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_BODY:
        raise RoomRefused(RoomReason.INVALID, f"body: more than {MAX_BODY} bytes")
    try:
        given = msgspec.json.decode(body or b"{}")
        count(given)
    except TooMany as error:
        raise RoomRefused(RoomReason.INVALID, f"body: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RoomRefused(RoomReason.MALFORMED, f"body: {error}") from None
    if not isinstance(given, dict):
        raise RoomRefused(RoomReason.INVALID, "body: must be an object")
    return given


def _name(given: dict[str, Any], name: str, faults: Faults) -> str:
    value = given.get("name", name)
    if isinstance(value, str) and len(value) <= MAX_NAME:
        return value
    faults.add("name", f"must be a text of at most {MAX_NAME} characters")
    return name


def _settings(given: dict[str, Any], faults: Faults) -> dict[str, Any]:
    settings = given.get("settings", {})
    if isinstance(settings, dict) and not too_deep(settings):
        return settings
    faults.add("settings", "must be an object")
    return {}


def _number(query: dict[str, str], name: str, default: int, bounds: tuple[int, int], faults: Faults) -> int:
    text = query.get(name, str(default))
    least, most = bounds
    if text.isascii() and text.isdecimal() and len(text) < 12 and least <= int(text) <= most:
        return int(text)
    faults.add(name, f"must be a number from {least} to {most}")
    return default
