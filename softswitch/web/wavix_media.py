"""Call control: what is played, spoken, gathered and transferred in a call (wire-wavix §1)."""

from aiohttp import web

from softswitch.call.commands import Command, Interrupt
from softswitch.dialects.wavix import requests as q
from softswitch.dialects.wavix import translate
from softswitch.dialects.wavix.responses import Happening
from softswitch.switch.conversation import Conversation
from softswitch.switch.gathering import Gathered, Gathering
from softswitch.web.keys import WEBHOOKS
from softswitch.web.wavix_common import answered, done, found, new_id, read, users


async def play(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call/{id}/play``: play a file."""
    found(request)
    commands = translate.play(await read(request, q.Play), new_id())
    return _carry_out(answered(request), commands)


async def stop_audio(request: web.Request) -> web.Response:
    """Serve ``DELETE /v1/call/{id}/audio``: stop what plays."""
    return _carry_out(answered(request), [Interrupt()])


async def speak(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call/{id}/tts``: speak a text."""
    found(request)
    commands = translate.speak(await read(request, q.Speak), new_id())
    return _carry_out(answered(request), commands)


async def transfer(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call/{id}/transfer``: connect with somebody else."""
    found(request)
    command = translate.transfer(await read(request, q.Transfer), users(request))
    return _carry_out(answered(request), [command])


async def collect(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call/{id}/collect``: gather keys; what came of it is told later."""
    found(request)
    body = await read(request, q.Collect)
    translate.check_collect(body)
    conversation = answered(request)
    follower = request.app[WEBHOOKS].follower(conversation.id)

    def told(gathered: Gathered) -> None:
        if follower is not None:
            payload: dict[str, object] = {
                "digits": gathered.digits,
                "reason": gathered.reason,
                "attempts": gathered.attempts,
            }
            follower.gathering = False
            follower.happened(Happening(type="collect", payload=payload), body.callback_url)

    gathering = Gathering(
        conversation,
        translate.collect(body),
        lambda attempt: translate.prompt(body, f"{new_id()}-{attempt}"),
        body.max_attempts,
        told,
    )
    gathering.start()
    if follower is not None:
        follower.gathering = True
    return done()


def _carry_out(conversation: Conversation, commands: list[Command]) -> web.Response:
    for command in commands:
        conversation.command(command)
    return done()
