"""The routes of supervision: live calls that a client may supervise, and telephones that supervise them."""

from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from softswitch.call.vocabulary.commands import CallOption, Command, Invite, Supervise, VadOption
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.call.vocabulary.values import AgentSide, SuperviseMode
from softswitch.dialects.wording import words
from softswitch.protocol.instants import rfc3339
from softswitch.switch.directory import CallHandle, CallSnapshot
from softswitch.switch.origin import Origin, Source
from softswitch.switch.supervision.supervisions import ACT, Supervisor
from softswitch.web.auth import principal
from softswitch.web.keys import CALLS
from softswitch.web.route import Route

_MODES: dict[str, SuperviseMode] = {
    "listen": "listen",
    "whisper": "whisper",
    "join": "join",
    "takeOver": "take_over",
}
"""Modes by their names on the wire."""


class Order(msgspec.Struct, frozen=True, rename="camel"):
    """Body of ``POST /supervise/{id}``."""

    mode: Literal["listen", "whisper", "join", "takeOver"] = "listen"
    callee: Annotated[str, Meta(max_length=256)] = ""
    """Telephone that is called for the supervisor."""
    caller: Annotated[str, Meta(max_length=256)] = ""
    """Number that this telephone is shown."""
    supervisor: Annotated[str, Meta(max_length=128)] = ""
    """Id of the supervisor's call, where there is one."""
    side: AgentSide | None = None
    transcript: bool | None = None


async def list_supervised(request: web.Request) -> web.Response:
    """Serve ``GET /supervise``: the answered calls that the client may supervise, and who does so."""
    found = await request.app[CALLS].supervised(principal(request))
    return web.json_response({"calls": [_shown(call, side, by) for call, side, by in found]})


async def supervise(request: web.Request) -> web.Response:
    """Serve ``POST /supervise/{id}``: have a telephone or a call supervise a live call, or change how."""
    try:
        order = msgspec.json.decode(await request.read() or b"{}", type=Order)
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    if bool(order.callee) == bool(order.supervisor):
        raise web.HTTPBadRequest(text="one of callee and supervisor is required")
    calls, by, wanted = request.app[CALLS], principal(request), request.match_info["id"]
    command = Supervise(
        mode=_MODES[order.mode], other=wanted, side=order.side, transcript=order.transcript,
        auto_hangup=bool(order.callee),
    )  # fmt: skip
    if order.supervisor:
        handle = await _found(request, order.supervisor)
        # What belongs to the call, as whether it ends with the supervision, stays as it is.
        return await _carried(handle, command, request)
    if await calls.find(wanted, by, ACT) is None:
        raise web.HTTPNotFound(text="no call with this id")
    calls.admit()
    origin = Origin(by.account, request.remote or "", Source("outbound"), by)
    handle, _ = await calls.open("sip", origin)
    option = CallOption(caller=order.caller, callee=order.callee, vad=VadOption(off=True))
    answer = await _carried(handle, Invite(option=option), request)
    if answer.status == 200:
        answer = await _carried(handle, command, request)
    if answer.status != 200:
        handle.end("rejected", "system")
    return answer


async def end_supervision(request: web.Request) -> web.Response:
    """Serve ``DELETE /supervise/{id}/{supervisor}``: end a supervision."""
    handle = await _found(request, request.match_info["supervisor"])
    return await _carried(handle, Supervise(mode="stop"), request)


async def _found(request: web.Request, call_id: str) -> CallHandle:
    handle = await request.app[CALLS].find(call_id, principal(request), ACT)
    if handle is None:
        raise web.HTTPNotFound(text="supervisor: no call with this id")
    return handle


async def _carried(handle: CallHandle, command: Command, request: web.Request) -> web.Response:
    try:
        await handle.command(command, principal(request))
    except CommandRejected as rejected:
        status = rejected.code if 400 <= rejected.code < 500 else 400
        body = {"error": {"code": rejected.code, "message": words(rejected.rejection)}}
        return web.json_response(body, status=status)
    return web.json_response({"id": handle.id})


def _shown(call: CallSnapshot, side: AgentSide, supervisors: tuple[Supervisor, ...]) -> dict[str, object]:
    return {
        "id": call.id,
        "type": call.kind,
        "createdAt": rfc3339(call.created_ms),
        "caller": call.caller,
        "callee": call.callee,
        "durationMs": call.duration_ms,
        "direction": call.source.direction,
        "trunk": call.source.trunk,
        "user": call.source.user,
        "account": call.account,
        "side": side,
        "supervisors": [
            {
                "id": one.id,
                "mode": next(name for name, mode in _MODES.items() if mode == one.mode),
                "account": one.account,
                "since": rfc3339(one.began_ms),
            }
            for one in supervisors
        ],
    }


ROUTES = (
    Route("GET", "/supervise", list_supervised, "supervise"),
    Route("POST", "/supervise/{id}", supervise, "supervise"),
    Route("DELETE", "/supervise/{id}/{supervisor}", end_supervision, "supervise"),
)
