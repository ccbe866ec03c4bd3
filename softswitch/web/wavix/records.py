"""Call control: records of ended calls and their recordings; a client sees those of its account."""

import mimetypes
from collections.abc import Mapping

import msgspec
from aiohttp import web

from softswitch.dialects.wavix import records
from softswitch.dialects.wavix.fields import InvalidError
from softswitch.dialects.wavix.rates import Rates
from softswitch.dialects.wavix.requests import Retranscribe
from softswitch.store.queries import CallQuery, RecordingQuery
from softswitch.store.store import CallRecord, Recording
from softswitch.store.transcript import decode
from softswitch.web.auth import principal
from softswitch.web.keys import CALLS, RESOURCES, SETTINGS, TRANSCRIPTS
from softswitch.web.wavix.common import NotAnsweredError, done, fields, read, shown

RECORDINGS = "/v1/recordings"
CDRS = "/v1/cdrs"


async def list_cdrs(request: web.Request) -> web.Response:
    """Serve ``GET /v1/cdrs``."""
    return shown(await _cdrs(request, request.query))


async def search_cdrs(request: web.Request) -> web.Response:
    """Serve ``POST /v1/cdrs``: the same, with the parameters in the body."""
    return shown(await _cdrs(request, await fields(request)))


async def export_cdrs(request: web.Request) -> web.Response:
    """Serve ``GET /v1/cdrs/all``: one JSON text with a record in each of its lines."""
    found = await _cdrs(request, request.query)
    lines = "\n".join(msgspec.json.encode(item).decode() for item in found.items)
    return web.Response(body=msgspec.json.encode(lines), content_type="application/json")


async def get_cdr(request: web.Request) -> web.Response:
    """Serve ``GET /v1/cdrs/{id}``."""
    record = await _call(request, request.match_info["id"])
    if record is None or record.ended_at is None:
        raise web.HTTPNotFound(reason="Record not found")
    wanted = request.query.get("show_transcription", "").lower() in ("true", "1")
    transcription = records.reference(record, _url(request, CDRS)) if wanted else None
    return shown(records.cdr(record, record.ended_at, _rates(request), _url(request), transcription))


async def get_transcript(request: web.Request) -> web.Response:
    """Serve ``GET /v1/cdrs/{id}/transcription`` and ``/transcriptions``."""
    record = await _call(request, request.match_info["id"])
    transcript = None if record is None else decode(record.transcript_json)
    if record is None or transcript is None:
        being_made = record is not None and request.app[TRANSCRIPTS].waits(record.id)
        raise web.HTTPNotFound(
            reason="Transcription is being made" if being_made else "Transcription not found"
        )
    return shown(records.shown_transcript(record, transcript))


async def retranscribe(request: web.Request) -> web.Response:
    """Serve ``PUT /v1/cdrs/{id}/retranscribe``: returns before the transcript is made."""
    body = await read(request, Retranscribe)
    if body.webhook_url is not None and not body.webhook_url.startswith(("http://", "https://")):
        raise InvalidError({"webhook_url": "Must be a valid URL (http:// or https://)"})
    record = await _call(request, request.match_info["id"])
    if record is None or record.ended_at is None:
        raise web.HTTPNotFound(reason="Record not found")
    if not record.recording or await request.app[RESOURCES].store.recording_path(record.recording) is None:
        raise web.HTTPNotFound(reason="Recording not found")
    if request.app[TRANSCRIPTS].waits(record.id):
        raise NotAnsweredError("Transcription is being made")
    request.app[TRANSCRIPTS].add(record, body.language, body.webhook_url or "")
    return done()


async def list_recordings(request: web.Request) -> web.Response:
    """Serve ``GET /v1/recordings``."""
    store = request.app[RESOURCES].store
    query, page = records.read_recordings_query(request.query, _account(request))
    found, total = await store.records.find_recordings(query, page.size, page.offset)
    listed = [await _shown(request, recording) for recording in found]
    return shown(records.ManyRecordings(recordings=listed, pagination=page.of(total)))


async def get_recording(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /v1/recordings/{id}``: by a number its description, by the id of a call its file."""
    wanted = request.match_info["id"]
    if wanted.isdecimal() and (recording := await _numbered(request, int(wanted))) is not None:
        return shown(await _shown(request, recording))
    query = RecordingQuery(account=_account(request), call_id=wanted)
    found, _ = await request.app[RESOURCES].store.records.find_recordings(query, 1, 0)
    if not found:
        raise web.HTTPNotFound(reason="Recording not found")
    raise web.HTTPFound(f"{RECORDINGS}/{records.recording_id(found[0])}/file")


async def get_file(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /v1/recordings/{id}/file``."""
    recording = await _found(request)
    path = await request.app[RESOURCES].store.recording_path(recording.name)
    if path is None:
        raise web.HTTPNotFound(reason="Recording not found")
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    disposition = f'attachment; filename="{path.name}"'
    return web.FileResponse(path, headers={"Content-Type": kind, "Content-Disposition": disposition})


async def delete_recording(request: web.Request) -> web.Response:
    """Serve ``DELETE /v1/recordings/{id}``."""
    recording = await _found(request)
    if not await request.app[RESOURCES].store.delete_recording(recording.name):
        raise web.HTTPNotFound(reason="Recording not found")
    return done()


# --- inside -------------------------------------------------------------------------------


async def _cdrs(request: web.Request, given: Mapping[str, object]) -> records.ManyCdrs:
    query, page = records.read_calls_query(given, _account(request))
    found, total = await request.app[RESOURCES].store.records.find_calls(query, page.size, page.offset)
    rates, url, cdrs = _rates(request), _url(request), _url(request, CDRS)
    items = [
        records.cdr(one, one.ended_at, rates, url, records.reference(one, cdrs))
        for one in found
        if one.ended_at is not None
    ]
    return records.ManyCdrs(items=items, pagination=page.of(total))


async def _call(request: web.Request, call_id: str) -> CallRecord | None:
    """Return the record of an ended call; that of one that has just ended need not be stored yet."""
    unwritten = request.app[CALLS].ended(call_id, principal(request))
    if unwritten is not None:
        return unwritten
    query = CallQuery(account=_account(request), call_id=call_id)
    found, _ = await request.app[RESOURCES].store.records.find_calls(query, 1, 0)
    return found[0] if found else None


async def _found(request: web.Request) -> Recording:
    """Return the recording whose number a request names; raises HTTPNotFound."""
    wanted = request.match_info["id"]
    recording = await _numbered(request, int(wanted)) if wanted.isdecimal() else None
    if recording is None:
        raise web.HTTPNotFound(reason="Recording not found")
    return recording


async def _numbered(request: web.Request, number: int) -> Recording | None:
    created = records.created_of(number)
    if created >= 2**53:
        return None
    query = RecordingQuery(account=_account(request), since_ms=created, until_ms=created + 1)
    found, _ = await request.app[RESOURCES].store.records.find_recordings(query, records.MOST_PER_PAGE, 0)
    return next((each for each in found if records.recording_id(each) == number), None)


async def _shown(request: web.Request, recording: Recording) -> records.OneRecording:
    call = await request.app[RESOURCES].store.records.call(recording.call_id)
    return records.shown_recording(recording, call, _url(request))


def _account(request: web.Request) -> str | None:
    by = principal(request)
    return None if by.administers else by.account


def _rates(request: web.Request) -> Rates:
    return Rates(request.app[SETTINGS].wavix.per_minute)


def _url(request: web.Request, path: str = RECORDINGS) -> str:
    return str(request.url.origin().with_path(path))
