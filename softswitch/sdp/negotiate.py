"""Offer and answer (RFC 3264) for one audio stream: section, codec, events, packet time and direction."""

import ipaddress
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from softswitch.errors import PeerError
from softswitch.sdp.description import Description, Media, SdpError

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

CODECS = ("opus", "G722", "PCMU", "PCMA")
"""What can be decoded and encoded, as the SDP writes it."""

SECURE_PROFILES = frozenset({"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP"})
"""Profiles of DTLS-SRTP media; some WebRTC stacks leave out ``UDP/TLS`` (RFC 9429 section 5.1.2)."""
PLAIN_PROFILES = frozenset({"RTP/AVP", "RTP/AVPF"})

AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
"""Header extension with the loudness of a packet (RFC 6464)."""

DEFAULT_PTIME_MS = 20
PTIMES_MS = (10, 20, 30, 40, 50, 60)
OPUS_PTIMES_MS = (10, 20, 40, 60)
"""Durations that one Opus frame can have."""

_MIRROR: dict[Direction, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
_STATIC = {0: ("PCMU", 8000), 8: ("PCMA", 8000), 9: ("G722", 8000), 13: ("CN", 8000)}
# G722 states 8000 although it samples at 16000 (RFC 3551 section 4.5.2); 16000 there has no meaning.
_CLOCK_RATES = {"opus": 48000, "g722": 8000, "pcmu": 8000, "pcma": 8000, "cn": 8000}
_EVENT_CLOCK_RATES = (48000, 8000)
_RTPMAP = re.compile(r"([0-9]{1,3})\s+([A-Za-z0-9_.+-]{1,64})/([0-9]{1,6})(?:/([0-9]{1,3}))?")


class NotAcceptableError(PeerError):
    """Say that a description is understood and offers nothing that can be agreed on (SIP: 488)."""

    code = 488


@dataclass(frozen=True, slots=True)
class PayloadType:
    """One RTP payload type of a media section."""

    number: int
    """0-127."""
    name: str
    """Encoding name as the offer writes it."""
    clock_rate: int
    """Hz."""
    channels: int = 1
    fmtp: str = ""

    @property
    def rtpmap(self) -> str:
        """Return the value of ``a=rtpmap`` for it."""
        return f"{self.number} {self.name}/{self.clock_rate}" + (
            f"/{self.channels}" if self.channels > 1 else ""
        )

    def parameter(self, name: str) -> str | None:
        """Return one parameter of ``a=fmtp``, None when it is absent."""
        for part in self.fmtp.split(";"):
            key, _, value = part.partition("=")
            if key.strip().lower() == name:
                return value.strip()
        return None


@dataclass(frozen=True, slots=True)
class Agreement:
    """What an offer and our abilities have in common."""

    index: int
    """Number of the media section, from 0; the others are refused."""
    codec: PayloadType
    """The one audio codec of both directions."""
    events: tuple[PayloadType, ...]
    """telephone-event formats to understand, each clock rate once."""
    send_events: PayloadType | None
    """The one to send digits with; it shares the codec's stream, hence its clock (RFC 4733 section 2.1)."""
    offered: Direction
    """Direction as the far end sees it."""
    ptime_ms: int
    """Length of the packets the far end wants."""
    level_extension: int = 0
    """Id of the audio level header extension, 0 without one."""
    receive: tuple[PayloadType, ...] = ()
    """What may arrive where that is more than `codec` and `events`: an answerer may number formats anew, and
    send any of those it answered (RFC 3264 sections 6.1 and 7)."""

    @property
    def direction(self) -> Direction:
        """Return the direction of the answer, as we see it."""
        return _MIRROR[self.offered]

    @property
    def on_hold(self) -> bool:
        """Tell whether the far end does not want to hear us (RFC 3264 section 8.4)."""
        return self.offered in {"sendonly", "inactive"}

    @property
    def is_silent(self) -> bool:
        """Tell whether no audio is to be expected from the far end."""
        return self.offered in {"recvonly", "inactive"}


def negotiate(
    offer: Description,
    *,
    profiles: Collection[str],
    preferred: str = "",
    supported: Sequence[str] = CODECS,
    accepts: Callable[[Media], bool] | None = None,
    ptime_ms: int = DEFAULT_PTIME_MS,
) -> Agreement:
    """Agree on the first usable audio section of an offer.

    Args:
        offer: what the far end sent.
        profiles: transport profiles that can be served, in capitals.
        preferred: codec to take before the order of the offer, any case; one that is not offered is no error.
        supported: codecs that can be served, any case.
        accepts: tells whether the keys of a section can be served; None where the profile says it all.
        ptime_ms: packet time where the offer does not say.

    Raises:
        NotAcceptableError: there is no such section, or no codec of it is known.
    """
    sections = [(index, media) for index, media in enumerate(offer.media) if media.kind == "audio"]
    if not sections:
        raise NotAcceptableError("the offer has no audio section", field="offer")
    usable = [(index, media) for index, media in sections if media.protocol in profiles and is_open(media)]
    if not usable:
        raise NotAcceptableError(
            "no audio section of the offer is open with one of " + ", ".join(sorted(profiles)), field="offer"
        )
    if accepts is not None:
        usable = [(index, media) for index, media in usable if accepts(media)]
        if not usable:
            raise NotAcceptableError("no audio section of the offer has keys that can be used", field="offer")
    for index, media in usable:
        types = payload_types(media)
        if codec := _choose(types, preferred, supported):
            return _agree(offer, index, types, codec, ptime_ms)
    raise NotAcceptableError("the offer has none of the codecs " + ", ".join(supported), field="offer")


def payload_types(media: Media) -> tuple[PayloadType, ...]:
    """Return the payload types of a section in the order of its ``m=`` line.

    Those without a usable ``a=rtpmap`` and without a static meaning (RFC 3551 table 4) are left out, and so
    are codecs at a clock rate that they do not have.
    """
    maps = _rtpmaps(media)
    parameters = _fmtps(media)
    found = []
    for text in media.formats:
        if not (text.isascii() and text.isdigit()) or len(text) > 3 or int(text) > 127:
            continue
        number = int(text)
        name, clock_rate, channels = maps.get(number) or (*_STATIC.get(number, ("", 0)), 1)
        if name and _CLOCK_RATES.get(name.lower(), clock_rate) == clock_rate > 0:
            found.append(PayloadType(number, name, clock_rate, channels, parameters.get(number, "")))
    return tuple(found)


def media_address(offer: Description, media: Media) -> tuple[str, int]:
    """Return where plain RTP of a section goes (no ICE).

    Raises:
        SdpError: there is no ``c=`` line.
        NotAcceptableError: the address is not one of a single host, or the port is privileged.
    """
    connection = offer.connection_of(media)
    if connection is None:
        raise SdpError("the description has no c= line", field="sdp")
    try:
        address = ipaddress.ip_address(connection.address)
    except ValueError:
        raise NotAcceptableError("the c= line does not have an address", field="sdp") from None
    if address.is_multicast or address == ipaddress.IPv4Address("255.255.255.255"):
        raise NotAcceptableError("the c= line has a multicast or broadcast address", field="sdp")
    if media.port < 1024:
        raise NotAcceptableError(f"the port {media.port} is below 1024", field="sdp")
    return str(address), media.port


def direction_of(offer: Description, media: Media) -> Direction:
    """Return the direction of a section; an address of zeros is the hold of RFC 2543."""
    names = [item.name for item in (*media.attributes, *offer.attributes) if item.name in _MIRROR]
    direction: Direction = next((key for name in names[:1] for key in _MIRROR if key == name), "sendrecv")
    connection = offer.connection_of(media)
    # With ICE, zeros only mean that there are no candidates yet (RFC 8839 section 4.3.1).
    zeros = connection is not None and connection.address in {"0.0.0.0", "::"}  # noqa: S104
    if zeros and not media.has("ice-ufrag"):
        return "sendonly" if direction == "sendrecv" else "inactive" if direction == "recvonly" else direction
    return direction


def can_send(direction: Direction) -> bool:
    """Tell whether who states `direction` sends."""
    return direction in {"sendrecv", "sendonly"}


def can_receive(direction: Direction) -> bool:
    """Tell whether who states `direction` receives."""
    return direction in {"sendrecv", "recvonly"}


def narrowed(direction: Direction, far: Direction) -> Direction:
    """Return what is left of a direction where the other side states `far`."""
    sends = can_send(direction) and can_receive(far)
    receives = can_receive(direction) and can_send(far)
    if sends:
        return "sendrecv" if receives else "sendonly"
    return "recvonly" if receives else "inactive"


def is_open(media: Media) -> bool:
    """Tell whether a section is in use; with port 0 only as a part of a bundle (RFC 9143 section 6)."""
    return media.port != 0 or media.has("bundle-only")


def _choose(types: tuple[PayloadType, ...], preferred: str, supported: Sequence[str]) -> PayloadType | None:
    known = {name.lower() for name in supported}
    usable = [item for item in types if item.name.lower() in known]
    wanted = (item for item in usable if item.name.lower() == preferred.lower())
    return next(wanted, usable[0] if usable else None)


def _agree(
    offer: Description, index: int, types: tuple[PayloadType, ...], codec: PayloadType, ptime_ms: int
) -> Agreement:
    media = offer.media[index]
    events = {item.clock_rate: item for item in reversed(types) if item.name.lower() == "telephone-event"}
    understood = tuple(events[rate] for rate in _EVENT_CLOCK_RATES if rate in events)
    return Agreement(
        index=index,
        codec=codec,
        events=understood,
        send_events=events.get(codec.clock_rate),
        offered=direction_of(offer, media),
        ptime_ms=packet_time(media, codec, ptime_ms),
        level_extension=level_extension(media),
    )


def packet_time(media: Media, codec: PayloadType, default_ms: int = DEFAULT_PTIME_MS) -> int:
    """Return the packet time that a section asks for, within its maximum and what the codec can."""
    wanted = _milliseconds(media.first("ptime"))
    most = _milliseconds(media.first("maxptime"))
    ptime = wanted if wanted in PTIMES_MS else default_ms
    if PTIMES_MS[0] <= most < ptime:
        ptime = most // 10 * 10
    if codec.name.lower() == "opus":
        return max(ms for ms in OPUS_PTIMES_MS if ms <= ptime)
    return ptime


def _milliseconds(text: str | None) -> int:
    """Read a time, which some write as a decimal fraction; 0 when it makes no sense."""
    match = re.fullmatch(r"([0-9]{1,4})(?:\.[0-9]{1,6})?", (text or "").strip())
    return int(match[1]) if match else 0


def level_extension(media: Media) -> int:
    """Return the id of the audio level header extension, 0 without one."""
    for value in media.all("extmap"):
        identifier, _, rest = value.partition(" ")
        # Ids above 14 need the two-byte form (RFC 8285 section 4.3); one with a direction is not taken.
        if rest.split()[:1] == [AUDIO_LEVEL] and identifier.isascii() and identifier.isdigit():
            return int(identifier) if len(identifier) < 3 and 1 <= int(identifier) <= 14 else 0
    return 0


def _rtpmaps(media: Media) -> dict[int, tuple[str, int, int]]:
    maps: dict[int, tuple[str, int, int]] = {}
    for value in media.all("rtpmap"):
        if match := _RTPMAP.fullmatch(value):
            number, name, clock_rate, channels = match.groups()
            maps.setdefault(int(number), (name, int(clock_rate), int(channels or 1)))
    return maps


def _fmtps(media: Media) -> dict[int, str]:
    parameters: dict[int, str] = {}
    for value in media.all("fmtp"):
        number, _, text = value.partition(" ")
        if number.isascii() and number.isdigit() and len(number) <= 3:
            parameters.setdefault(int(number), text.strip()[:1024])
    return parameters
