"""Evaluation of the answer to an own offer (RFC 3264 section 7)."""

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
    """The ``a=crypto`` lines of an offer and its answer that belong together."""

    own: CryptoLine
    remote: CryptoLine


def accept(offer: Description, answer: Description) -> Agreement:
    """Return the agreement that an answer to an own offer makes.

    The first codec of the answer is used for sending; all its codecs may be received.

    Raises:
        NotAcceptableError: The answer refuses the stream, changes its encryption, or has no codec of the
        offer.
    """
    index = _served_index(offer)
    own = offer.media[index]
    if index >= len(answer.media) or answer.media[index].kind != "audio":
        raise NotAcceptableError("the answer does not have the sections of the offer", field="answer")
    remote = answer.media[index]
    if not is_open(remote):
        raise NotAcceptableError("the answer refuses the audio", field="answer")
    if not _is_alike(own.protocol, remote.protocol):
        raise NotAcceptableError(f"the answer has {remote.protocol}, not {own.protocol}", field="answer")
    offered, answered = payload_types(own), payload_types(remote)
    common = [item for item in answered if _like(item, offered)]
    known = {name.lower() for name in CODECS}
    codec = next((item for item in common if item.name.lower() in known), None)
    if codec is None:
        raise NotAcceptableError("the answer has none of the codecs of the offer", field="answer")
    events = tuple(item for item in common if item.name.lower() == _EVENTS)
    wanted = direction_of(offer, own)
    return Agreement(
        index=index,
        codec=codec,
        events=events,
        send_events=next((item for item in events if item.clock_rate == codec.clock_rate), None),
        offered=narrowed(direction_of(answer, remote), wanted),
        ptime_ms=packet_time(remote, codec, packet_time(own, codec)),
        level_extension=level_extension(remote),
        receive=_receivable(offered, common),
    )


def accepted_keys(own: Sequence[CryptoLine], answer: Media) -> KeyPair:
    """Return the keys that an answer selected.

    Raises:
        NotAcceptableError: The answer has no key with the tag and suite of an offered one.
    """
    for remote in crypto_lines(answer):
        for line in own:
            if (line.tag, line.suite) == (remote.tag, remote.suite):
                return KeyPair(line, remote)
    raise NotAcceptableError("the answer has no a=crypto that was offered", field="answer")


def _served_index(offer: Description) -> int:
    return next(index for index, media in enumerate(offer.media) if media.kind == "audio" and is_open(media))


def _is_alike(own: str, remote: str) -> bool:
    """Return whether a profile may answer another one: feedback may differ, encryption may not."""
    return any(own in family and remote in family for family in (PLAIN_PROFILES, SECURE_PROFILES))


def _like(item: PayloadType, others: Sequence[PayloadType]) -> PayloadType | None:
    name = item.name.lower()
    return next((o for o in others if o.name.lower() == name and o.clock_rate == item.clock_rate), None)


def _receivable(offered: Sequence[PayloadType], common: Sequence[PayloadType]) -> tuple[PayloadType, ...]:
    """Return the receivable payload types: by the offer's numbers, and by the answer's where these are free.

    The peer must use the numbers of the offer, but some use those of their answer.
    """
    found: dict[int, PayloadType] = {}
    for item in common:
        if own := _like(item, offered):
            found.setdefault(own.number, own)
    for item in common:
        found.setdefault(item.number, item)
    return tuple(found.values())
