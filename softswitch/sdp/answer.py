"""Write the answer of a WebRTC offer: one audio section served, the others refused (RFC 9429 section 5.3)."""

from collections.abc import Iterator
from dataclasses import dataclass

from softswitch.sdp.description import Attribute, Connection, Description, Media, Origin
from softswitch.sdp.negotiate import AUDIO_LEVEL, Agreement, PayloadType
from softswitch.sdp.transport import CandidateLine, Fingerprint, IceCredentials, Setup

OPUS_FMTP = "minptime=10;useinbandfec=1"
EVENTS_FMTP = "0-15"
PTIME_MS = 20
_NOWHERE = Connection("IP4", "0.0.0.0")  # noqa: S104  (a value in a text, nothing is bound to it)


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


def answer_text(offer: Description, agreement: Agreement, local: Local) -> str:
    """Return the answer to `offer` as text."""
    chosen = offer.media[agreement.index]
    attributes = []
    if mid := _bundled_mid(offer, chosen):
        attributes.append(Attribute("group", f"BUNDLE {mid}"))
    attributes.append(Attribute("msid-semantic", "WMS *"))
    return Description(
        origin=Origin("-", str(local.session), str(local.version), "IN", "IP4", "127.0.0.1"),
        attributes=tuple(attributes),
        media=tuple(
            _served(media, agreement, local) if index == agreement.index else _refused(media)
            for index, media in enumerate(offer.media)
        ),
    ).text()


def _served(media: Media, agreement: Agreement, local: Local) -> Media:
    formats = (agreement.codec, *agreement.events)
    default = _default(local.candidates)
    connection = _NOWHERE
    if default:
        connection = Connection("IP6" if ":" in default.address else "IP4", default.address)
    return Media(
        kind="audio",
        port=default.port if default else 9,
        protocol=media.protocol,
        formats=tuple(str(item.number) for item in formats),
        connection=connection,
        attributes=(
            *_transport(local),
            *_copied(media, "mid"),
            *_level(agreement),
            Attribute(agreement.direction),
            Attribute("rtcp-mux"),
            *(line for item in formats for line in _format(item)),
            Attribute("ptime", str(PTIME_MS)),
            *_stream(agreement, local),
        ),
    )


def _default(candidates: tuple[CandidateLine, ...]) -> CandidateLine | None:
    """Return the candidate that is most likely to be reached (RFC 8445 section 5.1.4)."""
    ranks = {"relay": 0, "srflx": 1}
    return min(candidates, key=lambda item: ranks.get(item.kind, 2), default=None)


def _refused(media: Media) -> Media:
    """Refuse a section: port 0, the formats as they came (RFC 3264 section 6)."""
    return Media(
        kind=media.kind,
        port=0,
        protocol=media.protocol,
        formats=media.formats,
        connection=_NOWHERE,
        attributes=(Attribute("inactive"), *_copied(media, "mid")),
    )


def _transport(local: Local) -> Iterator[Attribute]:
    yield Attribute("rtcp", "9 IN IP4 0.0.0.0")
    yield from (Attribute("candidate", candidate.text()) for candidate in local.candidates)
    yield Attribute("end-of-candidates")
    yield Attribute("ice-ufrag", local.credentials.ufrag)
    yield Attribute("ice-pwd", local.credentials.password)
    yield Attribute("ice-options", "trickle")
    yield Attribute("fingerprint", f"{local.fingerprint.algorithm} {local.fingerprint.value}")
    yield Attribute("setup", local.setup)


def _stream(agreement: Agreement, local: Local) -> Iterator[Attribute]:
    """Name our stream, so that a browser raises its `track` event with a stream in it."""
    if agreement.direction in {"sendrecv", "sendonly"}:
        yield Attribute("msid", f"{local.cname} audio")
        yield Attribute("ssrc", f"{local.ssrc} cname:{local.cname}")
        yield Attribute("ssrc", f"{local.ssrc} msid:{local.cname} audio")


def _format(item: PayloadType) -> Iterator[Attribute]:
    yield Attribute("rtpmap", item.rtpmap)
    match item.name.lower():
        case "opus":
            yield Attribute("fmtp", f"{item.number} {OPUS_FMTP}")
        case "telephone-event":
            yield Attribute("fmtp", f"{item.number} {EVENTS_FMTP}")


def _level(agreement: Agreement) -> Iterator[Attribute]:
    if agreement.level_extension:
        yield Attribute("extmap", f"{agreement.level_extension} {AUDIO_LEVEL}")


def _copied(media: Media, name: str) -> Iterator[Attribute]:
    if value := media.first(name):
        yield Attribute(name, value)


def _bundled_mid(offer: Description, media: Media) -> str | None:
    mid = media.first("mid")
    for group in offer.all("group"):
        members = group.split()
        if mid and members[:1] == ["BUNDLE"] and mid in members[1:]:
            return mid
    return None
