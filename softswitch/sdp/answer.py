"""Writer of the answer to a WebRTC offer: one audio section, the others refused (RFC 9429 section 5.3)."""

from dataclasses import dataclass

from softswitch.sdp.description import Description
from softswitch.sdp.negotiate import Agreement
from softswitch.sdp.own import OwnAudio, OwnTransport, layout_of, own_description
from softswitch.sdp.transport import CandidateLine, Fingerprint, IceCredentials, Setup


@dataclass(frozen=True, slots=True)
class Local:
    """Local side of the transport and of the stream."""

    session: int
    """Session id, constant for all answers of a leg."""
    version: int
    """Session version, which increases by one with each answer (RFC 3264 section 8)."""
    credentials: IceCredentials
    candidates: tuple[CandidateLine, ...]
    fingerprint: Fingerprint
    setup: Setup
    """active or passive."""
    ssrc: int
    cname: str
    bitrate: int = 0
    """Opus bit rate to ask for, in bit/s; 0 asks for none (RFC 7587 section 6.1)."""
    complete: bool = True
    """Whether no further candidates follow."""


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
            complete=local.complete,
        ),
        formats=(agreement.codec, *agreement.events),
        ssrc=local.ssrc,
        cname=local.cname,
        direction=agreement.direction,
        level_extension=agreement.level_extension,
        mid=chosen.first("mid") or "",
        bitrate=local.bitrate,
    )
    return own_description(own, layout_of(offer, agreement.index), local.session, local.version).text()
