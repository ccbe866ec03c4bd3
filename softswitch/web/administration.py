"""Users, trunks, routes, providers, webhooks and keys, which can be changed while the switch runs."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from softswitch.protocol.instants import rfc3339
from softswitch.store.store import AuditRecord
from softswitch.switch.administration.administration import Author, Shown
from softswitch.switch.administration.kinds import BY_PLURAL, Kind
from softswitch.web.auth import principal
from softswitch.web.keys import ADMINISTRATION, SIP
from softswitch.web.route import Route

MOST_AUDIT = 200
"""Most records of changes in one answer."""


async def list_entries(request: web.Request) -> web.Response:
    """Serve ``GET /admin/KIND``: those of the settings file, then those of the database, with their state."""
    kind = _kind(request)
    states = _states(request, kind)
    shown = request.app[ADMINISTRATION].list(kind)
    return _answer({kind.plural: [_entry(one, states) for one in shown]})


async def get_entry(request: web.Request) -> web.Response:
    """Serve ``GET /admin/KIND/{name}``: one of them."""
    kind = _kind(request)
    shown = request.app[ADMINISTRATION].get(kind, request.match_info["name"])
    return _answer(_entry(shown, _states(request, kind)))


async def create_entry(request: web.Request) -> web.Response:
    """Serve ``POST /admin/KIND``: make one; the answer for a key has the key itself, this once."""
    kind = _kind(request)
    shown, key = await request.app[ADMINISTRATION].create(kind, await _body(request), _author(request))
    secret = {"key": key} if key else {}
    return _answer({**_entry(shown, _states(request, kind)), **secret}, 201)


async def change_entry(request: web.Request) -> web.Response:
    """Serve ``PATCH /admin/KIND/{name}``: change some fields; null sets one back to its default."""
    kind = _kind(request)
    body, name = await _body(request), request.match_info["name"]
    shown = await request.app[ADMINISTRATION].change(kind, name, body, _author(request))
    return _answer(_entry(shown, _states(request, kind)))


async def delete_entry(request: web.Request) -> web.Response:
    """Serve ``DELETE /admin/KIND/{name}``: delete one of the database; calls go on."""
    await request.app[ADMINISTRATION].delete(_kind(request), request.match_info["name"], _author(request))
    return _answer({"deleted": True})


async def export_entries(request: web.Request) -> web.Response:
    """Serve ``GET /admin/export``: all but keys as tables of a settings file, without secrets."""
    return web.Response(text=request.app[ADMINISTRATION].export(), content_type="application/toml")


async def import_entries(request: web.Request) -> web.Response:
    """Serve ``POST /admin/import``: make or change what the tables of a settings file say, all or nothing."""
    return _answer(await request.app[ADMINISTRATION].take(await _text(request), _author(request)))


async def reload_settings(request: web.Request) -> web.Response:
    """Serve ``POST /admin/reload``: read the settings file again; the answer names what needs a restart."""
    return _answer(await request.app[ADMINISTRATION].reload(_author(request)))


async def list_audit(request: web.Request) -> web.Response:
    """Serve ``GET /admin/audit``: who changed what, the newest first."""
    limit = request.query.get("limit", "50")
    if not limit.isdecimal() or not 1 <= int(limit) <= MOST_AUDIT:
        raise web.HTTPBadRequest(text=f"limit must be a number from 1 to {MOST_AUDIT}")
    found = await request.app[ADMINISTRATION].audit(int(limit), _before(request.query.get("cursor", "")))
    more = {"cursor": f"{found[-1].created_at}.{found[-1].id}"} if len(found) == int(limit) else {}
    return _answer({"changes": [_change(record) for record in found], **more})


ROUTES: Sequence[Route] = (
    *(
        Route(method, f"/admin/{plural}{path}", handler, "admin")
        for plural in BY_PLURAL
        for method, path, handler in (
            ("GET", "", list_entries),
            ("POST", "", create_entry),
            ("GET", "/{name}", get_entry),
            ("PATCH", "/{name}", change_entry),
            ("DELETE", "/{name}", delete_entry),
        )
    ),
    Route("GET", "/admin/audit", list_audit, "admin"),
    Route("GET", "/admin/export", export_entries, "admin"),
    Route("POST", "/admin/import", import_entries, "admin"),
    Route("POST", "/admin/reload", reload_settings, "admin"),
)


def _kind(request: web.Request) -> Kind:
    return BY_PLURAL[request.path.split("/")[2]]


def _author(request: web.Request) -> Author:
    return Author(principal(request), request.remote or "")


async def _text(request: web.Request) -> str:
    try:
        return (await request.read()).decode()
    except UnicodeDecodeError:
        raise web.HTTPBadRequest(text="the body must be UTF-8") from None


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await _text(request))
    except (ValueError, RecursionError):
        raise web.HTTPBadRequest(text="the body must be a JSON object") from None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="the body must be a JSON object")
    return body


def _states(request: web.Request, kind: Kind) -> dict[str, dict[str, Any]]:
    """Return the state of trunks and users by name; nothing for other kinds, and where SIP is off."""
    side = request.app.get(SIP)
    if side is None or kind.name not in ("trunk", "user"):
        return {}
    views = side.trunks() if kind.name == "trunk" else side.users()
    return {view["name"]: view for view in map(msgspec.to_builtins, views)}


def _entry(shown: Shown, states: dict[str, dict[str, Any]]) -> dict[str, Any]:
    state = states.get(str(shown.fields.get("name")), {}) if not shown.fault else {}
    answer: dict[str, Any] = {
        **shown.fields,
        **state,
        "source": shown.source,
        "read_only": shown.source == "file",
        "secrets": list(shown.secrets),
    }
    if shown.fault:
        answer["fault"] = shown.fault
    if shown.source == "database":
        answer |= {"created_at": rfc3339(shown.created_at), "updated_at": rfc3339(shown.updated_at)}
    return answer


def _change(record: AuditRecord) -> dict[str, Any]:
    return {
        "at": rfc3339(record.created_at),
        "who": record.who,
        "address": record.address,
        "action": record.action,
        "kind": record.kind,
        "name": record.name,
        "before": json.loads(record.before_json) if record.before_json else None,
        "after": json.loads(record.after_json) if record.after_json else None,
    }


def _before(cursor: str) -> tuple[int, str] | None:
    if not cursor:
        return None
    at, _, name = cursor.partition(".")
    if not at.isdecimal() or len(at) > 15 or not name.isalnum():
        raise web.HTTPBadRequest(text="cursor must be one that an answer had")
    return int(at), name


def _answer(body: object, status: int = 200) -> web.Response:
    return web.json_response(body=msgspec.json.encode(body), status=status)
