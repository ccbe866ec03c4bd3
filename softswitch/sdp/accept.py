"""Take the answer to an offer of ours (RFC 3264 section 7)."""

from collections.abc import Sequence
from dataclasses import dataclass

from softswitch.sdp.crypto import CryptoLine, crypto_lines
from softswitch.sdp.description import Description, Media
from softswitch.sdp.negotiate import (
    CODECS,
    PLAIN_PROFILES,
    SECURE_PROFILES,
    Agreement,
    NotAcceptableError,
    PayloadType,
    direction_of,
    is_open,
    level_extension,
    narrowed,
    packet_time,
    payload_types,
)

_EVENTS = "telephone-event"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The two lines that an offer and its answer agree on."""

    ours: CryptoLine
    theirs: CryptoLine


def accept(offer: Description, answer: Description) -> Agreement:
    """Return what an answer makes of an offer of ours.

    Of several codecs the first is taken for what we send; all of them may arrive.

    Raises:
        NotAcceptableError: it refuses the stream, changes how it is keyed, or has no codec of the offer.
    """
    index = _served_index(offer)
    ours = offer.media[index]
    if index >= len(answer.media) or answer.media[index].kind != "audio":
        raise NotAcceptableError("the answer has not the sections of the offer", field="answer")
    theirs = answer.media[index]
    if not is_open(theirs):
        raise NotAcceptableError("the answer refuses the audio", field="answer")
    if not _is_alike(ours.protocol, theirs.protocol):
        raise NotAcceptableError(f"the answer has {theirs.protocol}, not {ours.protocol}", field="answer")
    offered, answered = payload_types(ours), payload_types(theirs)
    common = [item for item in answered if _like(item, offered)]
    known = {name.lower() for name in CODECS}
    codec = next((item for item in common if item.name.lower() in known), None)
    if codec is None:
        raise NotAcceptableError("the answer has none of the codecs of the offer", field="answer")
    events = tuple(item for item in common if item.name.lower() == _EVENTS)
    wanted = direction_of(offer, ours)
    return Agreement(
        index=index,
        codec=codec,
        events=events,
        send_events=next((item for item in events if item.clock_rate == codec.clock_rate), None),
        offered=narrowed(direction_of(answer, theirs), wanted),
        ptime_ms=packet_time(theirs, codec, packet_time(ours, codec)),
        level_extension=level_extension(theirs),
        receive=_receivable(offered, common),
    )


def accepted_keys(ours: Sequence[CryptoLine], answer: Media) -> KeyPair:
    """Return the keys that an answer has chosen.

    Raises:
        NotAcceptableError: it has none, or one of a tag and suite that were not offered.
    """
    for theirs in crypto_lines(answer):
        for line in ours:
            if (line.tag, line.suite) == (theirs.tag, theirs.suite):
                return KeyPair(line, theirs)
    raise NotAcceptableError("the answer has no a=crypto that was offered", field="answer")


def _served_index(offer: Description) -> int:
    return next(index for index, media in enumerate(offer.media) if media.kind == "audio" and is_open(media))


def _is_alike(ours: str, theirs: str) -> bool:
    """Tell whether a profile answers another: with or without feedback; never in the clear instead."""
    return any(ours in family and theirs in family for family in (PLAIN_PROFILES, SECURE_PROFILES))


def _like(item: PayloadType, others: Sequence[PayloadType]) -> PayloadType | None:
    name = item.name.lower()
    return next((o for o in others if o.name.lower() == name and o.clock_rate == item.clock_rate), None)


def _receivable(offered: Sequence[PayloadType], common: Sequence[PayloadType]) -> tuple[PayloadType, ...]:
    """Return what may arrive: by our numbers, as it must be, and by theirs where those are free."""
    found: dict[int, PayloadType] = {}
    for item in common:
        if ours := _like(item, offered):
            found.setdefault(ours.number, ours)
    for item in common:
        found.setdefault(item.number, item)
    return tuple(found.values())
