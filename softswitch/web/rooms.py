"""``/api/v1``: rooms, participants, sessions (wire-rooms)."""

import functools
import logging
import time
import uuid
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from softswitch.call.commands import CommandRejected, StartStream, StopStream, StreamOption
from softswitch.call.room_parts import Participant, RoomRefused
from softswitch.dialects.instants import rfc3339
from softswitch.dialects.rooms import rest
from softswitch.dialects.rustpbx import parse
from softswitch.errors import NotNowError, UnavailableError
from softswitch.store.store import RoomRecord, SessionRecord
from softswitch.switch.conversation import Conversation
from softswitch.switch.rooms import settings_of, status_of
from softswitch.switch.running_room import RunningRoom
from softswitch.switch.switch import Origin
from softswitch.web.auth import IDENTITY, Handler
from softswitch.web.keys import ROOMS
from softswitch.web.route import Route

logger = logging.getLogger(__name__)

PREFIX = "/api/v1"


def refuse(status: int, message: str) -> web.Response:
    """Return the answer to somebody who may not."""
    return _failure(status, "INVALID_TOKEN" if status == 401 else "FORBIDDEN", message)


def _failure(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"error": {"code": code, "message": message}}
    return web.json_response(body, status=status, headers=headers)


def _told(handler: Handler) -> Handler:
    """Turn what rooms refuse into answers."""

    @functools.wraps(handler)
    async def telling(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except RoomRefused as refused:
            return _failure(refused.code, refused.room_code, str(refused))
        except CommandRejected as rejected:
            status = rejected.code if 400 < rejected.code < 500 else 422
            return _failure(status, "INVALID_REQUEST", rejected.error)
        except UnavailableError as error:
            logger.warning("the store of rooms fails", extra={"error": str(error)})
            return _failure(503, "NOT_NOW", "what is kept cannot be read now", {"Retry-After": "5"})
        except NotNowError as error:
            wait = {"Retry-After": str(max(1, round(error.retry_after_s)))}
            return _failure(503, "NOT_NOW", str(error), wait)

    return telling


# --- rooms ------------------------------------------------------------------------------


async def create_room(request: web.Request) -> web.Response:
    """Serve ``POST /rooms``."""
    rooms = request.app[ROOMS]
    body = rest.read_room(await request.read(), rooms.settings.max_participants)
    room = rooms.create(body, request[IDENTITY].name)
    shown = _room(room)
    del shown["participants_count"]
    return _json(shown, 201)


async def get_room(request: web.Request) -> web.Response:
    """Serve ``GET /rooms/{id}``; a header tells who carries the audio, which settings may leave open."""
    room = request.app[ROOMS].look(request.match_info["id"])
    answer = _json(_room(room))
    if isinstance(room, RunningRoom):
        answer.headers["Softswitch-Topology"] = "mix" if room.room.mixed else "p2p"
    return answer


async def list_rooms(request: web.Request) -> web.Response:
    """Serve ``GET /rooms``, the newest first."""
    limit, offset, status = rest.read_page(dict(request.query))
    rooms, total = request.app[ROOMS].page(limit, offset, status)
    data = []
    for room in rooms:
        shown = _room(room)
        del shown["settings"], shown["updated_at"]
        data.append(shown)
    return _json(rest.paged(data, limit, offset, total))


async def update_room(request: web.Request) -> web.Response:
    """Serve ``PATCH /rooms/{id}``."""
    rooms = request.app[ROOMS]
    running = rooms.find(request.match_info["id"])
    core = running.room
    body = rest.read_change(await request.read(), core.name, core.settings, rooms.settings.max_participants)
    running.act(lambda room, now: room.update(now, name=body.name, settings=body.settings, wish=body.wish))
    return _json(_room(running))


async def delete_room(request: web.Request) -> web.Response:
    """Serve ``DELETE /rooms/{id}``."""
    running = request.app[ROOMS].find(request.match_info["id"])
    running.act(lambda room, now: room.close("deleted", now))
    return web.Response(status=204)


# --- participants -------------------------------------------------------------------------


async def join_room(request: web.Request) -> web.Response:
    """Serve ``POST /rooms/{id}/participants``."""
    body = rest.read_join(await request.read())
    running, one = request.app[ROOMS].join(
        request.match_info["id"], body.agent_id, body.metadata, request[IDENTITY].name
    )
    shown = {
        "id": one.id,
        "room_id": running.room.id,
        "agent_id": one.agent,
        "status": one.state.value,
        "metadata": one.metadata,
        "joined_at": rfc3339(running.epoch_ms(one.joined)),
    }
    return _json(shown, 201)


async def list_participants(request: web.Request) -> web.Response:
    """Serve ``GET /rooms/{id}/participants``: those who have a seat."""
    room = request.app[ROOMS].look(request.match_info["id"])
    people = list(room.room.people.values()) if isinstance(room, RunningRoom) else []
    return _json({"data": [_participant(room, one) for one in people if isinstance(room, RunningRoom)]})


async def leave_room(request: web.Request) -> web.Response:
    """Serve ``DELETE /rooms/{id}/participants/{pid}``."""
    running = request.app[ROOMS].find(request.match_info["id"])
    running.act(lambda room, now: room.leave(request.match_info["pid"], now))
    return web.Response(status=204)


# --- sessions -----------------------------------------------------------------------------


async def get_session(request: web.Request) -> web.Response:
    """Serve ``GET /sessions/{id}``."""
    session, now_ms = await request.app[ROOMS].session(request.match_info["id"])
    return _json(_session(session, now_ms))


async def list_sessions(request: web.Request) -> web.Response:
    """Serve ``GET /sessions``, of one room where ``room_id`` names it, the newest first (ours)."""
    limit, offset, _ = rest.read_page({k: v for k, v in request.query.items() if k != "status"})
    sessions, total = await request.app[ROOMS].sessions(request.query.get("room_id", ""), limit, offset)
    now_ms = int(time.time() * 1000)
    data = [_session(each, now_ms) for each in sessions]
    return _json(rest.paged(data, limit, offset, total))


# --- what the switch itself does in a mixed room (ours) -------------------------------------


async def post_command(request: web.Request) -> web.Response:
    """Serve ``POST /rooms/{id}/commands``: tts, play, interrupt, pause, resume of ``/call``, in the room."""
    call = await _machine(request)
    call.command(parse(await request.read()))
    return _json({"success": True})


async def start_stream(request: web.Request) -> web.Response:
    """Serve ``POST /rooms/{id}/streams``: a service outside hears the room, and may speak in it."""
    body = rest.read_stream(await request.read())
    call = await _machine(request)
    stream = str(uuid.uuid4())
    call.command(
        StartStream(
            stream=stream,
            option=StreamOption(
                url=body.url, two_way=body.two_way, channel="inbound" if body.two_way else "both"
            ),
        )
    )
    return _json({"id": stream, "room_id": request.match_info["id"]}, 201)


async def stop_stream(request: web.Request) -> web.Response:
    """Serve ``DELETE /rooms/{id}/streams/{sid}``."""
    call = request.app[ROOMS].find(request.match_info["id"]).machine.current
    if call is None:
        raise RoomRefused("INVALID_REQUEST", "no stream of this id")
    call.command(StopStream(stream=request.match_info["sid"]))
    return web.Response(status=204)


async def _machine(request: web.Request) -> Conversation:
    running = request.app[ROOMS].find(request.match_info["id"])
    if not running.room.mixed:
        raise RoomRefused("INVALID_REQUEST", "topology: the switch does not speak in a p2p room")
    return await running.machine.call(Origin(request[IDENTITY].name, request.remote or ""))


# --- answers ------------------------------------------------------------------------------


def _room(room: RunningRoom | RoomRecord) -> dict[str, object]:
    record = room.record() if isinstance(room, RunningRoom) else room
    return {
        "id": record.id,
        "name": record.name,
        "status": status_of(room),
        "participants_count": len(room.room.people) if isinstance(room, RunningRoom) else 0,
        "settings": settings_of(room),
        "created_at": rfc3339(record.created_at),
        "updated_at": rfc3339(record.updated_at),
    }


def _participant(running: RunningRoom, one: Participant) -> dict[str, object]:
    return {
        "id": one.id,
        "agent_id": one.agent,
        "status": one.state.value,
        "display_name": one.display_name,
        "joined_at": rfc3339(running.epoch_ms(one.joined)),
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
    ("GET", "/sessions", list_sessions),
    ("GET", "/sessions/{id}", get_session),
)

ROUTES = tuple(
    Route(method, PREFIX + path, _told(handler), "rooms", refuse) for method, path, handler in _TABLE
)
