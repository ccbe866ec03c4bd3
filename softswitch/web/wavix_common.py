"""What all handlers of the call control share: who asks, for which call, with which body."""

import uuid
from collections.abc import Collection
from typing import Any

import msgspec
from aiohttp import web

from softswitch.call.state import State
from softswitch.dialects.wavix.fields import Body, read_body, read_object
from softswitch.dialects.wavix.responses import Call, Done, body
from softswitch.dialects.wavix.story import Story, past_story
from softswitch.errors import RejectedError
from softswitch.settings import Settings
from softswitch.store.store import CallRecord
from softswitch.switch.conversation import Conversation
from softswitch.switch.switch import Origin
from softswitch.switch.webhooks import concerns
from softswitch.web.auth import IDENTITY, Identity
from softswitch.web.keys import SETTINGS, SWITCH, WEBHOOKS


class NotAnsweredError(RejectedError):
    """Say that a call is not in the state for what is asked."""

    code = 422


def shown(answer: msgspec.Struct, status: int = 200) -> web.Response:
    """Return an answer."""
    return web.Response(body=body(answer), status=status, content_type="application/json")


def done() -> web.Response:
    """Return the answer that something is done."""
    return shown(Done())


def new_id() -> str:
    """Return an id that nobody has."""
    return str(uuid.uuid4())


async def fields(request: web.Request) -> dict[str, Any]:
    """Return the object of a request's body."""
    return read_object(await request.read())


async def read(request: web.Request, kind: type[Body]) -> Body:
    """Return a request's body as a struct."""
    return read_body(await fields(request), kind)


def origin(request: web.Request) -> Origin:
    """Return who asks."""
    return Origin(request[IDENTITY].name, request.remote or "")


def users(request: web.Request) -> Collection[str]:
    """Return the names of those who have a phone here."""
    settings: Settings = request.app[SETTINGS]
    return [user.name for user in settings.user]


def may_see(identity: Identity, conversation: Conversation) -> bool:
    """Tell whether a call is there for somebody: his own, one nobody has taken, any for an administrator."""
    return "admin" in identity.scopes or concerns(identity.name, conversation)


def found(request: web.Request) -> Conversation:
    """Return the live call that a request names; raises HTTPNotFound."""
    conversation = request.app[SWITCH].find(request.match_info["id"])
    if conversation is None or not may_see(request[IDENTITY], conversation):
        raise web.HTTPNotFound(reason="Call not found")
    return conversation


def answered(request: web.Request) -> Conversation:
    """Return the answered call that a request names.

    Raises:
        HTTPNotFound: there is none.
        NotAnsweredError: it is not answered (any more).
    """
    conversation = found(request)
    if conversation.call.state is not State.UP:
        raise NotAnsweredError("Call is not answered")
    return conversation


def call_of(request: web.Request, conversation: Conversation) -> Call:
    """Return a live call as it stands."""
    follower = request.app[WEBHOOKS].follower(conversation.id)
    if follower is None:
        raise web.HTTPNotFound(reason="Call not found")
    follower.refresh()
    return follower.story.call()


async def past_call(request: web.Request) -> Call | None:
    """Return the call that a request names from the records of those that are over."""
    record = await request.app[SWITCH].resources.store.call(request.match_info["id"])
    identity = request[IDENTITY]
    if record is None or record.ended_at is None:
        return None
    if "admin" not in identity.scopes and record.account not in ("", identity.name):
        return None
    return _story(record, record.ended_at).call()


def _story(record: CallRecord, ended_at: int) -> Story:
    return past_story(
        record.id,
        "inbound" if record.direction == "inbound" else "outbound",
        started_ms=record.created_at,
        answered_ms=record.answered_at,
        finished_ms=ended_at,
        caller=record.caller,
        callee=record.callee,
        tag=record.tag,
        reason=record.reason,
        code=record.code,
    )
