"""Translation of the ``option`` of a command to the options of the call model."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import msgspec

from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.call.vocabulary.values import SipOption
from softswitch.dialects.stream_parameters import header_fault
from softswitch.dialects.streams import stream_faults
from softswitch.log.masking import mask
from softswitch.protocol import call_commands as w
from softswitch.sip.syntax.reserved import is_reserved
from softswitch.urls import is_websocket, with_plain_scheme

T = TypeVar("T")

_HEADER = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_VAD_OFF = frozenset({"off", "none", "disabled"})
"""Names of a detector that mean no detection."""
_NOT_BUILT = ("ringbackDetection",)
"""Options of clients in the field that the switch does not have."""
_STOP_MS = 200
"""Silence after which speech is over, milliseconds; ``silencePadding`` is added."""


def call_option(wire: w.CallOption, message: dict[str, Any], faults: list[str]) -> c.CallOption:
    """Translate the option of an invite or accept; what is wrong beyond its types is left at its default.

    Args:
        wire: The option.
        message: The command as JSON, for the keys that only a provider knows.
        faults: What is wrong in the option, by field; more is added.
    """
    given: dict[str, Any] = message.get("option") or {}
    handshake_s = _tolerated(lambda: _seconds(wire.handshake_timeout), faults)
    media_pass = _tolerated(lambda: _media_pass(wire.media_pass), faults)
    faults += (f"{name}: it is not built" for name in _NOT_BUILT if _is_wanted(given.get(name)))
    login = SipOption()
    if wire.sip is not None:
        kept = _kept_headers(wire.sip.headers, faults)
        login = sip(msgspec.structs.replace(wire.sip, headers=kept))
    return c.CallOption(
        caller=wire.caller,
        callee=wire.callee,
        offer=wire.offer,
        trickle=wire.trickle,
        codec=wire.codec.lower(),
        sample_rate=wire.samplerate,
        asr=asr(wire.asr, given.get("asr") or {}) if wire.asr is not None else None,
        tts=tts(wire.tts or w.Tts(), given.get("tts") or {}),
        vad=vad(wire.vad),
        recorder=recorder(wire.recorder),
        denoise=wire.denoise,
        agc=wire.agc,
        aec=wire.aec,
        eou=_eou(wire.eou),
        barge_in=barge_in(wire.barge_in),
        amd=_amd(wire.amd),
        tones=wire.tones if wire.tones is not None else bool(wire.amd),
        media_pass=media_pass,
        ambiance=_ambiance(wire.ambiance),
        subscribe=wire.subscribe,
        live=wire.live,
        inband_dtmf=wire.inband_dtmf,
        binary_events=wire.binary_events,
        away=wire.away,
        inactivity_s=wire.inactivity_timeout,
        handshake_s=handshake_s,
        headers=login.headers,
        sip=login,
        faults=tuple(faults),
        shown=mask(given),
    )


def _tolerated(translate: Callable[[], T], faults: list[str]) -> T | None:
    """Return a part of the option; None where it is wrong, which is added to the faults."""
    try:
        return translate()
    except CommandRejected as rejected:
        faults.append(f"{rejected.rejection.text}; the default is used")
        return None


def _is_wanted(value: object) -> bool:
    """Tell whether an option asks for something: it is on, or an object that says `enabled`."""
    return bool(value.get("enabled")) if isinstance(value, dict) else bool(value)


def _kept_headers(given: dict[str, str], faults: list[str]) -> dict[str, str]:
    """Return the headers that a client may set; the others are added to the faults."""
    return {
        name: value
        for name, value in given.items()
        if _tolerated(partial(headers, {name: value}), faults) is not None
    }


def sip(wire: w.Sip | None) -> SipOption:
    """Translate SIP credentials and headers; raises CommandRejected."""
    if wire is None:
        return SipOption()
    return SipOption(
        username=wire.username,
        password=wire.password,
        realm=wire.realm,
        contact=wire.contact,
        headers=headers(wire.headers),
    )


def headers(given: dict[str, str]) -> dict[str, str]:
    """Return headers for a SIP message; raises CommandRejected for those that only the switch may write."""
    for name, value in given.items():
        if not _HEADER.fullmatch(name) or not value.isprintable():
            raise CommandRejected(f"headers: {name[:64]!r} is not a header of one line")
        if is_reserved(name):
            raise CommandRejected(f"headers: {name!r} is written by the switch alone")
    return given


def asr(wire: w.Asr, given: dict[str, Any]) -> c.AsrOption:
    """Translate speech recognition; unknown keys are passed to the provider."""
    return c.AsrOption(
        providers=_names(wire.provider),
        language="" if wire.language.lower() == "auto" else wire.language,
        model=wire.model or wire.model_type,
        grammar=grammar(wire.grammar),
        hotwords=_names(wire.hotwords),
        extra=_extra(given, w.Asr),
    )


def grammar(wire: str | list[str] | w.Grammar) -> str | tuple[str, ...] | c.GrammarOption:
    """Translate what may be said; raises CommandRejected where the type needs items and has none."""
    if isinstance(wire, str):
        return wire
    if isinstance(wire, list):
        return tuple(wire)
    if wire.type != "digits" and not wire.items:
        raise CommandRejected(f"asr.grammar.items: {wire.type!r} needs at least one")
    items = tuple(
        item if isinstance(item, str) else c.IntentOption(item.name, tuple(item.phrases))
        for item in wire.items
    )
    return c.GrammarOption(wire.type, items, wire.threshold)


def tts(wire: w.Tts, given: dict[str, Any], speaker: str = "") -> c.TtsOption:
    """Translate speech synthesis; ``speaker`` of the command itself has precedence."""
    return c.TtsOption(
        providers=_names(wire.provider),
        voice=speaker or wire.speaker,
        language=wire.language,
        rate=wire.speed,
        pitch=wire.pitch,
        volume=wire.volume,
        sample_rate=wire.samplerate,
        extra=_extra(given, w.Tts),
    )


def vad(wire: w.Vad | bool | None) -> c.VadOption:
    """Translate voice activity detection; absent means on, with the defaults.

    The detector ``off`` switches it off, as false does.
    """
    if wire is False or (isinstance(wire, w.Vad) and wire.type.lower() == "off"):
        return c.VadOption(off=True)
    if wire is None or wire is True:
        wire = w.Vad()
    if wire.type.lower() in _VAD_OFF:
        return c.VadOption(off=True)
    return c.VadOption(
        kind=wire.type.lower(),
        start_ms=max(40, wire.speech_padding - 50),
        stop_ms=_STOP_MS + wire.silence_padding,
        threshold=wire.voice_threshold,
        silence_timeout_ms=wire.silence_timeout,
    )


def recorder(wire: w.Recorder | bool | None) -> c.RecorderOption | None:
    """Translate a recording."""
    if wire is None or wire is False:
        return None
    if wire is True:
        return c.RecorderOption()
    container = "wav" if wire.format == "wav" else "opus"
    return c.RecorderOption(
        name=wire.recorder_file,
        sample_rate=wire.samplerate,
        container=container,
        tone_ms=wire.tone or 0,
        transcribe=wire.transcribe,
    )


def barge_in(wire: w.BargeIn | bool | None) -> c.BargeInOption:
    """Translate barge-in."""
    if wire is None or wire is False:
        return c.BargeInOption()
    if wire is True:
        return c.BargeInOption(server=True)
    option = c.BargeInOption(
        server=wire.mode == "server",
        min_speech_ms=wire.min_speech_ms,
        min_words=wire.min_words,
        fade_ms=wire.fade_ms,
    )
    if wire.fillers is None:
        return option
    return c.BargeInOption(
        server=option.server,
        min_speech_ms=option.min_speech_ms,
        min_words=option.min_words,
        fade_ms=option.fade_ms,
        fillers=tuple(filler.lower() for filler in wire.fillers),
    )


def _eou(wire: w.Eou | bool | None) -> c.EouOption | None:
    if wire is None or wire is False:
        return None
    if wire is True:
        return c.EouOption()
    # Without figures of their own the bounds keep their proportion to the time that was asked for.
    least, most = wire.min_silence, wire.max_silence
    return c.EouOption(
        silence_ms=wire.timeout,
        least_ms=wire.timeout * 2 // 5 if least is None else least,
        most_ms=wire.timeout * 3 if most is None else most,
        threshold=wire.threshold,
    )


def _amd(wire: w.Amd | bool | None) -> c.AmdOption | None:
    if wire is None or wire is False:
        return None
    wire = w.Amd() if wire is True else wire
    return c.AmdOption(silence_s=wire.silence / 1000, beep_s=wire.beep / 1000)


def _media_pass(wire: w.MediaPass | None) -> c.MediaPassOption | None:
    if wire is None:
        return None
    if not is_websocket(wire.url):
        raise CommandRejected("option.mediaPass.url must start with ws:// or wss://", sender="invite")
    stream = c.StreamOption(wire.url, two_way=True, protocol=wire.protocol, session=wire.session)
    if fault := header_fault(wire.headers):
        raise CommandRejected(f"option.mediaPass.headers: {fault}", sender="invite")
    for field, fault in stream_faults(stream).items():
        name = field.removeprefix("stream_")
        raise CommandRejected(f"option.mediaPass.{name}: {fault}", sender="invite")
    return c.MediaPassOption(
        url=with_plain_scheme(wire.url),
        input_sample_rate=wire.input_sample_rate,
        output_sample_rate=wire.output_sample_rate,
        packet_bytes=wire.packet_size,
        live=wire.live,
        protocol=wire.protocol,
        headers=wire.headers,
        session=wire.session,
    )


def _ambiance(wire: w.Ambiance | None) -> c.AmbianceOption | None:
    if wire is None:
        return None
    return c.AmbianceOption(path=wire.path, duck_level=wire.duck_level, normal_level=wire.normal_level)


def _names(value: str | list[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    return tuple(value)


def _extra(given: dict[str, Any], wire: type[w.Option]) -> dict[str, object]:
    known = wire.__struct_encode_fields__
    return {key: value for key, value in given.items() if key not in known}


def _seconds(value: str | float | None) -> float | None:
    """Read a timeout that clients give as a number or a text of seconds (``"30"``, ``"30s"``)."""
    if value is None or value == "":
        return None
    try:
        seconds = float(value.rstrip("s ")) if isinstance(value, str) else float(value)
    except ValueError:
        raise CommandRejected(f"option.handshakeTimeout: {value!r} is not a number of seconds") from None
    if not 1 <= seconds <= 600:
        raise CommandRejected("option.handshakeTimeout must be between 1 and 600 seconds")
    return seconds
