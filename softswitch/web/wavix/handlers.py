"""Call control: originate, answer, list, hang up, and the streams of calls."""

import msgspec
from aiohttp import web

from softswitch.call.interfaces import EndpointFactory
from softswitch.call.kind import LegKind
from softswitch.call.state import State
from softswitch.call.vocabulary.commands import Hangup, StartStream, StopStream
from softswitch.dialects.streams import stream_faults
from softswitch.dialects.wavix import requests as q
from softswitch.dialects.wavix import translate
from softswitch.dialects.wavix.call_status import live_status
from softswitch.dialects.wavix.destinations import is_number
from softswitch.dialects.wavix.fields import InvalidError, read_body
from softswitch.dialects.wavix.responses import CallAnswer, ManyCalls, OneCall, StreamStarted
from softswitch.settings import Settings
from softswitch.switch.answering import until_answered
from softswitch.switch.directory import CallHandle
from softswitch.web.auth import IDENTITY, principal
from softswitch.web.expiry import lease_call, lease_stream
from softswitch.web.keys import CALLS, SETTINGS, WEBHOOKS
from softswitch.web.wavix.common import (
    NotAnsweredError,
    answered,
    call_of,
    done,
    fields,
    found,
    new_id,
    origin,
    past_call,
    read,
    shown,
    users,
)

ANSWER_S = 30.0
"""Longest wait for the answer of a call, in seconds."""


async def originate(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call``: call a destination."""
    calls = request.app[CALLS]
    calls.admit()
    body = await read(request, q.Originate)
    command = translate.invite(body, users(request))
    _check_caller(request.app[SETTINGS], body)
    client = origin(request, "outbound")
    party: EndpointFactory | None = None
    if body.to.startswith("room:"):
        party = await calls.room_party(client, body.from_, body.to)
    callback = body.status_callback or body.callback_url or ""
    call, _ = await calls.open("sip", client, party, tag=body.tag, callback=callback)
    await lease_call(request[IDENTITY], call)
    await call.command(command, principal(request))
    request.app[WEBHOOKS].begin(call.id)
    return shown(CallAnswer(**msgspec.structs.asdict(await call_of(call))))


async def answer(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call/{id}/answer``: returns when the call is answered. It may be repeated."""
    call = await found(request)
    given = await fields(request)
    body = read_body(given, q.Answer)
    wanted = translate.stream_of_answer(given)
    stream = None
    if wanted is not None:
        stream = translate.stream_option(wanted, request.app[SETTINGS].wavix.extras, stream_faults)
    before = await call.snapshot()
    if before.state is State.PENDING:
        await request.app[CALLS].take(call.id, origin(request))
        await lease_call(request[IDENTITY], call)
        await call.command(translate.accept(body), principal(request))
    elif before.source.direction != "inbound":
        raise NotAnsweredError("Call cannot be answered: it is an outbound call")
    if not await until_answered(call, ANSWER_S):
        raise NotAnsweredError("Call could not be answered")
    if stream is not None and stream not in (await call.snapshot()).streams:
        await _start(request, call, StartStream(stream=new_id(), option=stream))
    return done()


async def start_stream(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call/{id}/streams``: returns before the service is connected."""
    await found(request)
    body = await read(request, q.StartStream)
    option = translate.stream_option(body, request.app[SETTINGS].wavix.extras, stream_faults)
    call, stream = await answered(request), new_id()
    await _start(request, call, StartStream(stream=stream, option=option))
    return shown(StreamStarted(stream_id=stream))


async def _start(request: web.Request, call: CallHandle, command: StartStream) -> None:
    """Start a stream, which ends with the token of the request."""
    await call.command(command, principal(request))
    await lease_stream(request[IDENTITY], call, command.stream)


async def stop_stream(request: web.Request) -> web.Response:
    """Serve ``DELETE /v1/call/{id}/streams/{sid}`` and ``DELETE /v1/call/answer/{id}/streams/{sid}``."""
    call = await found(request)
    await call.command(StopStream(stream=request.match_info["sid"]), principal(request))
    return done()


async def list_calls(request: web.Request) -> web.Response:
    """Serve ``GET /v1/call``: live calls."""
    live = await request.app[CALLS].list(principal(request))
    return shown(
        ManyCalls(calls=[live_status(call).call() for call in live if not LegKind(call.kind).is_inner])
    )


async def get_call(request: web.Request) -> web.Response:
    """Serve ``GET /v1/call/{id}``: a live call, or the record of an ended one."""
    call = await request.app[CALLS].find(request.match_info["id"], principal(request))
    if call is not None:
        return shown(OneCall(call=await call_of(call)))
    past = await past_call(request)
    if past is None:
        raise web.HTTPNotFound(reason="Call not found")
    return shown(OneCall(call=past))


async def update_call(request: web.Request) -> web.Response:
    """Serve ``PATCH /v1/call/{id}``: write the tag of a call."""
    call = await found(request)
    await call.write_tag((await read(request, q.Update)).tag, principal(request))
    return done()


async def hang_up(request: web.Request) -> web.Response:
    """Serve ``DELETE /v1/call/{id}``: end a call."""
    call = await found(request)
    await call.command(Hangup(), principal(request))
    return done()


def _check_caller(settings: Settings, body: q.Originate) -> None:
    """Refuse a caller ID that the trunk a number goes over does not allow."""
    trunk = settings.default_trunk() if is_number(body.to) else None
    if trunk is not None and trunk.caller_ids and body.from_ not in trunk.caller_ids:
        raise InvalidError({"from": "Must be one of the caller IDs of your trunk"})
