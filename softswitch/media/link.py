"""The way between an RTP port and its far end."""

from collections import deque
from dataclasses import dataclass, field

from softswitch.media.secure import SrtpPair
from softswitch.media.sockets import MediaSocket

INBOX_DATAGRAMS = 64
"""Delivered datagrams that wait for the tick, per port: a second of audio, with room for RTCP."""

Inbox = deque[bytes]


def new_inbox() -> Inbox:
    """Return a queue for delivered datagrams; the oldest goes when it is full."""
    return deque(maxlen=INBOX_DATAGRAMS)


@dataclass(slots=True, eq=False)
class Link:
    """The sockets of one port, or the queue that stands for them, and its keys."""

    port: int
    slot: int
    inbox: Inbox
    keys: SrtpPair | None = None
    socket: MediaSocket | None = None
    control: MediaSocket | None = None
    """The socket of RTCP, where it is not that of RTP."""
    control_keys: SrtpPair | None = None
    """Of RTCP, where they are not those of RTP."""
    is_connected: bool = False
    is_polled: bool = False
    """What comes, comes by the sockets, not by the queue."""
    is_relayed: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    """What was refused, by the name of its counter."""
