"""Hold what an operator may set for Wavix's call control and streams."""

from typing import Literal

from softswitch.settings.section import Count, Section


class Wavix(Section, frozen=True):
    """Streams of calls to services outside, and the call control that starts them."""

    prebuffer_ms: Count = 60
    """Audio of a service collected before it sounds, in milliseconds; running out of it primes again."""
    timestamp: Literal["ms", "rtp"] = "ms"
    """What media.timestamp counts: milliseconds of the stream, or samples at 24 kHz."""
    extras: tuple[Literal["start", "dtmf", "mark_status", "hangup"], ...] = ()
    """What every stream has beyond the plain protocol: start tells more of the call, dtmf tells of keys,
    mark_status tells played from cleared marks, hangup lets the service end the call."""
    stream_secret: str = ""
    """Signs the handshake of streams: X-Softswitch-Signature has an HMAC-SHA256. Empty: no signature."""
