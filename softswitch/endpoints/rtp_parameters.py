"""From what was negotiated to what the engine needs to know of a stream."""

from dataclasses import dataclass
from random import Random

from softswitch.media.messages import PayloadFormat, RtpParameters
from softswitch.sdp import Agreement, PayloadType

OPUS_BITRATE = 32000
"""bit/s: with forward error correction the best of what was measured (docs/adr on sound)."""
OPUS_BITRATE_MIN = 6000

_AUDIO_RATES = {"opus": 48000, "g722": 16000}


@dataclass(frozen=True, slots=True)
class StreamIdentity:
    """What tells our RTP stream from all others, the same for the life of a leg."""

    ssrc: int
    sequence: int
    timestamp: int
    cname: str

    @classmethod
    def draw(cls, random: Random) -> "StreamIdentity":
        """Draw one (RFC 3550 section 5.1: all of it random)."""
        return cls(
            ssrc=random.randint(1, 2**32 - 1),
            # Low, so that the first wrap comes late enough for an SRTP receiver to follow (RFC 3711 3.3.1).
            sequence=random.getrandbits(15),
            timestamp=random.getrandbits(32),
            cname=f"{random.getrandbits(96):024x}",
        )


def rtp_parameters(agreement: Agreement, identity: StreamIdentity, bitrate: int = 0) -> RtpParameters:
    """Return the parameters of an RTP port; `bitrate`: of Opus, bit/s, 0 as usual."""
    codec = agreement.codec
    return RtpParameters(
        receive=tuple(_format(item) for item in agreement.receive or (codec, *agreement.events)),
        send=_format(codec),
        send_events=_format(agreement.send_events) if agreement.send_events else None,
        ssrc=identity.ssrc,
        sequence=identity.sequence,
        timestamp=identity.timestamp,
        cname=identity.cname,
        ptime_ms=agreement.ptime_ms,
        bitrate=_bitrate(codec, bitrate),
        level_extension=agreement.level_extension,
    )


def audio_rate(name: str) -> int:
    """Return the rate at which a codec of `CODECS` samples, in Hz."""
    return _AUDIO_RATES.get(name.lower(), 8000)


def _format(item: PayloadType) -> PayloadFormat:
    return PayloadFormat(item.name, item.number, item.clock_rate, item.fmtp)


def _bitrate(codec: PayloadType, wish: int) -> int:
    """Return our Opus bit rate: never more than the far end wants to receive (RFC 7587 section 6.1)."""
    wanted = codec.parameter("maxaveragebitrate") or ""
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 8:
        return max(OPUS_BITRATE_MIN, min(wish or OPUS_BITRATE, int(wanted)))
    return wish or OPUS_BITRATE
