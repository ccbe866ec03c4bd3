"""The transport of an RTP port: sockets or inbox, and SRTP keys."""

from collections import deque
from dataclasses import dataclass, field

from softswitch.media.rtp.secure import SrtpPair
from softswitch.media.rtp.sockets import MediaSocket

INBOX_DATAGRAMS = 64
"""Most delivered datagrams queued per port: 50 packets of 20 ms make a second, and RTCP has room."""

Inbox = deque[bytes]


def new_inbox() -> Inbox:
    """Return a queue for delivered datagrams that drops its oldest one when it is full."""
    return deque(maxlen=INBOX_DATAGRAMS)


@dataclass(slots=True, eq=False)
class Link:
    """Sockets of one port, or the inbox used instead of them, and SRTP keys."""

    port: int
    slot: int
    inbox: Inbox
    keys: SrtpPair | None = None
    socket: MediaSocket | None = None
    control: MediaSocket | None = None
    """Socket of RTCP where it is not multiplexed with RTP (RFC 5761)."""
    control_keys: SrtpPair | None = None
    """Keys of RTCP where they differ from those of RTP."""
    is_connected: bool = False
    is_polled: bool = False
    """Datagrams come by the sockets, not by the inbox."""
    is_relayed: bool = False
    is_shared: bool = False
    """The socket belongs to ICE: its media go into the inbox, everything else to the event loop."""
    counts: dict[str, int] = field(default_factory=dict)
    """Refused datagrams by name of their counter."""
