"""What the handlers of the call control share: the client, the call of a request, its body."""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from aiohttp import web

from softswitch.call.authority import Target, denial
from softswitch.call.state import State
from softswitch.dialects.wavix.call_status import live_status, past_status
from softswitch.dialects.wavix.fields import Body, read_body, read_object
from softswitch.dialects.wavix.responses import Call, Done, body
from softswitch.errors import RejectedError
from softswitch.switch.directory import CallHandle
from softswitch.switch.origin import Origin, Source
from softswitch.web.auth import principal
from softswitch.web.keys import CALLS, RESOURCES


class NotAnsweredError(RejectedError):
    """A call is not in the state that a request needs."""

    code = 422


def shown(answer: msgspec.Struct | Sequence[msgspec.Struct], status: int = 200) -> web.Response:
    """Return a struct, or several, as a JSON response."""
    return web.Response(body=body(answer), status=status, content_type="application/json")


def done() -> web.Response:
    """Return the response of a request that needs no other body."""
    return shown(Done())


def new_id() -> str:
    """Return a new random id."""
    return str(uuid.uuid4())


async def fields(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of the body of a request; raises InvalidError."""
    return read_object(await request.read())


async def read(request: web.Request, kind: type[Body]) -> Body:
    """Return the body of a request as a struct; raises InvalidError."""
    return read_body(await fields(request), kind)


def origin(request: web.Request, direction: str = "inbound") -> Origin:
    """Return the client of a request as the origin of a call."""
    by = principal(request)
    return Origin(by.account, request.remote or "", Source(direction), by)


def users(request: web.Request) -> Collection[str]:
    """Return the names of the users of the settings."""
    return [user.name for user in request.app[RESOURCES].settings.user]


async def found(request: web.Request) -> CallHandle:
    """Return the live call that a request names; raises HTTPNotFound."""
    call = await request.app[CALLS].find(request.match_info["id"], principal(request))
    if call is None:
        raise web.HTTPNotFound(reason="Call not found")
    return call


async def answered(request: web.Request) -> CallHandle:
    """Return the answered call that a request names.

    Raises:
        HTTPNotFound: There is no such call.
        NotAnsweredError: The call is not answered, or has ended.
    """
    call = await found(request)
    if (await call.snapshot()).state is not State.UP:
        raise NotAnsweredError("Call is not answered")
    return call


async def call_of(call: CallHandle) -> Call:
    """Return a live call as its call object."""
    return live_status(await call.snapshot()).call()


async def past_call(request: web.Request) -> Call | None:
    """Return the ended call that a request names, from its record; None where there is no such record."""
    wanted = request.match_info["id"]
    record = request.app[CALLS].ended(wanted, principal(request))
    if record is None:
        record = await request.app[RESOURCES].store.records.call(wanted)
    if record is None or record.ended_at is None:
        return None
    if denial(principal(request), "see a call", Target(record.account)) is not None:
        return None
    return past_status(record, record.ended_at).call()
