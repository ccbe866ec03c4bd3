"""Offer and answer (RFC 3264) for one audio stream: section, codec, events, packet time and direction."""

import ipaddress
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from softswitch.errors import PeerError
from softswitch.sdp.description import Description, Media, SdpError
from softswitch.sdp.transport import address_of, lookup

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

CODECS = ("opus", "G722", "PCMU", "PCMA")
"""Supported codecs, by their encoding names in SDP."""

SECURE_PROFILES = frozenset({"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP"})
"""Profiles of encrypted media; some WebRTC stacks omit ``UDP/TLS`` (RFC 9429 section 5.1.2)."""
PLAIN_PROFILES = frozenset({"RTP/AVP", "RTP/AVPF"})

AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
"""Header extension with the audio level of a packet (RFC 6464)."""

DEFAULT_PTIME_MS = 20
PTIMES_MS = (10, 20, 30, 40, 50, 60)
OPUS_PTIMES_MS = (10, 20, 40, 60)
"""Possible durations of an Opus packet of one frame, in milliseconds."""

_MIRROR: dict[Direction, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
_STATIC = {0: ("PCMU", 8000), 8: ("PCMA", 8000), 9: ("G722", 8000), 13: ("CN", 8000)}
# G722 has the clock rate 8000 although it samples at 16000 Hz (RFC 3551 section 4.5.2); 16000 is invalid.
_CLOCK_RATES = {"opus": 48000, "g722": 8000, "pcmu": 8000, "pcma": 8000, "cn": 8000}
_EVENT_CLOCK_RATES = (48000, 8000)
_RTPMAP = re.compile(r"([0-9]{1,3})\s+([A-Za-z0-9_.+-]{1,64})/([0-9]{1,6})(?:/([0-9]{1,3}))?")


class NotAcceptableError(PeerError):
    """A description is well-formed but has nothing to agree on (SIP: 488)."""

    code = 488


class PayloadType(NamedTuple):
    """An RTP payload type of a media section."""

    number: int
    """Payload type number, 0 to 127."""
    name: str
    """Encoding name as the offer spells it."""
    clock_rate: int
    """Hz."""
    channels: int = 1
    fmtp: str = ""

    @property
    def rtpmap(self) -> str:
        """Value of ``a=rtpmap``."""
        return f"{self.number} {self.name}/{self.clock_rate}" + (
            f"/{self.channels}" if self.channels > 1 else ""
        )

    def parameter(self, name: str) -> str | None:
        """Return a parameter of ``a=fmtp``, None if it is absent."""
        for part in self.fmtp.split(";"):
            key, _, value = part.partition("=")
            if key.strip().lower() == name:
                return value.strip()
        return None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Parameters of the audio stream that both parties support."""

    index: int
    """Index of the media section, from 0; all others are refused."""
    codec: PayloadType
    """Audio codec of both directions."""
    events: tuple[PayloadType, ...]
    """telephone-event formats to receive, one for each clock rate."""
    send_events: PayloadType | None
    """telephone-event format to send; it has the clock rate of the codec (RFC 4733 section 2.1)."""
    offered: Direction
    """Direction from the peer's point of view."""
    ptime_ms: int
    """Packet time that the peer asks for."""
    level_extension: int = 0
    """Id of the audio level header extension, 0 without one."""
    receive: tuple[PayloadType, ...] = ()
    """Payload types that may be received, if they are more than `codec` and `events`.

    An answerer may use other numbers, and send any format of its answer (RFC 3264 sections 6.1 and 7). An
    offerer may list the codec several times with different parameters, and send by any of these numbers.
    """

    @property
    def direction(self) -> Direction:
        """Direction of the answer, from the local point of view."""
        return _MIRROR[self.offered]

    @property
    def on_hold(self) -> bool:
        """Whether the peer put the call on hold and receives no audio (RFC 3264 section 8.4)."""
        return self.offered in {"sendonly", "inactive"}

    @property
    def is_silent(self) -> bool:
        """Whether the peer sends no audio."""
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
    """Return the agreement on the first usable audio section of an offer.

    Args:
        offer: offer of the peer.
        profiles: supported transport profiles, in capitals.
        preferred: codec to prefer to the order of the offer, in any case; it need not be offered.
        supported: supported codecs, in any case.
        accepts: returns whether the keys of a section are usable; None accepts all.
        ptime_ms: packet time in milliseconds if the offer has none.

    Raises:
        NotAcceptableError: There is no usable section, or none of its codecs is supported.
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
        types = tuple(item for item in payload_types(media) if not _is_odd_opus(offer, media, item))
        if codec := _choose(types, preferred, supported):
            return _agree(offer, index, types, codec, ptime_ms)
    if any(_is_odd_opus(offer, media, item) for _, media in usable for item in payload_types(media)):
        raise NotAcceptableError(
            "the offer has Opus with one channel in a=rtpmap; the only valid form is opus/48000/2 (RFC 7587"
            " section 7)",
            field="offer",
        )
    raise NotAcceptableError("the offer has none of the codecs " + ", ".join(supported), field="offer")


def payload_types(media: Media) -> tuple[PayloadType, ...]:
    """Return the payload types of a section in the order of its ``m=`` line.

    Types without ``a=rtpmap`` and static assignment (RFC 3551 table 4) are left out, as are codecs with an
    invalid clock rate.
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
    """Return the destination of the RTP of a section without ICE.

    Raises:
        SdpError: There is no ``c=`` line.
        NotAcceptableError: The address is not that of a single host, or the port is below 1024.
    """
    connection = offer.connection_of(media)
    if connection is None:
        raise SdpError("the description has no c= line", field="sdp")
    address = address_of(connection.address)
    if address is None:
        raise NotAcceptableError("the c= line does not have an address", field="sdp")
    if address.is_multicast or address == ipaddress.IPv4Address("255.255.255.255"):
        raise NotAcceptableError("the c= line has a multicast or broadcast address", field="sdp")
    if media.port < 1024:
        raise NotAcceptableError(f"the port {media.port} is below 1024", field="sdp")
    return str(address), media.port


def direction_of(offer: Description, media: Media) -> Direction:
    """Return the direction of a section; an unspecified address is a hold of RFC 2543."""
    names = [item.name for item in (*media.attributes, *offer.attributes) if item.name in _MIRROR]
    direction: Direction = next((key for name in names[:1] for key in _MIRROR if key == name), "sendrecv")
    connection = offer.connection_of(media)
    # With ICE, an unspecified address means that there are no candidates yet (RFC 8839 section 4.3.1).
    zeros = connection is not None and connection.address in {"0.0.0.0", "::"}  # noqa: S104
    if zeros and lookup(offer, media, "ice-ufrag") is None:
        return "sendonly" if direction == "sendrecv" else "inactive" if direction == "recvonly" else direction
    return direction


def can_send(direction: Direction) -> bool:
    """Return whether the party that states `direction` sends."""
    return direction in {"sendrecv", "sendonly"}


def can_receive(direction: Direction) -> bool:
    """Return whether the party that states `direction` receives."""
    return direction in {"sendrecv", "recvonly"}


def narrowed(direction: Direction, remote: Direction) -> Direction:
    """Return the direction that remains of `direction` if the other party states `remote`."""
    sends = can_send(direction) and can_receive(remote)
    receives = can_receive(direction) and can_send(remote)
    if sends:
        return "sendrecv" if receives else "sendonly"
    return "recvonly" if receives else "inactive"


def is_open(media: Media) -> bool:
    """Return whether a section is in use; with port 0 only as part of a bundle (RFC 9143 section 6)."""
    return media.port != 0 or media.has("bundle-only")


def _is_odd_opus(offer: Description, media: Media, item: PayloadType) -> bool:
    """Return whether a browser cannot decode this Opus format: it knows opus/48000/2 only.

    Telephones that leave out the number of channels decode it nevertheless.
    """
    return (
        item.name.lower() == "opus" and item.channels != 2 and lookup(offer, media, "ice-ufrag") is not None
    )


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
    again = tuple(item for item in types if item is not codec and _is_same_codec(item, codec))
    return Agreement(
        index=index,
        codec=codec,
        events=understood,
        send_events=events.get(codec.clock_rate),
        offered=direction_of(offer, media),
        ptime_ms=packet_time(media, codec, ptime_ms),
        level_extension=level_extension(media),
        receive=(codec, *understood, *again) if again else (),
    )


def _is_same_codec(item: PayloadType, codec: PayloadType) -> bool:
    return item.name.lower() == codec.name.lower() and item.clock_rate == codec.clock_rate


def packet_time(media: Media, codec: PayloadType, default_ms: int = DEFAULT_PTIME_MS) -> int:
    """Return the packet time of a section in milliseconds, within its maxptime and the codec's durations."""
    wanted = _milliseconds(media.first("ptime"))
    most = _milliseconds(media.first("maxptime"))
    ptime = wanted if wanted in PTIMES_MS else default_ms
    if PTIMES_MS[0] <= most < ptime:
        ptime = most // 10 * 10
    if codec.name.lower() == "opus":
        return max(ms for ms in OPUS_PTIMES_MS if ms <= ptime)
    return ptime


def _milliseconds(text: str | None) -> int:
    """Parse milliseconds, which some peers write with a decimal fraction; 0 for malformed text."""
    match = re.fullmatch(r"([0-9]{1,4})(?:\.[0-9]{1,6})?", (text or "").strip())
    return int(match[1]) if match else 0


def level_extension(media: Media) -> int:
    """Return the id of the audio level header extension, 0 without one."""
    for value in media.all("extmap"):
        identifier, _, rest = value.partition(" ")
        # Ids above 14 need the two-byte form (RFC 8285 section 4.3); an id with a direction is ignored.
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
