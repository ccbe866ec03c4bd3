"""The REST routes ``/api/v1``: rooms, participants, sessions, recordings."""

import functools
import logging
import mimetypes
import time
import uuid
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from softswitch.call.authority import act_of
from softswitch.call.vocabulary.commands import Command, StartStream, StopStream, StreamOption
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.call.vocabulary.values import StreamChannel
from softswitch.dialects.rooms import rest
from softswitch.dialects.rooms.wording import error_code, refusal_message
from softswitch.dialects.rustpbx import parse
from softswitch.dialects.streams import stream_faults
from softswitch.dialects.wording import words
from softswitch.errors import NotNowError, UnavailableError
from softswitch.protocol.instants import rfc3339
from softswitch.room.rejection import RoomReason, RoomRefused
from softswitch.store.store import Recording, SessionRecord
from softswitch.switch.rooms.directory import ParticipantSnapshot, RoomSnapshot
from softswitch.web.auth import IDENTITY, Handler, principal
from softswitch.web.expiry import Lease, stopping
from softswitch.web.keys import RESOURCES, ROOMS
from softswitch.web.route import Route

logger = logging.getLogger(__name__)

PREFIX = "/api/v1"


def refuse(status: int, message: str) -> web.Response:
    """Return the answer to a client without valid credentials or scope."""
    return _failure(status, "INVALID_TOKEN" if status == 401 else "FORBIDDEN", message)


def _failure(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"error": {"code": code, "message": message}}
    return web.json_response(body, status=status, headers=headers)


def _answering_errors(handler: Handler) -> Handler:
    """Return a handler that answers the exceptions of rooms in the form of the rooms API."""

    @functools.wraps(handler)
    async def answering(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except RoomRefused as refused:
            return _failure(refused.code, error_code(refused.reason), refusal_message(refused))
        except CommandRejected as rejected:
            status = rejected.code if 400 < rejected.code < 500 else 422
            code = "FORBIDDEN" if status == 403 else "INVALID_REQUEST"
            return _failure(status, code, words(rejected.rejection))
        except UnavailableError as error:
            logger.warning("rooms cannot be read from the store", extra={"error": str(error)})
            return _failure(503, "NOT_NOW", "the store cannot be read now", {"Retry-After": "5"})
        except NotNowError as error:
            wait = {"Retry-After": str(max(1, round(error.retry_after_s)))}
            return _failure(503, "NOT_NOW", str(error), wait)

    return answering


# --- rooms ------------------------------------------------------------------------------


async def create_room(request: web.Request) -> web.Response:
    """Serve ``POST /rooms``."""
    rooms = request.app[ROOMS]
    body = rest.read_room(await request.read(), rooms.settings.max_participants)
    shown = _room(rooms.create(body, principal(request)))
    del shown["participants_count"]
    return _json(shown, 201)


async def get_room(request: web.Request) -> web.Response:
    """Serve ``GET /rooms/{id}``; the header Softswitch-Topology tells whether the switch mixes the audio."""
    room = request.app[ROOMS].look(request.match_info["id"], principal(request))
    answer = _json(_room(room))
    if room.topology:
        answer.headers["Softswitch-Topology"] = room.topology
    return answer


async def list_rooms(request: web.Request) -> web.Response:
    """Serve ``GET /rooms``, the newest first."""
    limit, offset, status = rest.read_page(dict(request.query))
    rooms, total = request.app[ROOMS].page(limit, offset, status, principal(request))
    data = []
    for room in rooms:
        shown = _room(room)
        del shown["settings"], shown["updated_at"]
        data.append(shown)
    return _json(rest.paged(data, limit, offset, total))


async def update_room(request: web.Request) -> web.Response:
    """Serve ``PATCH /rooms/{id}``."""
    rooms, by = request.app[ROOMS], principal(request)
    data = await request.read()
    room = rooms.find(request.match_info["id"], by)
    now = room.snapshot()
    room.update(rest.read_change(data, now.name, now.settings, rooms.settings.max_participants), by)
    return _json(_room(room.snapshot()))


async def delete_room(request: web.Request) -> web.Response:
    """Serve ``DELETE /rooms/{id}``."""
    request.app[ROOMS].find(request.match_info["id"], principal(request), "change or delete a room").close()
    return web.Response(status=204)


# --- participants -------------------------------------------------------------------------


async def join_room(request: web.Request) -> web.Response:
    """Serve ``POST /rooms/{id}/participants``."""
    body = rest.read_join(await request.read())
    room_id = request.match_info["id"]
    one, _ = request.app[ROOMS].join(room_id, body.agent_id, body.metadata, principal(request))
    shown = {
        "id": one.id,
        "room_id": room_id,
        "agent_id": one.agent,
        "status": one.status,
        "metadata": one.metadata,
        "joined_at": rfc3339(one.joined_ms),
    }
    return _json(shown, 201)


async def list_participants(request: web.Request) -> web.Response:
    """Serve ``GET /rooms/{id}/participants``."""
    people = request.app[ROOMS].participants(request.match_info["id"], principal(request))
    return _json({"data": [_participant(one) for one in people]})


async def leave_room(request: web.Request) -> web.Response:
    """Serve ``DELETE /rooms/{id}/participants/{pid}``."""
    by = principal(request)
    request.app[ROOMS].find(request.match_info["id"], by).remove(request.match_info["pid"], by)
    return web.Response(status=204)


# --- sessions -----------------------------------------------------------------------------


async def get_session(request: web.Request) -> web.Response:
    """Serve ``GET /sessions/{id}``."""
    session, now_ms = await request.app[ROOMS].session(request.match_info["id"], principal(request))
    return _json(_session(session, now_ms))


async def list_sessions(request: web.Request) -> web.Response:
    """Serve ``GET /sessions``, the newest first; ``room_id`` narrows it to a room. An addition to the API."""
    limit, offset, _ = rest.read_page({k: v for k, v in request.query.items() if k != "status"})
    sessions, total = await request.app[ROOMS].sessions(
        request.query.get("room_id", ""), limit, offset, principal(request)
    )
    now_ms = int(time.time() * 1000)
    data = [_session(each, now_ms) for each in sessions]
    return _json(rest.paged(data, limit, offset, total))


# --- speech, files and streams in a mixed room (an addition to the API) ---------------------


async def post_command(request: web.Request) -> web.Response:
    """Serve ``POST /rooms/{id}/commands``: tts, play, interrupt, pause, resume of ``/call``, in the room."""
    data = await request.read()
    rest.check_json(data)
    await _order(request, parse(data))
    return _json({"success": True})


async def start_stream(request: web.Request) -> web.Response:
    """Serve ``POST /rooms/{id}/streams``: an outside service hears the room, and may speak in it."""
    body = rest.read_stream(await request.read())
    stream = str(uuid.uuid4())
    channel: StreamChannel = "inbound" if body.two_way else "both"
    option = StreamOption(
        url=body.url,
        two_way=body.two_way,
        channel=channel,
        protocol=body.protocol,
        encoding=body.encoding,
        sample_rate=body.sample_rate,
        parameters=body.parameters,
        headers=body.headers,
        session=body.session,
    )
    for field, fault in stream_faults(option).items():
        raise RoomRefused(RoomReason.INVALID, f"{field}: {fault}")
    await _order(request, StartStream(stream=stream, option=option))
    await _lease(request, stream)
    return _json({"id": stream, "room_id": request.match_info["id"]}, 201)


async def stop_stream(request: web.Request) -> web.Response:
    """Serve ``DELETE /rooms/{id}/streams/{sid}``."""
    await _order(request, StopStream(stream=request.match_info["sid"]))
    return web.Response(status=204)


async def _order(request: web.Request, command: Command) -> None:
    """Carry out a command in the call inside a room."""
    by = principal(request)
    await request.app[ROOMS].find(request.match_info["id"], by, act_of(command)).command(command, by)


async def _lease(request: web.Request, stream: str) -> None:
    """End a stream of a room with the token that started it."""
    identity = request[IDENTITY]
    if identity.expires is None:
        return
    room = request.app[ROOMS].find(request.match_info["id"], identity.principal)
    await room.subscribe(Lease(identity, stopping(identity, room, stream)))


# --- recordings (an addition to the API) ----------------------------------------------------


async def list_recordings(request: web.Request) -> web.Response:
    """Serve ``GET /rooms/{id}/recordings``, the newest first."""
    found = await request.app[ROOMS].recordings(request.match_info["id"], principal(request))
    return _json({"data": [_recording(each) for each in found]})


async def get_recording(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /rooms/{id}/recordings/{name}``."""
    name = await _recorded(request)
    path = await request.app[RESOURCES].store.recording_path(name)
    if path is None:
        raise RoomRefused(RoomReason.UNKNOWN_RECORDING)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return web.FileResponse(path, headers={"Content-Type": kind})


async def delete_recording(request: web.Request) -> web.Response:
    """Serve ``DELETE /rooms/{id}/recordings/{name}``."""
    if not await request.app[RESOURCES].store.delete_recording(await _recorded(request)):
        raise RoomRefused(RoomReason.UNKNOWN_RECORDING)
    return web.Response(status=204)


async def _recorded(request: web.Request) -> str:
    """Return the name of the recording that a request names; raises RoomRefused where its room has it not."""
    name = request.match_info["name"]
    found = await request.app[ROOMS].recordings(request.match_info["id"], principal(request))
    if all(each.name != name for each in found):
        raise RoomRefused(RoomReason.UNKNOWN_RECORDING)
    return name


# --- answers ------------------------------------------------------------------------------


def _room(room: RoomSnapshot) -> dict[str, object]:
    return {
        "id": room.id,
        "name": room.name,
        "status": room.status,
        "participants_count": room.participants,
        "settings": room.settings,
        "created_at": rfc3339(room.created_ms),
        "updated_at": rfc3339(room.updated_ms),
    }


def _recording(recording: Recording) -> dict[str, object]:
    return {
        "name": recording.name,
        "room_id": recording.call_id,
        "size": recording.size,
        "duration_ms": recording.duration_ms,
        "created_at": rfc3339(recording.created_at),
        "container": recording.container,
    }


def _participant(one: ParticipantSnapshot) -> dict[str, object]:
    return {
        "id": one.id,
        "agent_id": one.agent,
        "status": one.status,
        "display_name": one.display_name,
        "joined_at": rfc3339(one.joined_ms),
    }


def _session(session: SessionRecord, now_ms: int) -> dict[str, object]:
    return rest.session_shown(
        session=session.id,
        room=session.room_id,
        participant=session.participant_id,
        start_ms=session.start_time,
        end_ms=session.end_time,
        now_ms=now_ms,
        status=session.status,
        stats=msgspec.Raw(session.stats_json.encode()),
    )


def _json(body: object, status: int = 200) -> web.Response:
    return web.json_response(body=msgspec.json.encode(body), status=status)


_TABLE: tuple[tuple[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]]], ...] = (
    ("POST", "/rooms", create_room),
    ("GET", "/rooms", list_rooms),
    ("GET", "/rooms/{id}", get_room),
    ("PATCH", "/rooms/{id}", update_room),
    ("DELETE", "/rooms/{id}", delete_room),
    ("POST", "/rooms/{id}/participants", join_room),
    ("GET", "/rooms/{id}/participants", list_participants),
    ("DELETE", "/rooms/{id}/participants/{pid}", leave_room),
    ("POST", "/rooms/{id}/commands", post_command),
    ("POST", "/rooms/{id}/streams", start_stream),
    ("DELETE", "/rooms/{id}/streams/{sid}", stop_stream),
    ("GET", "/rooms/{id}/recordings", list_recordings),
    ("GET", "/rooms/{id}/recordings/{name}", get_recording),
    ("DELETE", "/rooms/{id}/recordings/{name}", delete_recording),
    ("GET", "/sessions", list_sessions),
    ("GET", "/sessions/{id}", get_session),
)

ROUTES = tuple(
    Route(method, PREFIX + path, _answering_errors(handler), "rooms", refuse)
    for method, path, handler in _TABLE
)
