"""Settings of Wavix call control and streams."""

from typing import Literal

from softswitch.settings.section import Count, Section


class Wavix(Section, frozen=True):
    """Wavix call control, and the streams that it starts to external services."""

    prebuffer_ms: Count = 60
    """Milliseconds of a service's audio to buffer before playing it; the same again after an underrun."""
    timestamp: Literal["ms", "rtp"] = "ms"
    """Unit of media.timestamp: milliseconds of the stream, or samples at 24 kHz."""
    extras: tuple[Literal["start", "dtmf", "mark_status", "hangup"], ...] = ()
    """Additions to the stream protocol. start: more fields of the call. dtmf: key events. mark_status:
    whether a mark was played or cleared. hangup: the service may end the call."""
    per_minute: float = 0.0
    """Price of a call's minute in US dollars, which records of calls show. Every begun minute counts."""
    voices: tuple[str, ...] = (
        "Ivy=slt",
        "Joanna=slt",
        "Kendra=slt",
        "Kimberly=slt",
        "Salli=slt",
        "Joey=rms",
        "Justin=rms",
        "Matthew=rms",
        "Conchita=es",
        "Lucia=es",
        "Enrique=es",
        "Marlene=de",
        "Vicki=de",
        "Hans=de",
        "Tatyana=ru",
        "Maxim=ru",
    )
    """Voices of the switch for voices of requests, as NAME=VOICE. A name that is not listed stays."""
    stream_secret: str = ""
    """Secret for the HMAC-SHA256 in X-Softswitch-Signature of stream handshakes. Empty: no signature."""
