"""The routes of voicemail: the messages of a user are listed, played, marked and deleted."""

import msgspec
from aiohttp import web

from softswitch.protocol.instants import rfc3339
from softswitch.switch.voicemail.mailboxes import VoiceMessage
from softswitch.web.auth import principal
from softswitch.web.keys import VOICEMAIL
from softswitch.web.route import Route


class Mark(msgspec.Struct, frozen=True):
    """Body of ``PATCH /voicemail/{user}/{id}``."""

    heard: bool


async def list_all(request: web.Request) -> web.Response:
    """Serve ``GET /voicemail``: the messages of all users that belong to the account, newest first."""
    return await _listed(request, "")


async def list_messages(request: web.Request) -> web.Response:
    """Serve ``GET /voicemail/{user}``: the messages of a user that belong to the account, newest first."""
    return await _listed(request, request.match_info["user"])


async def _listed(request: web.Request, user: str) -> web.Response:
    messages = await request.app[VOICEMAIL].mailboxes.list(user, _account(request))
    return web.json_response(
        {"messages": [_shown(one) for one in messages], "new": sum(not one.heard for one in messages)}
    )


async def get_message(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /voicemail/{user}/{id}``: the sound of a message."""
    mailboxes = request.app[VOICEMAIL].mailboxes
    message = await mailboxes.get(request.match_info["user"], request.match_info["id"], _account(request))
    path = await mailboxes.path(message) if message is not None else None
    if path is None:
        raise web.HTTPNotFound(text="no message with this id")
    return web.FileResponse(path, headers={"Content-Type": "audio/wav"})


async def mark_message(request: web.Request) -> web.Response:
    """Serve ``PATCH /voicemail/{user}/{id}``: note that a message was heard, or not."""
    try:
        body = msgspec.json.decode(await request.read(), type=Mark)
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    voicemail, user = request.app[VOICEMAIL], request.match_info["user"]
    message_id, account = request.match_info["id"], _account(request)
    return await _done(request, await voicemail.mailboxes.mark(user, message_id, account, heard=body.heard))


async def delete_message(request: web.Request) -> web.Response:
    """Serve ``DELETE /voicemail/{user}/{id}``: delete a message."""
    voicemail, user = request.app[VOICEMAIL], request.match_info["user"]
    done = await voicemail.mailboxes.delete(user, request.match_info["id"], _account(request))
    return await _done(request, done)


async def _done(request: web.Request, done: bool) -> web.Response:
    if not done:
        raise web.HTTPNotFound(text="no message with this id")
    await request.app[VOICEMAIL].changed(request.match_info["user"])
    return web.json_response({"success": True})


def _account(request: web.Request) -> str | None:
    """Return the account whose messages the client may have; None: all."""
    by = principal(request)
    return None if by.administers else by.account


def _shown(message: VoiceMessage) -> dict[str, object]:
    return {
        "id": message.id,
        "user": message.user,
        "caller": message.caller,
        "account": message.account,
        "createdAt": rfc3339(message.created_ms),
        "durationMs": message.duration_ms,
        "heard": message.heard,
    }


ROUTES = (
    Route("GET", "/voicemail", list_all, "call"),
    Route("GET", "/voicemail/{user}", list_messages, "call"),
    Route("GET", "/voicemail/{user}/{id}", get_message, "call"),
    Route("PATCH", "/voicemail/{user}/{id}", mark_message, "call"),
    Route("DELETE", "/voicemail/{user}/{id}", delete_message, "call"),
)
