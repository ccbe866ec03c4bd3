"""RTP parameters of an engine port, from an SDP agreement."""

from dataclasses import dataclass
from random import Random

from msgspec import structs

from softswitch.media.messages import PayloadFormat, RtpParameters
from softswitch.sdp import Agreement, PayloadType

_AUDIO_RATES = {"opus": 48000, "g722": 16000}


@dataclass(frozen=True, slots=True)
class StreamIdentity:
    """Random values that identify an RTP stream, constant for the life of a leg."""

    ssrc: int
    sequence: int
    timestamp: int
    cname: str

    @classmethod
    def draw(cls, random: Random) -> "StreamIdentity":
        """Draw new values (RFC 3550 section 5.1: all of them random)."""
        bits = random.getrandbits(32 + 32 + 15 + 96)  # In one draw: each is a call of the system.
        return cls(
            ssrc=(bits & 0xFFFFFFFF) or 1,
            timestamp=bits >> 32 & 0xFFFFFFFF,
            # Below 2**15: an SRTP receiver that misses the first packets could mistake an early wrap
            # (RFC 3711 section 3.3.1).
            sequence=bits >> 64 & 0x7FFF,
            cname=f"{bits >> 79:024x}",
        )


NEAR_RESERVE_MS = 0
"""`reserve_ms` where the sender is another node: hardly a packet is lost or late between them.

A packet waits for the next tick anyway; where it often misses that, measured jitter adds a tick."""


def rtp_parameters(
    agreement: Agreement, identity: StreamIdentity, bitrate: int = 0, *, near: bool = False
) -> RtpParameters:
    """Return the parameters of an RTP port.

    Args:
        agreement: What was negotiated.
        identity: Of the own stream.
        bitrate: Of Opus in bit/s; 0: [media] opus_bitrate.
        near: The peer is another node of the switch.
    """
    codec = agreement.codec
    parameters = RtpParameters(
        receive=tuple(_format(item) for item in agreement.receive or (codec, *agreement.events)),
        send=_format(codec),
        send_events=_format(agreement.send_events) if agreement.send_events else None,
        ssrc=identity.ssrc,
        sequence=identity.sequence,
        timestamp=identity.timestamp,
        cname=identity.cname,
        ptime_ms=agreement.ptime_ms,
        bitrate=bitrate,
        most_bitrate=_most_bitrate(codec),
        level_extension=agreement.level_extension,
    )
    return structs.replace(parameters, reserve_ms=NEAR_RESERVE_MS) if near else parameters


def audio_rate(name: str) -> int:
    """Return the sampling rate of a codec of `CODECS`, in Hz."""
    return _AUDIO_RATES.get(name.lower(), 8000)


def _format(item: PayloadType) -> PayloadFormat:
    return PayloadFormat(item.name, item.number, item.clock_rate, item.fmtp)


def _most_bitrate(codec: PayloadType) -> int:
    """Return the highest Opus bit rate that the peer wants to receive (RFC 7587 section 6.1), 0 for any."""
    limit = codec.parameter("maxaveragebitrate") or ""
    return int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 8 else 0
