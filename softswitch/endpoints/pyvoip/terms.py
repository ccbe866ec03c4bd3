"""What is agreed on with a far end in the words of pyVoIP: one G.711 stream, and keys as events."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from softswitch.endpoints.pyvoip.account import Address
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
"""What pyVoIP encodes and decodes, with the payload types that it knows them by."""


@dataclass(frozen=True, slots=True)
class Terms:
    """An offer or answer of the far end, reduced to what pyVoIP can do."""

    description: Description
    agreement: Agreement
    target: Address
    """Where its audio goes."""

    @property
    def codec(self) -> str:
        """Return PCMU or PCMA."""
        return self.agreement.codec.name.upper()

    def readable(self) -> str:
        """Return a description of one stream that pyVoIP can read.

        It stumbles over every other kind of media and profile, over attributes with two colons or none, opens
        one stream for each c= line on the same port, and takes payload types that it cannot play.
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
        """Return pyVoIP's answer with all sections of the offer, its profile and the direction that fits.

        Args:
            written: pyVoIP's own.
            version: grows with each answer of a call.
            host: where the far end reaches our audio.
        """
        ours = parse(written)
        stream = ours.media[0]
        sections = list(self.description.media)
        for index, section in enumerate(sections):
            if index != self.agreement.index:
                sections[index] = Media(section.kind, 0, section.protocol, section.formats)
                continue
            kept = [item for item in stream.attributes if item.name in ("rtpmap", "fmtp", "ptime")]
            direction = Attribute(self.agreement.direction)
            sections[index] = replace(stream, protocol=section.protocol, attributes=(*kept, direction))
        return renewed(replace(ours, media=tuple(sections)), version, host)

    def _events(self) -> list[PayloadType]:
        return [item for item in self.agreement.events if item.clock_rate == 8000]


def read_terms(body: bytes, codecs: Sequence[str]) -> Terms:
    """Read what the far end wrote.

    Args:
        body: a description.
        codecs: of ours, the best first; the order of the far end counts, but for the first of ours.

    Raises:
        MalformedError: it cannot be read.
        NotAcceptableError: there is nothing in it that pyVoIP can do.
    """
    description = parse(body)
    agreement = negotiate(description, profiles=PLAIN_PROFILES, supported=tuple(codecs))
    if agreement.codec.number != CODECS.get(agreement.codec.name.upper()):
        raise NotAcceptableError("G.711 under a dynamic payload type is not understood", field="sdp")
    address, port = media_address(description, description.media[agreement.index])
    if ":" in address:
        raise NotAcceptableError("the audio's address is not IPv4", field="sdp")
    return Terms(description, agreement, (address, port))


def renewed(description: Description, version: int, host: str) -> str:
    """Return a description of ours as text, with a version of its own (RFC 3264 section 8) and an address."""
    origin = description.origin
    own = Origin("-", origin.session, str(int(origin.session) + version), "IN", "IP4", host)
    return replace(description, origin=own, connection=Connection("IP4", host)).text()
