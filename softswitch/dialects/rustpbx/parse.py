"""From the text of a command to the common call model."""

import base64
import binascii
import difflib
from typing import Any, assert_never

import msgspec

from softswitch.call import commands as c
from softswitch.call.commands import Command, CommandRejected
from softswitch.call.needs import Candidate
from softswitch.dialects.rustpbx import options
from softswitch.dialects.rustpbx import wire_commands as w
from softswitch.dialects.rustpbx.spelling import TooDeep, command_of, normal

_NAMES = sorted(kind.__struct_config__.tag for kind in w.WireCommand.__args__)


def parse(text: str | bytes) -> Command:
    """Translate the text of one command.

    Raises:
        CommandRejected: The text is no JSON object, its command is unknown, or a field is wrong; the message
        names it.
    """
    message = _object(text)
    request_id = message.get("requestId")
    try:
        return _command(message)
    except CommandRejected as rejected:
        if isinstance(request_id, str) and len(request_id) <= 256:
            rejected.request_id = request_id
        raise


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        message = normal(msgspec.json.decode(text))
    except (msgspec.DecodeError, UnicodeError) as error:
        raise CommandRejected(f"not JSON: {error}") from None
    except (RecursionError, TooDeep):
        raise CommandRejected("not JSON that makes sense: it nests too deep") from None
    if not isinstance(message, dict):
        raise CommandRejected("a command is a JSON object")
    return command_of(message)


def _command(message: dict[str, Any]) -> Command:
    name = message.get("command")
    if not isinstance(name, str):
        raise CommandRejected("command: a text is required")
    if name not in _NAMES:
        near = difflib.get_close_matches(name[:64], _NAMES, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise CommandRejected(f"command: {name[:64]!r} is unknown{hint}")
    try:
        wire: w.WireCommand = msgspec.convert(message, w.WireCommand, strict=False)
    except msgspec.ValidationError as error:
        raise CommandRejected(f"{name}: {error}") from None
    return _translate(wire, message)


def _translate(wire: w.WireCommand, message: dict[str, Any]) -> Command:
    rid = wire.request_id
    match wire:
        case w.Invite():
            return c.Invite(request_id=rid, option=options.call_option(wire.option, message))
        case w.Accept():
            return c.Accept(request_id=rid, option=options.call_option(wire.option, message))
        case w.TtsCommand():
            return _say(wire, message)
        case w.Play():
            return c.Play(
                request_id=rid,
                url=wire.url,
                play_id=wire.play_id,
                auto_hangup=wire.auto_hangup,
                wait_input_ms=wire.wait_input_timeout,
                offset_ms=wire.offset_ms,
                loop=wire.loop,
                gain=wire.gain,
                layer=wire.layer,
            )
        case w.Interrupt():
            return c.Interrupt(
                request_id=rid, graceful=wire.graceful, fade_ms=wire.fade_out_ms, play_id=wire.play_id
            )
        case w.Pause():
            return c.Pause(request_id=rid)
        case w.Resume():
            return c.Resume(request_id=rid)
        case w.Hangup():
            return c.Hangup(
                request_id=rid,
                reason=wire.reason,
                initiator=wire.initiator,
                headers=options.headers(wire.headers),
            )
        case w.Candidate():
            return c.AddCandidates(request_id=rid, candidates=tuple(map(_candidate, wire.candidates)))
        case w.Offer():
            return c.Offer(request_id=rid, sdp=wire.offer)
        case w.Mark():
            return c.PlaceMark(request_id=rid, name=wire.name)
        case w.Dtmf():
            return c.SendDtmf(request_id=rid, digits=wire.digits.upper())
        case w.Collect():
            return c.Collect(
                request_id=rid,
                min_digits=wire.min_digits,
                max_digits=wire.max_digits,
                terminators=wire.terminators,
                timeout_ms=wire.timeout_ms,
                barge_in=wire.barge_in,
            )
        case _:
            return _translate_rest(wire, message)


def _translate_rest(
    wire: w.Reject
    | w.Ringing
    | w.Refer
    | w.Mute
    | w.Unmute
    | w.History
    | w.Message
    | w.Bridge
    | w.Unbridge
    | w.Custom,
    message: dict[str, Any],
) -> Command:
    rid = wire.request_id
    match wire:
        case w.Reject():
            return c.Reject(request_id=rid, reason=wire.reason, code=wire.code)
        case w.Ringing():
            return c.Ring(
                request_id=rid,
                early_media=wire.early_media,
                ringtone=wire.ringtone,
                recorder=options.recorder(wire.recorder),
            )
        case w.Refer():
            return c.Refer(
                request_id=rid,
                callee=wire.callee,
                caller=wire.caller,
                timeout_s=wire.options.timeout,
                moh=wire.options.moh,
                auto_hangup=wire.options.auto_hangup,
                method=wire.method,
                headers=options.headers(wire.options.sip.headers) if wire.options.sip else {},
                sip=options.sip(wire.options.sip) if wire.options.sip else None,
                asr=_refer_asr(wire.options, message),
                denoise=wire.options.denoise,
            )
        case w.Mute():
            return c.Mute(request_id=rid, muted=True, track_id=wire.track_id)
        case w.Unmute():
            return c.Mute(request_id=rid, muted=False, track_id=wire.track_id)
        case w.History():
            return c.AddHistory(request_id=rid, speaker=wire.speaker, text=wire.text)
        case w.Message():
            return c.SendMessage(request_id=rid, body=wire.body, content_type=wire.content_type)
        case w.Bridge():
            return c.Bridge(request_id=rid, other=wire.target_session_id)
        case w.Unbridge():
            return c.Unbridge(request_id=rid)
        case w.Custom():
            return c.Custom(request_id=rid, sender=wire.sender, data=wire.data)
        case _:
            assert_never(wire)


def _refer_asr(wire: w.ReferOptions, message: dict[str, Any]) -> c.AsrOption | None:
    if wire.asr is None:
        return None
    return options.asr(wire.asr, (message.get("options") or {}).get("asr") or {})


def _say(wire: w.TtsCommand, message: dict[str, Any]) -> c.Say:
    option = None
    if wire.option is not None or wire.speaker:
        option = options.tts(wire.option or w.Tts(), message.get("option") or {}, speaker=wire.speaker)
    pcm = b""
    if wire.base64 and wire.text:
        try:
            pcm = base64.b64decode(wire.text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise CommandRejected(f"tts: text is not base64: {error}") from None
    return c.Say(
        request_id=wire.request_id,
        text="" if pcm else wire.text,
        pcm=pcm,
        play_id=wire.play_id,
        auto_hangup=wire.auto_hangup,
        streaming=wire.streaming,
        end_of_stream=wire.end_of_stream,
        wait_input_ms=wire.wait_input_timeout,
        option=option,
        layer=wire.layer,
        cache_key=wire.cache_key,
    )


def _candidate(one: str | w.IceCandidate) -> Candidate:
    if isinstance(one, str):
        return Candidate(text=one)
    return Candidate(text=one.candidate, mid=one.sdp_mid, line=one.sdp_m_line_index)
