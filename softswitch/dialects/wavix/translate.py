"""Translation of request bodies to commands of the call model."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from softswitch.call.vocabulary import commands as c
from softswitch.dialects.stream_parameters import (
    MAX_PARAMETER_TEXT,
    MAX_PARAMETERS,
    header_fault,
    is_too_much,
)
from softswitch.dialects.wavix import requests as q
from softswitch.dialects.wavix.destinations import check_destination
from softswitch.dialects.wavix.fields import InvalidError, read_body
from softswitch.urls import is_websocket, with_plain_scheme

SILENCE_RATE = 8000
_LANGUAGES = {"sp": "es", "ge": "de"}
"""Languages of requests that are no tags of BCP 47."""


def invite(body: q.Originate, users: Collection[str]) -> c.Invite:
    """Return the command that calls a destination.

    Args:
        body: The request.
        users: Names of the users of the settings.

    Raises:
        InvalidError: Naming every field that is wrong.
    """
    errors: dict[str, str] = {}
    if wrong := check_destination(body.to, users):
        errors["to"] = wrong
    if not body.from_.isprintable():
        errors["from"] = "Must be text of one line"
    for name in ("status_callback", "callback_url"):
        errors |= _check_url(name, getattr(body, name))
    if errors:
        raise InvalidError(errors)
    option = c.CallOption(
        caller=body.from_,
        callee=body.to,
        vad=c.VadOption(off=True),
        recorder=_recorder(body),
        amd=_amd(body),
        handshake_s=float(body.timeout) if body.timeout else None,
        max_duration_s=float(body.max_duration) if body.max_duration else None,
        shown={"callee": body.to, "caller": body.from_},
    )
    return c.Invite(option=option)


def accept(body: q.Answer) -> c.Accept:
    """Return the command that answers a call."""
    return c.Accept(option=c.CallOption(vad=c.VadOption(off=True), recorder=_recorder(body)))


def stream_option(
    body: q.StartStream,
    extras: tuple[q.Extra, ...] = (),
    faults: Callable[[c.StreamOption], dict[str, str]] = lambda option: {},
) -> c.StreamOption:
    """Return the option of a stream.

    Args:
        body: The request.
        extras: Extras of the settings, for a request that names none.
        faults: Returns what is wrong with protocol and format, by field.

    Raises:
        InvalidError: Naming every field that is wrong.
    """
    errors: dict[str, str] = {}
    if not is_websocket(body.stream_url):
        errors["stream_url"] = "Stream URL must be a valid WebSocket URL (ws:// or wss://)"
    if fault := header_fault(body.stream_headers):
        errors["stream_headers"] = fault
    if is_too_much(body.stream_parameters):
        errors["stream_parameters"] = f"At most {MAX_PARAMETERS} values of {MAX_PARAMETER_TEXT} characters"
    option = c.StreamOption(
        url=with_plain_scheme(body.stream_url),
        two_way=body.stream_type == "twoway",
        channel=body.stream_channel,
        headers=body.stream_headers,
        reconnect_s=body.reconnect_s,
        hangup_on_close=body.hangup_on_stream_close,
        extras=extras if body.stream_extras is None else body.stream_extras,
        live=body.stream_live,
        protocol=body.protocol,
        encoding=body.stream_encoding,
        sample_rate=body.stream_sample_rate,
        parameters=body.stream_parameters,
        session=body.stream_session,
    )
    errors |= faults(option)
    if errors:
        raise InvalidError(errors)
    return option


def play(body: q.Play, play_id: str) -> list[c.Command]:
    """Return the commands that play a file, after silence where the request has a delay.

    Raises:
        InvalidError: The URL does not begin with http:// or https://.
    """
    if errors := _check_url("audio_file", body.audio_file):
        raise InvalidError(errors)
    return [*_silence(body.delay_before_playing, play_id), c.Play(url=body.audio_file, play_id=play_id)]


def speak(body: q.Speak, play_id: str, voices: Mapping[str, str]) -> list[c.Command]:
    """Return the commands that speak a text `max_repeat_count` times, after silence where it has a delay.

    Args:
        body: The request.
        play_id: Id of the playback.
        voices: Voices of the switch by their names in requests, in lower case.
    """
    said = c.Say(text=body.text, play_id=play_id, option=_spoken(body.voice, body.language, voices))
    return [*_silence(body.delay_before_playing, play_id), *[said] * body.max_repeat_count]


def _silence(milliseconds: int, play_id: str) -> list[c.Command]:
    """Return the command that plays silence, as a list; an empty one for no time."""
    if not milliseconds:
        return []
    option = c.TtsOption(sample_rate=SILENCE_RATE)
    # Two octets a sample, at a whole number of samples a millisecond.
    pcm = bytes(2 * (SILENCE_RATE // 1000) * milliseconds)
    return [c.Say(pcm=pcm, play_id=play_id, option=option)]


def _spoken(voice: str, language: str, voices: Mapping[str, str]) -> c.TtsOption | None:
    """Return how a text is spoken; None: as the settings say."""
    voice = voices.get(voice.lower(), voice)
    language = _LANGUAGES.get(language.lower(), language)
    return c.TtsOption(voice=voice, language=language) if voice or language else None


def transfer(body: q.Transfer, users: Collection[str]) -> c.Refer:
    """Return the command that transfers a call to another destination.

    Raises:
        InvalidError: The destination is not valid.
    """
    errors: dict[str, str] = {}
    if wrong := check_destination(body.to, users):
        errors["to"] = wrong
    if errors:
        raise InvalidError(errors)
    return c.Refer(
        callee=body.to,
        caller=body.from_,
        timeout_s=float(body.timeout),
        recorder=_recorder(body),
        amd=_amd(body),
    )


def check_collect(body: q.Collect) -> None:
    """Raise InvalidError where fields of a collection contradict each other."""
    errors: dict[str, str] = {}
    if body.min_digits > body.max_digits:
        errors["min_digits"] = "Must not be above max_digits"
    if body.termination_character not in ("", *"0123456789*#ABCD"):
        errors["termination_character"] = "Must be a key of a telephone"
    if body.audio is not None:
        errors |= _check_url("audio", body.audio.url)
    if body.prompt is not None:
        errors |= _check_url("prompt", body.prompt.play)
        if (body.prompt.play is None) == (body.prompt.say is None):
            errors["prompt"] = "Must have either play or say"
    errors |= _check_url("callback_url", body.callback_url)
    if errors:
        raise InvalidError(errors)


def prompt(body: q.Collect, play_id: str, voices: Mapping[str, str]) -> c.Command | None:
    """Return the command that plays the prompt of a collection; None where it has no prompt.

    Args:
        body: The request.
        play_id: Id of the playback.
        voices: Voices of the switch by their names in requests, in lower case.
    """
    if body.audio is not None:
        return c.Play(url=body.audio.url, play_id=play_id)
    if body.prompt is not None and body.prompt.play is not None:
        return c.Play(url=body.prompt.play, play_id=play_id)
    if body.prompt is not None and body.prompt.say is not None:
        say = body.prompt.say
        if isinstance(say, str):
            return c.Say(text=say, play_id=play_id)
        return c.Say(text=say.text, play_id=play_id, option=_spoken(say.voice, say.language, voices))
    return None


def collect(body: q.Collect) -> c.Collect:
    """Return the command that collects digits."""
    return c.Collect(
        min_digits=body.min_digits,
        max_digits=body.max_digits,
        terminators=body.termination_character,
        timeout_ms=body.timeout * 1000,
        barge_in=body.audio.stop_on_keypress if body.audio is not None else True,
    )


def stream_of_answer(body: dict[str, Any]) -> q.StartStream | None:
    """Return the stream of a request that answers a call; None where it has no field of a stream.

    Raises:
        InvalidError: Naming the missing ones of stream_url, stream_type and stream_channel.
    """
    if not any(body.get(name) for name in ("stream_url", "stream_type", "stream_channel")):
        return None
    return read_body(body, q.StartStream)


def _recorder(body: q.Originate | q.Answer | q.Transfer) -> c.RecorderOption | None:
    """Return how a call is recorded; a transcript is made of the recording."""
    wanted = body.call_recording or body.recording or body.call_transcription
    return c.RecorderOption(transcribe=body.call_transcription) if wanted else None


def _amd(body: q.Originate | q.Transfer) -> c.AmdOption | None:
    return c.AmdOption() if body.machine_detection or body.voicemail_detection else None


def _check_url(name: str, url: str | None) -> dict[str, str]:
    if url is None or url.startswith(("http://", "https://")):
        return {}
    return {name: "Must be a valid URL (http:// or https://)"}
