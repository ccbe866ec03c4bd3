"""Ports: the places of legs in the engine, and the rows they get in each tick's arrays."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import numpy as np

from softswitch.audio.pcm import Indices
from softswitch.media.feed_fifo import FeedFifo
from softswitch.media.mixes import Mixing


@dataclass(slots=True, eq=False, kw_only=True)
class Port:
    """What every port has."""

    id: int
    slot: int
    """Its row in the arrays that outlive a tick."""
    own_mix: int
    """The mix of its own call, whose tracks it always hears."""
    mix: int
    """The mix it converses in: its own, unless it was bridged or joined a room."""
    speaks: bool
    """Others can hear it."""
    listens: bool
    """It can hear."""
    muted: bool = False

    @property
    def is_silenced(self) -> bool:
        """Tell whether nobody may hear it."""
        return self.muted


@dataclass(slots=True, eq=False, kw_only=True)
class RtpPort(Port):
    """A port whose audio travels as RTP; it neither speaks nor listens before it is connected."""

    held: bool = False
    """No media is not a fault."""
    sends: bool = True
    """The far end may be sent audio."""
    receives: bool = True
    """What the far end sends may be heard."""

    @property
    def is_open(self) -> bool:
        """Tell whether it is connected and everything may pass, both ways."""
        flows = self.listens and self.speaks and self.sends and self.receives
        return flows and not (self.held or self.muted)

    @property
    def is_silenced(self) -> bool:
        """Tell whether nobody may hear it."""
        return self.muted or not self.receives


@dataclass(frozen=True, slots=True, order=True)
class FeedFormat:
    """How the audio of a feed port is coded, both ways."""

    codec: str
    sample_rate: int

    @property
    def unit(self) -> int:
        """Bytes of a sample (of two in G.722)."""
        return 2 if self.codec == "pcm" else 1

    @property
    def frame_bytes(self) -> int:
        """Bytes of 20 ms."""
        return 160 if self.codec != "pcm" else self.sample_rate // 25


@dataclass(slots=True, eq=False, kw_only=True)
class FeedPort(Port):
    """A port whose audio comes and goes through the WebSocket of an application."""

    format: FeedFormat
    fifo: FeedFifo
    sent_frames: int = 0
    tail: int = 0
    """Frames still to be sent after the last sound, so that no filter keeps the end of it."""
    silent_ticks: int = 1 << 30
    """Ticks since its last audio."""


@dataclass(frozen=True, slots=True)
class FeedRows:
    """The rows of all feed ports of one format, which lie side by side."""

    format: FeedFormat
    first: int
    ports: tuple[FeedPort, ...]
    slots: Indices

    @property
    def rows(self) -> slice:
        """Return where they lie."""
        return slice(self.first, self.first + len(self.ports))


class Layout:
    """Which port has which row in a tick: connected RTP ports first, feed ports by format, then the rest.

    So the stages work on slices, and nothing is gathered or scattered where all ports of a kind take part.
    Relayed ports that nobody listens to have no row.
    """

    def __init__(
        self,
        ports: Iterable[Port] = (),
        relayed: frozenset[int] = frozenset(),
        silent: frozenset[int] = frozenset(),
    ) -> None:
        """Lay the ports out.

        Args:
            ports: all there are.
            relayed: slots whose far ends hear what is not mixed here.
            silent: those of them that are not listened to here either.
        """
        everyone = sorted(ports, key=attrgetter("slot"))
        rtp = [port for port in everyone if isinstance(port, RtpPort) and port.slot not in silent]
        feeds = [port for port in everyone if isinstance(port, FeedPort)]
        mixed = [port for port in rtp if port.listens and port.slot not in relayed]
        ready = mixed + [port for port in rtp if port.listens and port.slot in relayed]
        self.port_of = {port.slot: port for port in everyone}
        """Ports by slot, those without a row too."""
        self.mixed_rows = len(mixed)
        """Rows 0 up to here are RTP ports that are sent what they hear."""
        feeds.sort(key=attrgetter("format"))
        self.ports: tuple[Port, ...] = (*ready, *feeds, *(port for port in rtp if not port.listens))
        """By row."""
        self.slots: Indices = np.array([port.slot for port in self.ports], np.intp)
        """By row."""
        self.row_of = {port.id: row for row, port in enumerate(self.ports)}
        """Row by port id."""
        self.rtp_rows = len(ready)
        """Rows 0 up to here are connected RTP ports."""
        self.feeds = tuple(_feed_rows(feeds, len(ready)))
        self.muted = np.array([row for row, port in enumerate(self.ports) if port.is_silenced], np.intp)
        """Rows to be silenced."""
        self.mixing = Mixing(self.ports)
        self.alike: tuple[tuple[int, ...], ...] = tuple(_alike(mixed))
        """Slots of RTP ports that hear the same, in groups."""

    def __len__(self) -> int:
        return len(self.ports)

    @property
    def rtp_slots(self) -> Indices:
        """Return the slots of the connected RTP ports, by row."""
        return self.slots[: self.rtp_rows]

    @property
    def mixed_slots(self) -> Indices:
        """Return the slots of the RTP ports that are sent what they hear, by row."""
        return self.slots[: self.mixed_rows]


def _alike(ports: Iterable[Port]) -> Iterable[tuple[int, ...]]:
    """Yield the slots of ports of one mix that nobody may hear: those hear all there is, not all but one."""
    listeners: dict[int, list[int]] = defaultdict(list)
    for port in ports:
        if port.is_silenced and port.own_mix == port.mix:
            listeners[port.mix].append(port.slot)
    return (tuple(slots) for slots in listeners.values() if len(slots) > 1)


def _feed_rows(feeds: list[FeedPort], first: int) -> Iterable[FeedRows]:
    for form, group in groupby(feeds, key=attrgetter("format")):
        ports = tuple(group)
        yield FeedRows(form, first, ports, np.array([port.slot for port in ports], np.intp))
        first += len(ports)
