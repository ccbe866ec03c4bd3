"""From the ``option`` of a command to the options of the common call model."""

import re
from typing import Any

from softswitch.call import commands as c
from softswitch.call.commands import CommandRejected
from softswitch.call.needs import SipOption
from softswitch.dialects.rustpbx import wire_commands as w
from softswitch.log.masking import mask

_HEADER = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_OURS = frozenset(
    "via v from f to t call-id i cseq contact m max-forwards route record-route content-length l content-type"
    " c content-encoding e authorization proxy-authorization www-authenticate proxy-authenticate require"
    " supported k rack rseq session-expires x min-se replaces".split()
)
"""Headers that belong to the dialog, the transaction or the body (and their short forms)."""
_STOP_MS = 200
"""Silence always needed before speech is over; ``silencePadding`` comes on top."""


def call_option(wire: w.CallOption, message: dict[str, Any]) -> c.CallOption:
    """Translate the option of an invite or accept; raises CommandRejected."""
    given: dict[str, Any] = message.get("option") or {}
    return c.CallOption(
        caller=wire.caller,
        callee=wire.callee,
        offer=wire.offer,
        codec=wire.codec.lower(),
        sample_rate=wire.samplerate,
        asr=asr(wire.asr, given.get("asr") or {}) if wire.asr is not None else None,
        tts=tts(wire.tts or w.Tts(), given.get("tts") or {}),
        vad=vad(wire.vad),
        recorder=recorder(wire.recorder),
        denoise=wire.denoise,
        eou=_eou(wire.eou),
        barge_in=barge_in(wire.barge_in),
        media_pass=_media_pass(wire.media_pass),
        ambiance=_ambiance(wire.ambiance),
        subscribe=wire.subscribe,
        inband_dtmf=wire.inband_dtmf,
        binary_events=wire.binary_events,
        inactivity_s=wire.inactivity_timeout,
        handshake_s=_seconds(wire.handshake_timeout),
        headers=headers(wire.sip.headers) if wire.sip else {},
        sip=sip(wire.sip),
        shown=mask(given),
    )


def sip(wire: w.Sip | None) -> SipOption:
    """Translate how to prove who we are; raises CommandRejected."""
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
    """Return headers for a SIP message; raises CommandRejected for what would be another header, or ours."""
    for name, value in given.items():
        if not _HEADER.fullmatch(name) or not value.isprintable():
            raise CommandRejected(f"headers: {name[:64]!r} is no header of one line")
        if name.lower() in _OURS:
            raise CommandRejected(f"headers: {name!r} is written by the switch")
    return given


def asr(wire: w.Asr, given: dict[str, Any]) -> c.AsrOption:
    """Translate how speech is to be recognised; what is not known here goes to the provider."""
    return c.AsrOption(
        providers=_names(wire.provider),
        language=wire.language,
        model=wire.model or wire.model_type,
        grammar=tuple(wire.grammar) if isinstance(wire.grammar, list) else wire.grammar,
        hotwords=_names(wire.hotwords),
        extra=_extra(given, w.Asr),
    )


def tts(wire: w.Tts, given: dict[str, Any], speaker: str = "") -> c.TtsOption:
    """Translate how text is to be spoken; ``speaker`` of the command itself goes first."""
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
    """Translate how speech is told from silence; absent means on, with the defaults."""
    if wire is False:
        return c.VadOption(off=True)
    if wire is None or wire is True:
        wire = w.Vad()
    return c.VadOption(
        kind=wire.type.lower(),
        start_ms=max(40, wire.speech_padding - 50),
        stop_ms=_STOP_MS + wire.silence_padding,
        threshold=wire.voice_threshold,
        silence_timeout_ms=wire.silence_timeout,
    )


def recorder(wire: w.Recorder | bool | None) -> c.RecorderOption | None:
    """Translate what to record."""
    if wire is None or wire is False:
        return None
    if wire is True:
        return c.RecorderOption()
    container = "wav" if wire.format == "wav" else "opus"
    return c.RecorderOption(name=wire.recorder_file, sample_rate=wire.samplerate, container=container)


def barge_in(wire: w.BargeIn | bool | None) -> c.BargeInOption:
    """Translate who stops the machine when the party speaks."""
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
    return c.EouOption() if wire is True else c.EouOption(silence_ms=wire.timeout)


def _media_pass(wire: w.MediaPass | None) -> c.MediaPassOption | None:
    if wire is None:
        return None
    if not wire.url.startswith(("ws://", "wss://")):
        raise CommandRejected("option.mediaPass.url must start with ws:// or wss://", sender="invite")
    return c.MediaPassOption(
        url=wire.url,
        input_sample_rate=wire.input_sample_rate,
        output_sample_rate=wire.output_sample_rate,
        packet_bytes=wire.packet_size,
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
    """Read a time-out that clients give as a number or a text of seconds (``"30"``, ``"30s"``)."""
    if value is None or value == "":
        return None
    try:
        seconds = float(value.rstrip("s ")) if isinstance(value, str) else float(value)
    except ValueError:
        raise CommandRejected(f"option.handshakeTimeout: {value!r} is no number of seconds") from None
    if not 1 <= seconds <= 600:
        raise CommandRejected("option.handshakeTimeout must be between 1 and 600 seconds")
    return seconds
