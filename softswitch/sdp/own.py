"""Write descriptions of ours: one audio section served, all others refused; offers and answers alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from softswitch.sdp.crypto import CryptoLine
from softswitch.sdp.description import Attribute, Connection, Description, Media, Origin
from softswitch.sdp.negotiate import AUDIO_LEVEL, DEFAULT_PTIME_MS, Direction, PayloadType, can_send
from softswitch.sdp.transport import CandidateLine, Fingerprint, IceCredentials, Setup

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
    """Where our media are, and how they are kept secret."""

    profile: str
    """RTP/AVP, RTP/SAVP, UDP/TLS/RTP/SAVPF, ..."""
    address: str = ""
    """Numeric; with ICE that of the default candidate comes in its place."""
    port: int = 9
    mux: bool = True
    """RTCP may share the port (RFC 5761)."""
    crypto: tuple[CryptoLine, ...] = ()
    fingerprint: Fingerprint | None = None
    setup: Setup = "actpass"
    credentials: IceCredentials | None = None
    """None: no ICE."""
    candidates: tuple[CandidateLine, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnAudio:
    """Our side of an audio stream."""

    transport: OwnTransport
    formats: tuple[PayloadType, ...]
    """Codecs, then telephone events."""
    ssrc: int
    cname: str
    direction: Direction = "sendrecv"
    ptime_ms: int = DEFAULT_PTIME_MS
    """Length of the packets we would like to get."""
    level_extension: int = 0
    mid: str = ""
    bitrate: int = 0
    """Of Opus, bit/s, that we would like to get; 0 asks for nothing."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The sections of a session: they keep their places for its whole life (RFC 3264 section 8)."""

    sections: tuple[Media, ...] = ()
    """As the last description had them; what it had at `index` is not looked at."""
    index: int = 0
    """The one that is served."""
    bundled: str = ""
    """mid of the served section where it is in a bundle."""


def offered_formats(codecs: Sequence[str], preferred: str = "") -> tuple[PayloadType, ...]:
    """Return what a first offer of ours has: codecs in order, and telephone events at their clocks.

    Args:
        codecs: names, any case; unknown ones are passed over.
        preferred: goes first if it is among them; any case.
    """
    names = list(dict.fromkeys(name.lower() for name in codecs if name.lower() in _OFFERED))
    names.sort(key=lambda name: name != preferred.lower())
    found = [_OFFERED[name] for name in names]
    rates = dict.fromkeys(item.clock_rate for item in found)
    return (*found, *(_EVENTS[rate] for rate in rates))


def layout_of(description: Description, index: int) -> Layout:
    """Return the sections of a description of theirs, of which we serve that at `index`."""
    return Layout(description.media, index, _bundled_mid(description, description.media[index]))


def own_text(own: OwnAudio, layout: Layout, session: int, version: int) -> str:
    """Return a description of ours as text.

    Args:
        own: the stream.
        layout: which section it is, and what others there are.
        session: id of the description, constant for the life of the leg.
        version: grows by one with every change (RFC 3264 section 8).
    """
    with_ice = own.transport.credentials is not None
    connection = None if with_ice else _connection(own.transport.address)
    attributes: list[Attribute] = []
    if layout.bundled:
        attributes.append(Attribute("group", f"BUNDLE {layout.bundled}"))
    if with_ice:
        attributes.append(Attribute("msid-semantic", "WMS *"))
    address = connection or Connection("IP4", "127.0.0.1")
    sections: list[Media] = []
    for index, media in enumerate(layout.sections or (None,)):
        if media is None or index == layout.index:
            sections.append(_served(own))
        else:
            sections.append(_refused(media, connection=_NOWHERE if with_ice else None))
    return Description(
        origin=Origin("-", str(session), str(version), "IN", address.family, address.address),
        connection=connection,
        attributes=tuple(attributes),
        media=tuple(sections),
    ).text()


def _served(own: OwnAudio) -> Media:
    transport = own.transport
    port, connection = transport.port, None
    if transport.credentials is not None:
        default = _default(transport.candidates)
        port = default.port if default else 9
        connection = _connection(default.address) if default else _NOWHERE
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


def _refused(media: Media, connection: Connection | None) -> Media:
    """Refuse a section: port 0, the formats as they came (RFC 3264 section 6)."""
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
        yield Attribute("end-of-candidates")
        yield Attribute("ice-ufrag", transport.credentials.ufrag)
        yield Attribute("ice-pwd", transport.credentials.password)
        yield Attribute("ice-options", "trickle")
    yield from (Attribute("crypto", line.text()) for line in transport.crypto)
    if transport.fingerprint is not None:
        yield Attribute("fingerprint", f"{transport.fingerprint.algorithm} {transport.fingerprint.value}")
        yield Attribute("setup", transport.setup)


def _stream(own: OwnAudio) -> Iterator[Attribute]:
    """Name our stream, so that a browser raises its `track` event with a stream in it.

    The source is named even while nothing is sent: Chromium forgets one that is not, and what a page has
    listening to it by Web Audio stays deaf after the hold.
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
            wish = f";maxaveragebitrate={bitrate}" if bitrate else ""
            yield Attribute("fmtp", f"{item.number} {OPUS_FMTP}{wish}")
        case "telephone-event":
            yield Attribute("fmtp", f"{item.number} {EVENTS_FMTP}")


def _default(candidates: tuple[CandidateLine, ...]) -> CandidateLine | None:
    """Return the candidate that is most likely to be reached (RFC 8445 section 5.1.4)."""
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
