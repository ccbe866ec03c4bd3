"""SIP messages and quality of calls: of live ones, and of those of which the store has a record."""

from datetime import UTC, datetime
from typing import TypeVar

import msgspec
from aiohttp import web

from softswitch.call.authority import Target, denial
from softswitch.sip.trace import SipMessage
from softswitch.store.call_parts import QUALITY, SIP, decode
from softswitch.store.quality import LegQuality
from softswitch.web.auth import principal
from softswitch.web.keys import CALLS, RESOURCES
from softswitch.web.route import Route

Part = TypeVar("Part")


async def get_sip(request: web.Request) -> web.Response:
    """Serve ``GET /calls/{id}/sip``: the SIP messages of a call, without secrets; also as text."""
    form = request.query.get("format", "json")
    if form not in ("json", "text"):
        raise web.HTTPBadRequest(text="format must be json or text")
    messages = await _messages(request)
    if form == "json":
        return web.Response(
            body=msgspec.json.encode({"messages": messages}), content_type="application/json", charset="utf-8"
        )
    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in _id(request))
    return web.Response(
        text=as_text(messages),
        headers={"Content-Disposition": f'attachment; filename="{name}.sip.txt"'},
    )


async def get_quality(request: web.Request) -> web.Response:
    """Serve ``GET /calls/{id}/quality``: the quality of a call's legs over time."""
    by, call_id = principal(request), _id(request)
    found = await request.app[CALLS].quality(call_id, by)
    if found is None:
        found = await _stored(request, QUALITY, list[LegQuality])
    if found is None:
        raise web.HTTPNotFound(text="no call with this id, or none whose media was measured")
    return web.Response(body=msgspec.json.encode({"legs": found}), content_type="application/json")


async def delete_sip(request: web.Request) -> web.Response:
    """Serve ``DELETE /calls/{id}/sip``: delete the SIP messages of a call."""
    await request.app[CALLS].parts_stored(_id(request))
    if not await request.app[RESOURCES].store.delete_part(_id(request), SIP):
        raise web.HTTPNotFound(text="no SIP messages of a call with this id")
    return web.json_response({"deleted": True})


def as_text(messages: list[SipMessage]) -> str:
    """Return messages as a text for people, each below a line that says when and where it went."""
    blocks = []
    for message in messages:
        at = datetime.fromtimestamp(message.at / 1000, UTC).isoformat(timespec="milliseconds")
        way = f"sent to {message.remote}" if message.sent else f"received from {message.remote}"
        blocks.append(f"--- {at} {way} ({message.transport})\n{message.text.replace(chr(13), '').rstrip()}\n")
    return "\n".join(blocks)


async def _messages(request: web.Request) -> list[SipMessage]:
    """Return the messages of the call that a request names; raises HTTPNotFound."""
    by, call_id = principal(request), _id(request)
    live = await request.app[CALLS].sip_messages(call_id, by)
    if live is not None:
        return live
    found = await _stored(request, SIP, list[SipMessage])
    if found is None:
        raise web.HTTPNotFound(text="no SIP messages of a call with this id; they are kept by [sip] trace")
    return found


async def _stored(request: web.Request, name: str, kind: type[Part]) -> Part | None:
    """Return a part of the call that a request names, from the store; None where its client sees none."""
    await request.app[CALLS].parts_stored(_id(request))
    part = await request.app[RESOURCES].store.records.part(_id(request), name)
    if part is None or denial(principal(request), "see a call", Target(part.account)) is not None:
        return None
    return decode(part.body, kind)


def _id(request: web.Request) -> str:
    return request.match_info["id"]


ROUTES = (
    Route("GET", "/calls/{id}/sip", get_sip, "call"),
    Route("GET", "/calls/{id}/quality", get_quality, "call"),
    Route("DELETE", "/calls/{id}/sip", delete_sip, "admin"),
)
