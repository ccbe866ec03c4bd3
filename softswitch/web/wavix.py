"""Call control: originate, answer, list, hang up, and the streams of calls (wire-wavix §1)."""

import msgspec
from aiohttp import web

from softswitch.call.commands import Hangup, StartStream, StopStream
from softswitch.call.needs import EndpointFactory
from softswitch.call.state import State
from softswitch.dialects.wavix import requests as q
from softswitch.dialects.wavix import translate
from softswitch.dialects.wavix.destinations import is_number
from softswitch.dialects.wavix.fields import InvalidError, read_body
from softswitch.dialects.wavix.responses import CallAnswer, ManyCalls, OneCall, StreamStarted
from softswitch.settings import Settings
from softswitch.switch.answering import until_answered
from softswitch.switch.conversation import Conversation, Source
from softswitch.switch.switch import Origin
from softswitch.switch.webhooks import INNER
from softswitch.web.auth import IDENTITY
from softswitch.web.keys import SETTINGS, SWITCH, WEBHOOKS
from softswitch.web.wavix_common import (
    NotAnsweredError,
    answered,
    call_of,
    done,
    fields,
    found,
    may_see,
    new_id,
    origin,
    past_call,
    read,
    shown,
    users,
)
from softswitch.web.wavix_rooms import call_room

ANSWER_S = 30.0
"""How long an answer is waited for."""


async def originate(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call``: call somebody."""
    switch, identity = request.app[SWITCH], request[IDENTITY]
    body = await read(request, q.Originate)
    command = translate.invite(body, users(request))
    _check_caller(request.app[SETTINGS], body)
    who = Origin(identity.name, request.remote or "", Source("outbound"))
    party: EndpointFactory | None = None
    if body.to.startswith("room:"):
        party = await call_room(switch, who, body.from_, body.to)
    conversation = await switch.open(None, "sip", party, who)
    conversation.tag = body.tag
    conversation.callback = body.status_callback or body.callback_url or ""
    follower = request.app[WEBHOOKS].follower(conversation.id)
    conversation.command(command)
    if follower is None:
        raise NotAnsweredError("Call ended at once")
    follower.begin()
    return shown(CallAnswer(**msgspec.structs.asdict(follower.story.call())))


async def answer(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call/{id}/answer``: returns once the call is answered; a second time does nothing."""
    conversation = found(request)
    given = await fields(request)
    body = read_body(given, q.Answer)
    wanted = translate.stream_of_answer(given)
    stream = None
    if wanted is not None:
        stream = translate.stream_option(wanted, request.app[SETTINGS].wavix.extras)
    if conversation.call.state is State.PENDING:
        request.app[SWITCH].take(conversation, origin(request))
        conversation.command(translate.accept(body))
    elif conversation.direction != "inbound":
        raise NotAnsweredError("Call cannot be answered: it is an outbound call")
    if not await until_answered(conversation, ANSWER_S):
        raise NotAnsweredError("Call could not be answered")
    if stream is not None and not conversation.call.streams.has(stream):
        conversation.command(StartStream(stream=new_id(), option=stream))
    return done()


async def start_stream(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call/{id}/streams``: returns before the service is connected."""
    found(request)
    body = await read(request, q.StartStream)
    option = translate.stream_option(body, request.app[SETTINGS].wavix.extras)
    conversation, stream = answered(request), new_id()
    conversation.command(StartStream(stream=stream, option=option))
    return shown(StreamStarted(stream_id=stream))


async def stop_stream(request: web.Request) -> web.Response:
    """Serve ``DELETE /v1/call/{id}/streams/{sid}`` and ``DELETE /v1/call/answer/{id}/streams/{sid}``."""
    found(request).command(StopStream(stream=request.match_info["sid"]))
    return done()


async def list_calls(request: web.Request) -> web.Response:
    """Serve ``GET /v1/call``: live calls."""
    switch, identity = request.app[SWITCH], request[IDENTITY]
    live = [
        conversation
        for conversation in switch.conversations()
        if may_see(identity, conversation) and conversation.call.kind != INNER
    ]
    return shown(ManyCalls(calls=[call_of(request, conversation) for conversation in live]))


async def get_call(request: web.Request) -> web.Response:
    """Serve ``GET /v1/call/{id}``: a live call, or what was kept of one that is over."""
    conversation = request.app[SWITCH].find(request.match_info["id"])
    if conversation is not None:
        return shown(OneCall(call=call_of(request, found(request))))
    past = await past_call(request)
    if past is None:
        raise web.HTTPNotFound(reason="Call not found")
    return shown(OneCall(call=past))


async def update_call(request: web.Request) -> web.Response:
    """Serve ``PATCH /v1/call/{id}``: write on a call."""
    conversation: Conversation = found(request)
    conversation.tag = (await read(request, q.Update)).tag
    return done()


async def hang_up(request: web.Request) -> web.Response:
    """Serve ``DELETE /v1/call/{id}``: end a call."""
    found(request).command(Hangup())
    return done()


def _check_caller(settings: Settings, body: q.Originate) -> None:
    """Refuse a caller ID that the trunk a number goes over does not allow."""
    trunk = settings.default_trunk() if is_number(body.to) else None
    if trunk is not None and trunk.caller_ids and body.from_ not in trunk.caller_ids:
        raise InvalidError({"from": "Must be one of the caller IDs of your trunk"})
