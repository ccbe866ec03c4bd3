"""Health, metrics, and what is kept: call records, recordings, dumps."""

import contextlib
import json
import mimetypes

from aiohttp import web

from softswitch.dialects.instants import rfc3339
from softswitch.metrics import CONTENT_TYPE
from softswitch.store.store import CallRecord, Recording
from softswitch.web.keys import DRAIN, READINESS, SWITCH

MAX_PAGE = 200


async def alive(request: web.Request) -> web.Response:
    """Serve ``GET /healthz``: the process answers."""
    return web.json_response({"status": "alive"})


async def ready(request: web.Request) -> web.Response:
    """Serve ``GET /readyz``: whether new calls should come here, and if not, why."""
    faults = request.app[READINESS].faults()
    if faults:
        body = {"status": "not ready", "faults": faults}
        return web.json_response(body, status=503, headers={"Retry-After": "5"})
    return web.json_response({"status": "ready"})


async def metrics(request: web.Request) -> web.Response:
    """Serve ``GET /metrics`` in the text format of Prometheus."""
    rendered = request.app[SWITCH].resources.metrics.render()
    return web.Response(body=rendered, headers={"Content-Type": CONTENT_TYPE})


async def drain(request: web.Request) -> web.Response:
    """Serve ``POST /admin/drain``: take no new calls, and end when the running ones have."""
    request.app[DRAIN]()
    return web.json_response({"draining": True, "calls": len(request.app[SWITCH])}, status=202)


# --- call records ---------------------------------------------------------------------


async def list_records(request: web.Request) -> web.Response:
    """Serve ``GET /calls``: records of calls, newest first."""
    store = request.app[SWITCH].resources.store
    records = await store.calls(*_page(request))
    return web.json_response({"calls": [_record(record) for record in records]})


async def get_record(request: web.Request) -> web.Response:
    """Serve ``GET /calls/{id}``."""
    record = await request.app[SWITCH].resources.store.call(request.match_info["id"])
    if record is None:
        raise web.HTTPNotFound(text="no record of a call with this id")
    return web.json_response(_record(record))


# --- recordings -----------------------------------------------------------------------


async def list_recordings(request: web.Request) -> web.Response:
    """Serve ``GET /recordings``: newest first."""
    store = request.app[SWITCH].resources.store
    recordings = await store.recordings(*_page(request))
    return web.json_response({"recordings": [_recording(recording) for recording in recordings]})


async def get_recording(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /recordings/{name}``."""
    path = await request.app[SWITCH].resources.store.recording_path(request.match_info["name"])
    if path is None:
        raise web.HTTPNotFound(text="no recording of this name")
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    disposition = "attachment" if "download" in request.query else "inline"
    return web.FileResponse(
        path, headers={"Content-Type": kind, "Content-Disposition": f'{disposition}; filename="{path.name}"'}
    )


async def delete_recording(request: web.Request) -> web.Response:
    """Serve ``DELETE /recordings/{name}``."""
    if not await request.app[SWITCH].resources.store.delete_recording(request.match_info["name"]):
        raise web.HTTPNotFound(text="no recording of this name")
    return web.json_response({"deleted": True})


# --- dumps ----------------------------------------------------------------------------


async def list_dumps(request: web.Request) -> web.Response:
    """Serve ``GET /dumps``: newest first."""
    dumps = await request.app[SWITCH].resources.store.dumps(*_page(request))
    shown = [
        {"callId": dump.call_id, "size": dump.size, "modifiedAt": rfc3339(dump.modified_at)} for dump in dumps
    ]
    return web.json_response({"dumps": shown})


async def get_dump(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /dumps/{id}``: JSON lines."""
    path = await request.app[SWITCH].resources.store.dump_path(request.match_info["id"])
    if path is None:
        raise web.HTTPNotFound(text="no dump of this call")
    return web.FileResponse(path, headers={"Content-Type": "application/x-ndjson"})


async def delete_dump(request: web.Request) -> web.Response:
    """Serve ``DELETE /dumps/{id}``."""
    if not await request.app[SWITCH].resources.store.delete_dump(request.match_info["id"]):
        raise web.HTTPNotFound(text="no dump of this call")
    return web.json_response({"deleted": True})


def _page(request: web.Request) -> tuple[int, int]:
    numbers = []
    for name, default, most in (("limit", 50, MAX_PAGE), ("offset", 0, 10**9)):
        text = request.query.get(name, str(default))
        if not text.isdecimal() or int(text) > most:
            raise web.HTTPBadRequest(text=f"{name} must be a number from 0 to {most}")
        numbers.append(int(text))
    return numbers[0], numbers[1]


def _record(record: CallRecord) -> dict[str, object]:
    shown: dict[str, object] = {
        "id": record.id,
        "type": record.kind,
        "createdAt": rfc3339(record.created_at),
        "caller": record.caller,
        "callee": record.callee,
        "reason": record.reason,
        "initiator": record.initiator,
        "durationMs": record.duration_ms,
        "codec": record.codec,
        "recording": record.recording,
        "direction": record.direction,
        "trunk": record.trunk,
        "user": record.user,
    }
    for name, at in (("answeredAt", record.answered_at), ("endedAt", record.ended_at)):
        if at is not None:
            shown[name] = rfc3339(at)
    for name, text in (("option", record.option_json), ("statistics", record.statistics_json)):
        with contextlib.suppress(ValueError):
            shown[name] = json.loads(text)
    return shown


def _recording(recording: Recording) -> dict[str, object]:
    return {
        "name": recording.name,
        "callId": recording.call_id,
        "size": recording.size,
        "durationMs": recording.duration_ms,
        "createdAt": rfc3339(recording.created_at),
        "container": recording.container,
    }
