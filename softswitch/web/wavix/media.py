"""Call control: play, speak, collect digits and transfer."""

from aiohttp import web

from softswitch.call.vocabulary.commands import AnswerTool, Command, Interrupt, Record, RecorderOption
from softswitch.dialects.wavix import requests as q
from softswitch.dialects.wavix import translate
from softswitch.dialects.wavix.responses import Playing
from softswitch.switch.gathering import Gathering
from softswitch.switch.notify.notifier import Gathered
from softswitch.web.auth import principal
from softswitch.web.keys import SETTINGS, WEBHOOKS
from softswitch.web.wavix.common import answered, done, found, new_id, read, shown, users


async def play(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call/{id}/play``: play a file."""
    await found(request)
    playback = new_id()
    commands = translate.play(await read(request, q.Play), playback)
    return await _carry_out(request, commands, playback)


async def stop_audio(request: web.Request) -> web.Response:
    """Serve ``DELETE /v1/call/{id}/audio``: stop playback."""
    return await _carry_out(request, [Interrupt()])


async def speak(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call/{id}/tts``: speak a text."""
    await found(request)
    playback = new_id()
    commands = translate.speak(await read(request, q.Speak), playback, _voices(request))
    return await _carry_out(request, commands, playback)


async def change_recording(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call/{id}/recording``: start, pause, resume or stop the recording."""
    await found(request)
    body = await read(request, q.ChangeRecording)
    option = RecorderOption(container=body.format) if body.action == "start" else None
    return await _carry_out(request, [Record(action=body.action, option=option)])


async def transfer(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call/{id}/transfer``: transfer the call."""
    await found(request)
    command = translate.transfer(await read(request, q.Transfer), users(request))
    return await _carry_out(request, [command])


async def collect(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call/{id}/collect``: collect digits; the result is posted later."""
    await found(request)
    body = await read(request, q.Collect)
    translate.check_collect(body)
    voices = _voices(request)
    call, by, webhooks = await answered(request), principal(request), request.app[WEBHOOKS]

    def on_gathered(gathered: Gathered) -> None:
        webhooks.gathered(call.id, by.account, gathered, body.callback_url or "")

    gathering = Gathering(
        call,
        by,
        translate.collect(body),
        lambda attempt: translate.prompt(body, new_id(), voices),
        body.max_attempts,
        on_gathered,
    )
    await gathering.start()
    webhooks.gather(call.id, by.account, body.callback_url or "")
    return done()


async def answer_tool(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call/{id}/tool-results``: answer a tool call of a stream's service."""
    await found(request)
    body = await read(request, q.ToolResult)
    command = AnswerTool(tool_call=body.tool_call_id, result=body.result, failed=body.failed)
    return await _carry_out(request, [command])


def _voices(request: web.Request) -> dict[str, str]:
    """Return the voices of the switch by their names in requests, in lower case."""
    pairs = (text.partition("=") for text in request.app[SETTINGS].wavix.voices)
    return {name.strip().lower(): voice.strip() for name, _, voice in pairs}


async def _carry_out(request: web.Request, commands: list[Command], playback: str = "") -> web.Response:
    call, by = await answered(request), principal(request)
    for command in commands:
        await call.command(command, by)
    return shown(Playing(playback_id=playback)) if playback else done()
