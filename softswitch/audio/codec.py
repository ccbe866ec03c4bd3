"""Codecs as values: names and parameters in SDP, and sample rates."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Codec:
    """Encoding of audio, or of telephone events, in RTP."""

    name: str
    """Encoding name as in the SDP: ``PCMU``, ``PCMA``, ``G722``, ``opus``, ``L16``, ``telephone-event``."""

    payload_type: int
    """RTP payload type, 0-127; dynamic types are those that the switch offers."""

    clock_rate: int
    """Clock rate of the RTP timestamp, Hz, as in ``a=rtpmap``."""

    sample_rate: int
    """Rate at which the bank decodes and encodes, Hz."""

    channels: int = 1
    """Channels in ``a=rtpmap``. Opus always states 2 (RFC 7587 section 7), although the bank is mono."""

    fmtp: str = ""
    """Parameters for ``a=fmtp``, empty for none."""

    @property
    def rtpmap(self) -> str:
        """Return the value of ``a=rtpmap`` behind the payload type, such as ``opus/48000/2``."""
        return f"{self.name}/{self.clock_rate}" + (f"/{self.channels}" if self.channels > 1 else "")

    def samples(self, ptime_ms: int) -> int:
        """Return how many samples of the bank's rate `ptime_ms` milliseconds are."""
        return self.sample_rate * ptime_ms // 1000

    def timestamp_step(self, ptime_ms: int) -> int:
        """Return by how much the RTP timestamp grows in `ptime_ms` milliseconds."""
        return self.clock_rate * ptime_ms // 1000

    def with_payload_type(self, payload_type: int) -> "Codec":
        """Return the same codec under another RTP payload type.

        Raises:
            ValueError: `payload_type` is not 0-127.
        """
        if not 0 <= payload_type <= 127:
            raise ValueError(f"payload_type: {payload_type} is not within 0-127")
        return replace(self, payload_type=payload_type)


PCMU = Codec("PCMU", 0, 8000, 8000)
PCMA = Codec("PCMA", 8, 8000, 8000)

G722 = Codec("G722", 9, 8000, 16000)
"""RFC 3551 section 4.5.2: the RTP clock is 8000 Hz by a historical error, kept for compatibility."""

OPUS = Codec("opus", 111, 48000, 24000, 2, "minptime=10;useinbandfec=1")
"""RFC 7587: the RTP clock is 48 kHz whatever is coded; the bank decodes to the bus rate of 24 kHz."""

L16_8000 = Codec("L16", 112, 8000, 8000)
L16_16000 = Codec("L16", 113, 16000, 16000)
L16_24000 = Codec("L16", 114, 24000, 24000)
L16_48000 = Codec("L16", 115, 48000, 48000)

TELEPHONE_EVENT_8000 = Codec("telephone-event", 101, 8000, 8000, 1, "0-15")
TELEPHONE_EVENT_48000 = Codec("telephone-event", 110, 48000, 8000, 1, "0-15")
"""RFC 4733; a browser wants events at the clock rate of its audio codec."""

STATIC = {codec.payload_type: codec for codec in (PCMU, PCMA, G722)}
"""Codecs an SDP may name by payload type alone (RFC 3551 table 4)."""
