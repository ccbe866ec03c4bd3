"""Health, metrics, call records, recordings and dumps."""

import contextlib
import json
import mimetypes

import msgspec
from aiohttp import web

from softswitch.metrics import CONTENT_TYPE
from softswitch.protocol.instants import rfc3339
from softswitch.store.call_parts import QUALITY, SIP
from softswitch.store.call_parts import decode as decode_part
from softswitch.store.quality import LegQuality
from softswitch.store.queries import CallQuery
from softswitch.store.store import CallRecord, Recording, Store
from softswitch.store.transcript import decode
from softswitch.web.call_query import csv_head, csv_rows, cursor_of, read_call_query
from softswitch.web.gathering import metrics_of_all
from softswitch.web.keys import CALLS, CLUSTER, DRAIN, READINESS, RESOURCES, SUPERVISOR

MAX_PAGE = 200
MAX_ROWS = 100_000
"""Most records in one CSV file."""


async def alive(request: web.Request) -> web.Response:
    """Serve ``GET /healthz``: the process answers."""
    return web.json_response({"status": "alive"})


async def ready(request: web.Request) -> web.Response:
    """Serve ``GET /readyz``: whether new calls should come here, and if not, why."""
    readiness = request.app[READINESS]
    faults, warnings = readiness.faults(), readiness.warnings()
    said = {"warnings": warnings} if warnings else {}
    if faults:
        body = {"status": "not ready", "faults": faults, **said}
        return web.json_response(body, status=503, headers={"Retry-After": "5"})
    return web.json_response({"status": "ready", **said})


async def metrics(request: web.Request) -> web.Response:
    """Serve ``GET /metrics`` in the text format of Prometheus."""
    rendered = await metrics_of_all(request, request.app[RESOURCES].metrics.render())
    return web.Response(body=rendered, headers={"Content-Type": CONTENT_TYPE})


async def drain(request: web.Request) -> web.Response:
    """Serve ``POST /admin/drain``: take no new calls, and end when the running ones have."""
    request.app[DRAIN]()
    return web.json_response({"draining": True, "calls": len(request.app[CALLS])}, status=202)


async def restart(request: web.Request) -> web.Response:
    """Serve ``POST /admin/restart``: replace the workers one after the other; no call is cut."""
    supervisor = request.app[SUPERVISOR]
    if supervisor is None:
        raise web.HTTPConflict(text="there is one process only: [server] workers")
    supervisor.restart_all()
    return web.json_response({"restarting": True}, status=202)


# --- call records ---------------------------------------------------------------------


async def list_records(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /calls``: records of calls, newest first, by their filters; also as CSV."""
    store = request.app[RESOURCES].store
    query = read_call_query(request.query)
    if request.query.get("format", "json") == "csv":
        return await _send_csv(request, query)
    limit, offset = _page(request)
    if offset:
        records, _ = await store.records.find_calls(query, limit, offset)
    else:
        records = await store.records.list_calls(query, limit)
    more = {"cursor": cursor_of(records[-1])} if records and len(records) == limit else {}
    return web.json_response({"calls": [_record(record) for record in records], **more})


async def _send_csv(request: web.Request, query: CallQuery) -> web.StreamResponse:
    """Send the records as CSV (RFC 4180), at most `MAX_ROWS`, a page of the database after the other."""
    headers = {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": 'attachment; filename="calls.csv"',
    }
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    await response.write(csv_head())
    rows = 0
    while rows < MAX_ROWS:
        records = await request.app[RESOURCES].store.records.list_calls(query, MAX_PAGE)
        if not records:
            break
        await response.write(csv_rows(records))
        rows += len(records)
        query = msgspec.structs.replace(query, before=(records[-1].created_at, records[-1].id))
    await response.write_eof()
    return response


async def get_record(request: web.Request) -> web.Response:
    """Serve ``GET /calls/{id}``."""
    store, call_id = request.app[RESOURCES].store, request.match_info["id"]
    await request.app[CALLS].parts_stored(call_id)
    record = await store.records.call(call_id)
    if record is None or record.ended_at is None:
        raise web.HTTPNotFound(text="no record of a call with this id")
    shown = {
        **_record(record),
        "transcript": decode(record.transcript_json),
        "sip": await store.records.part(call_id, SIP) is not None,
        "quality": await _quality(store, record),
    }
    recordings = await store.records.recordings_of(call_id, record.account) if record.recording else []
    for recording in recordings:
        if recording.name == record.recording:
            shown["recordingAt"] = rfc3339(recording.created_at)
    if await store.dump_path(call_id) is not None:
        shown["dump"] = True
    elif (cluster := request.app[CLUSTER]) is None or not await cluster.peers.machines():
        shown["dump"] = False  # Else another machine may have it.
    return web.json_response(body=msgspec.json.encode(shown))


async def _quality(store: Store, record: CallRecord) -> list[LegQuality]:
    """Return the quality of the legs of a call over time; empty where none was measured."""
    part = await store.records.part(record.id, QUALITY)
    if part is None or part.created_at != record.created_at:
        return []
    return decode_part(part.body, list[LegQuality]) or []


# --- recordings -----------------------------------------------------------------------


async def list_recordings(request: web.Request) -> web.Response:
    """Serve ``GET /recordings``: newest first."""
    store = request.app[RESOURCES].store
    recordings = await store.records.recordings(*_page(request))
    return web.json_response({"recordings": [_recording(recording) for recording in recordings]})


async def get_recording(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /recordings/{name}``."""
    path = await request.app[RESOURCES].store.recording_path(request.match_info["name"])
    if path is None:
        raise web.HTTPNotFound(text="no recording of this name")
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    disposition = "attachment" if "download" in request.query else "inline"
    return web.FileResponse(
        path, headers={"Content-Type": kind, "Content-Disposition": f'{disposition}; filename="{path.name}"'}
    )


async def delete_recording(request: web.Request) -> web.Response:
    """Serve ``DELETE /recordings/{name}``."""
    if not await request.app[RESOURCES].store.delete_recording(request.match_info["name"]):
        raise web.HTTPNotFound(text="no recording of this name")
    return web.json_response({"deleted": True})


# --- dumps ----------------------------------------------------------------------------


async def list_dumps(request: web.Request) -> web.Response:
    """Serve ``GET /dumps``: newest first."""
    dumps = await request.app[RESOURCES].store.dumps(*_page(request))
    shown = [
        {"callId": dump.call_id, "size": dump.size, "modifiedAt": rfc3339(dump.modified_at)} for dump in dumps
    ]
    return web.json_response({"dumps": shown})


async def get_dump(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /dumps/{id}``: JSON lines."""
    path = await request.app[RESOURCES].store.dump_path(request.match_info["id"])
    if path is None:
        raise web.HTTPNotFound(text="no dump of this call")
    return web.FileResponse(path, headers={"Content-Type": "application/x-ndjson"})


async def delete_dump(request: web.Request) -> web.Response:
    """Serve ``DELETE /dumps/{id}``."""
    if not await request.app[RESOURCES].store.delete_dump(request.match_info["id"]):
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
        "tag": record.tag,
        "account": record.account,
        "code": record.code,
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
        **({"upload": recording.upload, "uploadUrl": recording.upload_url} if recording.upload else {}),
    }
