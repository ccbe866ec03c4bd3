"""Writer of own descriptions, offers and answers: one audio section, all others refused."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from softswitch.sdp.crypto import CryptoLine
from softswitch.sdp.description import Attribute, Connection, Description, Media, Origin
from softswitch.sdp.negotiate import AUDIO_LEVEL, DEFAULT_PTIME_MS, Direction, PayloadType, can_send
from softswitch.sdp.transport import (
    CandidateLine,
    Fingerprint,
    IceCredentials,
    Setup,
    is_acceptable_tag,
    tagged_index,
)

OPUS_FMTP = "minptime=10;useinbandfec=1"
EVENTS_FMTP = "0-15"
_NOWHERE = Connection("IP4", "0.0.0.0")  # noqa: S104  (a value in a text, nothing is bound to it)

_OFFERED = {
    "pcmu": PayloadType(0, "PCMU", 8000),
    "pcma": PayloadType(8, "PCMA", 8000),
    "g722": PayloadType(9, "G722", 8000),
    "opus": PayloadType(96, "opus", 48000, 2),
}
_EVENTS = {
    8000: PayloadType(101, "telephone-event", 8000),
    48000: PayloadType(97, "telephone-event", 48000),
}


@dataclass(frozen=True, slots=True)
class OwnTransport:
    """Local transport of media, with its keys."""

    profile: str
    """RTP/AVP, RTP/SAVP, UDP/TLS/RTP/SAVPF, ..."""
    address: str = ""
    """IP address; with ICE that of the default candidate is written instead."""
    port: int = 9
    mux: bool = True
    """Whether RTCP may share the port of RTP (RFC 5761)."""
    crypto: tuple[CryptoLine, ...] = ()
    fingerprint: Fingerprint | None = None
    setup: Setup = "actpass"
    credentials: IceCredentials | None = None
    """ICE credentials, None without ICE."""
    candidates: tuple[CandidateLine, ...] = ()
    complete: bool = True
    """Whether no further candidates follow."""


@dataclass(frozen=True, slots=True)
class OwnAudio:
    """Local side of an audio stream."""

    transport: OwnTransport
    formats: tuple[PayloadType, ...]
    """Codecs, then telephone-event formats."""
    ssrc: int
    cname: str
    direction: Direction = "sendrecv"
    ptime_ms: int = DEFAULT_PTIME_MS
    """Packet time to ask for, in milliseconds."""
    level_extension: int = 0
    mid: str = ""
    bitrate: int = 0
    """Opus bit rate to ask for, in bit/s; 0 asks for none."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Sections of a session, whose order never changes (RFC 3264 section 8)."""

    sections: tuple[Media, ...] = ()
    """Sections of the last description; the one at `index` is ignored."""
    index: int = 0
    """Index of the section that is used."""
    bundled: str = ""
    """mid of that section if it is in a bundle."""
    tag: int | None = None
    """Index of another section that carries the tag of its bundle, and so its transport.

    It is accepted as inactive: an offerer that bundles everything has no transport without it (RFC 9143
    section 7.3.1).
    """


def offered_formats(codecs: Sequence[str], preferred: str = "") -> tuple[PayloadType, ...]:
    """Return the formats of a first offer: codecs in order, and telephone events at their clock rates.

    Args:
        codecs: codec names in any case; unknown ones are ignored.
        preferred: codec to put first, in any case.
    """
    names = list(dict.fromkeys(name.lower() for name in codecs if name.lower() in _OFFERED))
    names.sort(key=lambda name: name != preferred.lower())
    found = [_OFFERED[name] for name in names]
    rates = dict.fromkeys(item.clock_rate for item in found)
    return (*found, *(_EVENTS[rate] for rate in rates))


def layout_of(description: Description, index: int) -> Layout:
    """Return the layout of a remote description whose section `index` is used."""
    section = description.media[index]
    tag = tagged_index(description, section)
    acceptable = tag is not None and tag != index and is_acceptable_tag(description.media[tag])
    return Layout(description.media, index, _bundled_mid(description, section), tag if acceptable else None)


def own_description(own: OwnAudio, layout: Layout, session: int, version: int) -> Description:
    """Return an own description.

    Args:
        own: stream to describe.
        layout: position of its section, and the other sections.
        session: session id, constant for the life of the leg.
        version: session version, which increases by one with every change (RFC 3264 section 8).
    """
    with_ice = own.transport.credentials is not None
    connection = None if with_ice else _connection(own.transport.address)
    attributes: list[Attribute] = []
    if layout.bundled:
        tag = layout.sections[layout.tag].first("mid") if layout.tag is not None else None
        attributes.append(
            Attribute("group", f"BUNDLE {tag} {layout.bundled}" if tag else f"BUNDLE {layout.bundled}")
        )
    if with_ice:
        attributes.append(Attribute("msid-semantic", "WMS *"))
    address = connection or Connection("IP4", "127.0.0.1")
    sections: list[Media] = []
    for index, media in enumerate(layout.sections or (None,)):
        if media is None or index == layout.index:
            sections.append(_served(own))
        elif index == layout.tag:
            sections.append(_inactive(media, own))
        else:
            sections.append(_refused(media, connection=_NOWHERE if with_ice else None))
    return Description(
        origin=Origin("-", str(session), str(version), "IN", address.family, address.address),
        connection=connection,
        attributes=tuple(attributes),
        media=tuple(sections),
    )


def _served(own: OwnAudio) -> Media:
    transport = own.transport
    port, connection = _default_address(transport)
    return Media(
        kind="audio",
        port=port,
        protocol=transport.profile,
        formats=tuple(str(item.number) for item in own.formats),
        connection=connection,
        attributes=(
            *_keys(transport),
            *([Attribute("mid", own.mid)] if own.mid else []),
            *([Attribute("extmap", f"{own.level_extension} {AUDIO_LEVEL}")] if own.level_extension else []),
            Attribute(own.direction),
            *([Attribute("rtcp-mux")] if transport.mux else []),
            *(line for item in own.formats for line in _format(item, own.bitrate)),
            Attribute("ptime", str(own.ptime_ms)),
            *_stream(own),
        ),
    )


def _default_address(transport: OwnTransport) -> tuple[int, Connection | None]:
    """Return the port and the ``c=`` line of a section; with ICE they are those of the default candidate."""
    if transport.credentials is None:
        return transport.port, None
    default = _default(transport.candidates)
    return (default.port, _connection(default.address)) if default else (9, _NOWHERE)


def _inactive(media: Media, own: OwnAudio) -> Media:
    """Return the section that carries the tag of the bundle: accepted with one format, without media."""
    port, connection = _default_address(own.transport)
    number = media.formats[0]
    described = [item for name in ("rtpmap", "fmtp") for item in media.attributes if item.name == name]
    return Media(
        kind=media.kind,
        port=port,
        protocol=media.protocol,
        formats=(number,),
        connection=connection,
        attributes=(
            *_keys(own.transport),
            Attribute("mid", media.first("mid")),
            Attribute("inactive"),
            *([Attribute("rtcp-mux")] if own.transport.mux else []),
            *(item for item in described if (item.value or "").split(" ")[0] == number),
        ),
    )


def _refused(media: Media, connection: Connection | None) -> Media:
    """Return a refused section: port 0, unchanged formats (RFC 3264 section 6)."""
    mid = media.first("mid")
    return Media(
        kind=media.kind,
        port=0,
        protocol=media.protocol,
        formats=media.formats,
        connection=connection,
        attributes=(Attribute("inactive"), *([Attribute("mid", mid)] if mid else [])),
    )


def _keys(transport: OwnTransport) -> Iterator[Attribute]:
    if transport.credentials is not None:
        yield Attribute("rtcp", "9 IN IP4 0.0.0.0")
        yield from (Attribute("candidate", candidate.text()) for candidate in transport.candidates)
        if transport.complete:
            yield Attribute("end-of-candidates")
        yield Attribute("ice-ufrag", transport.credentials.ufrag)
        yield Attribute("ice-pwd", transport.credentials.password)
        yield Attribute("ice-options", "trickle")
    yield from (Attribute("crypto", line.text()) for line in transport.crypto)
    if transport.fingerprint is not None:
        yield Attribute("fingerprint", f"{transport.fingerprint.algorithm} {transport.fingerprint.value}")
        yield Attribute("setup", transport.setup)


def _stream(own: OwnAudio) -> Iterator[Attribute]:
    """Yield msid and ssrc lines, so that a browser raises its `track` event with a stream.

    The source is named even while nothing is sent: Chromium drops a source that is not named, and Web Audio
    nodes of the page then get no audio after a hold.
    """
    if own.transport.credentials is None:
        return
    if can_send(own.direction):
        yield Attribute("msid", f"{own.cname} audio")
    yield Attribute("ssrc", f"{own.ssrc} cname:{own.cname}")
    yield Attribute("ssrc", f"{own.ssrc} msid:{own.cname} audio")


def _format(item: PayloadType, bitrate: int = 0) -> Iterator[Attribute]:
    yield Attribute("rtpmap", item.rtpmap)
    match item.name.lower():
        case "opus":
            limit = f";maxaveragebitrate={bitrate}" if bitrate else ""
            yield Attribute("fmtp", f"{item.number} {OPUS_FMTP}{limit}")
        case "telephone-event":
            yield Attribute("fmtp", f"{item.number} {EVENTS_FMTP}")


def _default(candidates: tuple[CandidateLine, ...]) -> CandidateLine | None:
    """Return the candidate that most peers can reach: relay, then srflx (RFC 8445 section 5.1.4)."""
    ranks = {"relay": 0, "srflx": 1}
    return min(candidates, key=lambda item: ranks.get(item.kind, 2), default=None)


def _connection(address: str) -> Connection:
    return Connection("IP6" if ":" in address else "IP4", address)


def _bundled_mid(description: Description, media: Media) -> str:
    mid = media.first("mid")
    for group in description.all("group"):
        members = group.split()
        if mid and members[:1] == ["BUNDLE"] and mid in members[1:]:
            return mid
    return ""
