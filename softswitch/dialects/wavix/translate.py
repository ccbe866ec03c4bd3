"""From the bodies of requests to commands of the common call model."""

import re
from collections.abc import Collection
from typing import Any

from softswitch.call import commands as c
from softswitch.dialects.wavix import requests as q
from softswitch.dialects.wavix.destinations import check_destination
from softswitch.dialects.wavix.fields import InvalidError, read_body

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_OURS = frozenset({"host", "connection", "upgrade", "content-length", "transfer-encoding"})
MAX_HEADERS = 32
SILENCE_RATE = 8000


def invite(body: q.Originate, users: Collection[str]) -> c.Invite:
    """Return the command that calls somebody.

    Args:
        body: What was asked for.
        users: Names of those who have a phone here.

    Raises:
        InvalidError: naming every field that cannot be taken.
    """
    errors: dict[str, str] = {}
    for name in ("machine_detection", "voicemail_detection"):
        if getattr(body, name):
            errors[name] = f"{name} is not supported by this switch"
    if wrong := check_destination(body.to, users):
        errors["to"] = wrong
    if not body.from_.isprintable():
        errors["from"] = "Must be text of one line"
    for name in ("status_callback", "callback_url"):
        errors |= _web(name, getattr(body, name))
    if errors:
        raise InvalidError(errors)
    option = c.CallOption(
        caller=body.from_,
        callee=body.to,
        vad=c.VadOption(off=True),
        recorder=_recorder(body.call_recording or body.recording),
        handshake_s=float(body.timeout) if body.timeout else None,
        max_duration_s=float(body.max_duration) if body.max_duration else None,
        shown={"callee": body.to, "caller": body.from_},
    )
    return c.Invite(option=option)


def accept(body: q.Answer) -> c.Accept:
    """Return the command that answers a call."""
    recorder = _recorder(body.call_recording or body.recording)
    return c.Accept(option=c.CallOption(vad=c.VadOption(off=True), recorder=recorder))


def stream_option(body: q.StartStream, extras: tuple[q.Extra, ...] = ()) -> c.StreamOption:
    """Return what a stream is to be.

    Args:
        body: What was asked for.
        extras: Those of the settings.

    Raises:
        InvalidError: naming every field that cannot be taken.
    """
    errors: dict[str, str] = {}
    if not body.stream_url.startswith(("ws://", "wss://")):
        errors["stream_url"] = "Stream URL must be a valid WebSocket URL (ws:// or wss://)"
    for name, value in body.stream_headers.items():
        reserved = name.lower() in _OURS or name.lower().startswith("sec-websocket-")
        if reserved or not _TOKEN.fullmatch(name) or not value.isprintable() or len(value) > 4096:
            errors["stream_headers"] = f"{name!r} is not a header that can be sent"
    if len(body.stream_headers) > MAX_HEADERS:
        errors["stream_headers"] = f"At most {MAX_HEADERS} headers can be sent"
    if errors:
        raise InvalidError(errors)
    return c.StreamOption(
        url=body.stream_url,
        two_way=body.stream_type == "twoway",
        channel=body.stream_channel,
        headers=body.stream_headers,
        reconnect_s=body.reconnect_s,
        hangup_on_close=body.hangup_on_stream_close,
        extras=extras if body.stream_extras is None else body.stream_extras,
    )


def play(body: q.Play, play_id: str) -> list[c.Command]:
    """Return the commands that play a file, behind silence where that was asked for.

    Raises:
        InvalidError: the URL is none of the web.
    """
    if errors := _web("audio_file", body.audio_file):
        raise InvalidError(errors)
    commands: list[c.Command] = []
    if body.delay_before_playing:
        silence = bytes(2 * SILENCE_RATE * body.delay_before_playing // 1000 // 2 * 2)
        option = c.TtsOption(sample_rate=SILENCE_RATE)
        commands.append(c.Say(pcm=silence, play_id=play_id, option=option))
    commands.append(c.Play(url=body.audio_file, play_id=play_id))
    return commands


def speak(body: q.Speak, play_id: str) -> list[c.Command]:
    """Return the commands that speak a text, as often as was asked for."""
    option = c.TtsOption(voice=body.voice) if body.voice else None
    said = c.Say(text=body.text, play_id=play_id, option=option)
    return [said] * body.max_repeat_count


def transfer(body: q.Transfer, users: Collection[str]) -> c.Refer:
    """Return the command that connects a call with somebody else.

    Raises:
        InvalidError: nobody can be reached there.
    """
    if wrong := check_destination(body.to, users):
        raise InvalidError({"to": wrong})
    return c.Refer(callee=body.to, caller=body.from_, timeout_s=float(body.timeout))


def check_collect(body: q.Collect) -> None:
    """Refuse bounds that make no sense; raises InvalidError."""
    errors: dict[str, str] = {}
    if body.min_digits > body.max_digits:
        errors["min_digits"] = "Must not be above max_digits"
    if body.termination_character not in ("", *"0123456789*#ABCD"):
        errors["termination_character"] = "Must be a key of a telephone"
    if body.audio is not None:
        errors |= _web("audio", body.audio.url)
    if body.prompt is not None:
        errors |= _web("prompt", body.prompt.play)
        if (body.prompt.play is None) == (body.prompt.say is None):
            errors["prompt"] = "Must have either play or say"
    errors |= _web("callback_url", body.callback_url)
    if errors:
        raise InvalidError(errors)


def prompt(body: q.Collect, play_id: str) -> c.Command | None:
    """Return the command that says what is asked for; None where nothing is said."""
    if body.audio is not None:
        return c.Play(url=body.audio.url, play_id=play_id)
    if body.prompt is not None and body.prompt.play is not None:
        return c.Play(url=body.prompt.play, play_id=play_id)
    if body.prompt is not None and body.prompt.say is not None:
        return c.Say(text=body.prompt.say, play_id=play_id)
    return None


def collect(body: q.Collect) -> c.Collect:
    """Return the command that gathers keys."""
    return c.Collect(
        min_digits=body.min_digits,
        max_digits=body.max_digits,
        terminators=body.termination_character,
        timeout_ms=body.timeout * 1000,
        barge_in=body.audio.stop_on_keypress if body.audio is not None else True,
    )


def stream_of_answer(body: dict[str, Any]) -> q.StartStream | None:
    """Return the stream that an answer asks for; None where it names no field of one.

    Raises:
        InvalidError: naming the fields that are missing: all three or none.
    """
    if not any(body.get(name) for name in ("stream_url", "stream_type", "stream_channel")):
        return None
    return read_body(body, q.StartStream)


def _recorder(wanted: bool) -> c.RecorderOption | None:
    return c.RecorderOption() if wanted else None


def _web(name: str, url: str | None) -> dict[str, str]:
    if url is None or url.startswith(("http://", "https://")):
        return {}
    return {name: "Must be a valid URL (http:// or https://)"}
