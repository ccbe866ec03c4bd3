"""Negotiation within the abilities of pyVoIP: one G.711 stream, and digits as events."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from softswitch.legs.pyvoip.account import Address
from softswitch.sdp import (
    PLAIN_PROFILES,
    Agreement,
    Attribute,
    Connection,
    Description,
    Media,
    NotAcceptableError,
    Origin,
    PayloadType,
    media_address,
    negotiate,
    parse,
)

CODECS = {"PCMU": 0, "PCMA": 8}
"""Codecs of pyVoIP, with their static payload types."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The peer's offer or answer, reduced to what pyVoIP supports."""

    description: Description
    agreement: Agreement
    target: Address
    """Address to send audio to."""

    @property
    def codec(self) -> str:
        """Return PCMU or PCMA."""
        return self.agreement.codec.name.upper()

    def readable(self) -> str:
        """Return a description of one stream that pyVoIP can parse.

        pyVoIP fails on every other kind of media and profile, and on attributes with two colons or none. It
        opens a stream for each c= line on the same port, and accepts payload types that it cannot play.
        """
        types = [self.agreement.codec, *self._events()]
        lines = [
            "v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=-", f"c=IN IP4 {self.target[0]}", "t=0 0",
            f"m=audio {self.target[1]} RTP/AVP {' '.join(str(item.number) for item in types)}",
            f"a=rtpmap:{self.agreement.codec.number} {self.codec}/8000",
            *(f"a=rtpmap:{item.number} telephone-event/8000" for item in self._events()),
            "a=sendrecv",
        ]  # fmt: skip
        return "\r\n".join(lines) + "\r\n"

    def answer(self, written: bytes, version: int, host: str) -> str:
        """Return pyVoIP's answer with all sections of the offer, its profile and the right direction.

        Args:
            written: the answer that pyVoIP wrote.
            version: counter of the answers of a call.
            host: local address of the audio.
        """
        local = parse(written)
        stream = local.media[0]
        sections = list(self.description.media)
        for index, section in enumerate(sections):
            if index != self.agreement.index:
                sections[index] = Media(section.kind, 0, section.protocol, section.formats)
                continue
            kept = [item for item in stream.attributes if item.name in ("rtpmap", "fmtp", "ptime")]
            direction = Attribute(self.agreement.direction)
            sections[index] = replace(stream, protocol=section.protocol, attributes=(*kept, direction))
        return renewed(replace(local, media=tuple(sections)), version, host)

    def _events(self) -> list[PayloadType]:
        return [item for item in self.agreement.events if item.clock_rate == 8000]


def read_terms(body: bytes, codecs: Sequence[str]) -> Terms:
    """Parse a description of the peer.

    Args:
        body: the description.
        codecs: local codecs in order of preference; the peer's order counts, but for the first one.

    Raises:
        MalformedError: it is malformed.
        NotAcceptableError: pyVoIP supports nothing in it.
    """
    description = parse(body)
    agreement = negotiate(description, profiles=PLAIN_PROFILES, supported=tuple(codecs))
    if agreement.codec.number != CODECS.get(agreement.codec.name.upper()):
        raise NotAcceptableError("sdp: pyVoIP needs the static payload type of G.711", field="sdp")
    address, port = media_address(description, description.media[agreement.index])
    if ":" in address:
        raise NotAcceptableError("sdp: pyVoIP needs an IPv4 address", field="sdp")
    return Terms(description, agreement, (address, port))


def renewed(description: Description, version: int, host: str) -> str:
    """Return a local description as text, with a new version (RFC 3264 section 8) and address."""
    origin = description.origin
    own = Origin("-", origin.session, str(int(origin.session) + version), "IN", "IP4", host)
    return replace(description, origin=own, connection=Connection("IP4", host)).text()
