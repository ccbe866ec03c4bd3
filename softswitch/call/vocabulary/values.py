"""Values that commands, effects and the interfaces of legs and streams have in common."""

from typing import Literal

import msgspec

StreamChannel = Literal["inbound", "outbound", "both"]
StreamTrack = Literal["inbound", "outbound"]
StreamExtra = Literal["start", "dtmf", "mark_status", "hangup"]
Stage = Literal["dialling", "ringing", "early"]
"""Progress of a party that is dialled: not alerted yet, alerted, or heard already (early media)."""
WaitingSound = Literal["music", "ringback"]
SuperviseMode = Literal["listen", "whisper", "join", "take_over"]
"""Who hears a supervisor: none, the agent alone, all; or the supervisor takes the agent's place."""
AgentSide = Literal["first", "second"]
"""The side of the agent in a supervised call: its first party, or all the others."""
PlaybackStatus = Literal["started", "drained", "cleared"]
"""What happened to the audio of a service: it began to sound, it ran out, it was dropped on request."""


class Candidate(msgspec.Struct, frozen=True):
    """One ICE candidate of the peer (RFC 8839).

    The text is ``candidate:...`` without ``a=``; an empty text says that no further candidates follow.
    """

    text: str
    mid: str | None = None
    line: int | None = None


class SipOption(msgspec.Struct, frozen=True):
    """Credentials and further headers for a call to a SIP server."""

    username: str = ""
    password: str = ""
    realm: str = ""
    contact: str = ""
    headers: dict[str, str] = {}


class Subject(msgspec.Struct, frozen=True):
    """The participant of a call that an event is about, or that a command is for."""

    kind: Literal["party", "second", "machine"]
    """party: the first party; second: the party that was dialled later; machine: a playback."""
    name: str = ""
    """Of the party the id of its call, of the machine the layer it speaks on (empty: the main one)."""


SECOND_PARTY = Subject("second")
"""The party that the switch dialled, or that took its place."""


def party_of(call_id: str) -> Subject:
    """Return the first party of a call."""
    return Subject("party", call_id)


def machine_on(layer: str) -> Subject:
    """Return what the machine says on a layer."""
    return Subject("machine", layer)
