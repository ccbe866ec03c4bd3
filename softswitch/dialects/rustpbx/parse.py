"""Translation of a command from its text to the call model."""

import base64
import binascii
import difflib
from collections.abc import Callable
from typing import Any, Final

import msgspec

from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary.commands import Command
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.call.vocabulary.values import Candidate
from softswitch.dialects.bounds import TooMany, count, is_crowded
from softswitch.dialects.rustpbx import options, tolerance
from softswitch.dialects.rustpbx.spelling import TooDeep, command_of, normal
from softswitch.dialects.rustpbx.tracks import read_track
from softswitch.protocol import call_commands as w

_NAMES = sorted(kind.__struct_config__.tag for kind in w.WireCommand.__args__)


def parse(text: str | bytes) -> Command:
    """Translate the text of one command.

    Raises:
        CommandRejected: The text is not a JSON object, its command is unknown, or a field is wrong; the
            message names the field.
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
    if is_crowded(text):
        raise CommandRejected("command: too many lists and objects, or nested too deep", 413)
    try:
        message = msgspec.json.decode(text)
        count(message)
        message = normal(message)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise CommandRejected(f"not JSON: {error}") from None
    except (RecursionError, TooDeep):
        raise CommandRejected("command: nested too deep, more than 32 levels") from None
    except TooMany as error:
        raise CommandRejected(f"command: {error}", 413) from None
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
        if name in _WITH_OPTION:
            command, faults = tolerance.read(message, _WITH_OPTION[name])
            return _set_up(command, message, faults)
        wire: w.WireCommand = msgspec.convert(message, w.WireCommand, strict=False)
    except msgspec.ValidationError as error:
        raise CommandRejected(f"{name}: {error}") from None
    return _translate(wire, message)


def _translate(wire: w.Command, message: dict[str, Any]) -> Command:
    """Return the command of the call model for a command of the wire.

    Args:
        wire: The command.
        message: The same as JSON, for the keys that only a provider knows.
    """
    if (same := _SAME.get(type(wire))) is not None:
        fields = msgspec.structs.asdict(wire)
        return same(**{_OTHER_NAMES.get(name, name): value for name, value in fields.items()})
    return _TRANSLATIONS[type(wire)](wire, message)


def _set_up(wire: w.Invite | w.Accept, message: dict[str, Any], faults: list[str]) -> c.Invite | c.Accept:
    kind = c.Invite if isinstance(wire, w.Invite) else c.Accept
    return kind(request_id=wire.request_id, option=options.call_option(wire.option, message, faults))


def _hangup(wire: w.Hangup, message: dict[str, Any]) -> c.Hangup:
    return c.Hangup(
        request_id=wire.request_id,
        reason=wire.reason,
        initiator=wire.initiator,
        headers=options.headers(wire.headers),
        refer=wire.refer,
    )


def _candidates(wire: w.Candidate, message: dict[str, Any]) -> c.AddCandidates:
    return c.AddCandidates(request_id=wire.request_id, candidates=tuple(map(_candidate, wire.candidates)))


def _dtmf(wire: w.Dtmf, message: dict[str, Any]) -> c.SendDtmf:
    return c.SendDtmf(request_id=wire.request_id, digits=wire.digits.upper())


def _ringing(wire: w.Ringing, message: dict[str, Any]) -> c.Ring:
    return c.Ring(
        request_id=wire.request_id,
        early_media=wire.early_media,
        ringtone=wire.ringtone,
        recorder=options.recorder(wire.recorder),
    )


def _record(wire: w.Record, message: dict[str, Any]) -> c.Record:
    return c.Record(request_id=wire.request_id, action=wire.action, option=options.recorder(wire.recorder))


def _supervise(wire: w.Supervise, message: dict[str, Any]) -> c.Supervise:
    return c.Supervise(
        request_id=wire.request_id,
        mode="take_over" if wire.mode == "takeOver" else wire.mode,
        other=wire.target_session_id,
        side=wire.side,
        transcript=wire.transcript,
        auto_hangup=wire.auto_hangup,
    )


def _mute(wire: w.Mute | w.Unmute, message: dict[str, Any]) -> c.Mute:
    return c.Mute(
        request_id=wire.request_id, muted=isinstance(wire, w.Mute), subject=read_track(wire.track_id)
    )


def _refer(wire: w.Refer, message: dict[str, Any]) -> c.Refer:
    return c.Refer(
        request_id=wire.request_id,
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


_OTHER_NAMES: Final = {
    "wait_input_timeout": "wait_input_ms",
    "fade_out_ms": "fade_ms",
    "offer": "sdp",
    "target_session_id": "other",
    "tool_call_id": "tool_call",
}
"""Fields that the call model names otherwise."""

_WITH_OPTION: Final[dict[str, type[w.Invite | w.Accept]]] = {"invite": w.Invite, "accept": w.Accept}
"""Commands with an option, whose wrong values do not refuse the call."""

_TRANSLATIONS: dict[type[w.Command], Callable[[Any, dict[str, Any]], Command]] = {
    w.TtsCommand: _say,
    w.Hangup: _hangup,
    w.Candidate: _candidates,
    w.Dtmf: _dtmf,
    w.Ringing: _ringing,
    w.Refer: _refer,
    w.Record: _record,
    w.Supervise: _supervise,
    w.Mute: _mute,
    w.Unmute: _mute,
}
"""Commands that take more than copying."""

_OTHER_COMMANDS: Final[dict[type[w.Command], type[Command]]] = {
    w.Mark: c.PlaceMark,
    w.History: c.AddHistory,
    w.Message: c.SendMessage,
    w.ToolResult: c.AnswerTool,
}
"""Commands that the call model names otherwise."""

_SAME: dict[type[w.Command], type[Command]] = {
    kind: _OTHER_COMMANDS.get(kind) or getattr(c, kind.__name__)
    for kind in w.WireCommand.__args__
    if kind not in _TRANSLATIONS and kind not in _WITH_OPTION.values()
}
"""All other commands: their fields are the same on the wire and in the call model, but for `_OTHER_NAMES`."""
