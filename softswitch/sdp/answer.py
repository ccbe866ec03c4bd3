"""Write the answer of a WebRTC offer: one audio section served, the others refused (RFC 9429 section 5.3)."""

from dataclasses import dataclass

from softswitch.sdp.description import Description
from softswitch.sdp.negotiate import Agreement
from softswitch.sdp.own import OwnAudio, OwnTransport, layout_of, own_text
from softswitch.sdp.transport import CandidateLine, Fingerprint, IceCredentials, Setup


@dataclass(frozen=True, slots=True)
class Local:
    """Our side of the transport and of the stream."""

    session: int
    """Id of the description, constant over all answers of a leg."""
    version: int
    """Grows by one with each answer (RFC 3264 section 8)."""
    credentials: IceCredentials
    candidates: tuple[CandidateLine, ...]
    fingerprint: Fingerprint
    setup: Setup
    """active or passive."""
    ssrc: int
    cname: str
    bitrate: int = 0
    """Of Opus, bit/s, that we would like to get; 0 asks for nothing (RFC 7587 section 6.1)."""


def answer_text(offer: Description, agreement: Agreement, local: Local) -> str:
    """Return the answer to `offer` as text."""
    chosen = offer.media[agreement.index]
    own = OwnAudio(
        transport=OwnTransport(
            profile=chosen.protocol,
            fingerprint=local.fingerprint,
            setup=local.setup,
            credentials=local.credentials,
            candidates=local.candidates,
        ),
        formats=(agreement.codec, *agreement.events),
        ssrc=local.ssrc,
        cname=local.cname,
        direction=agreement.direction,
        level_extension=agreement.level_extension,
        mid=chosen.first("mid") or "",
        bitrate=local.bitrate,
    )
    return own_text(own, layout_of(offer, agreement.index), local.session, local.version)
