"""Which port has which row in the arrays of a tick."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter

import numpy as np

from softswitch.audio.pcm import Indices
from softswitch.media.engine.mixes import Mixing
from softswitch.media.feeds.feed_port import FeedPort, FeedRows
from softswitch.media.port import Port
from softswitch.media.rtp.rtp_port import RtpPort


class Layout:
    """Row of every port in a tick: connected RTP ports first, then feed ports by format, then the rest.

    Every step of the tick therefore works on a slice of rows; nothing has to be gathered or scattered where
    all ports of a kind take part. Relayed ports whose audio no step reads have no row.
    """

    def __init__(
        self,
        ports: Iterable[Port] = (),
        relayed: frozenset[int] = frozenset(),
        silent: frozenset[int] = frozenset(),
    ) -> None:
        """Give every port its row.

        Args:
            ports: all ports of the engine.
            relayed: slots whose remote parties are sent relayed packets instead of the mix.
            silent: slots among `relayed` that are not decoded either, because no step reads their audio.
        """
        by_slot = sorted(ports, key=attrgetter("slot"))
        rtp = [port for port in by_slot if isinstance(port, RtpPort) and port.slot not in silent]
        feeds = [port for port in by_slot if isinstance(port, FeedPort)]
        mixed = [port for port in rtp if port.listens and port.slot not in relayed]
        ready = mixed + [port for port in rtp if port.listens and port.slot in relayed]
        self.port_of = {port.slot: port for port in by_slot}
        """Port by slot, including ports without a row."""
        self.mixed_rows = len(mixed)
        """Rows below this number are RTP ports that are sent the mix."""
        feeds.sort(key=attrgetter("format"))
        self.ports: tuple[Port, ...] = (*ready, *feeds, *(port for port in rtp if not port.listens))
        """Port by row."""
        self.slots: Indices = np.array([port.slot for port in self.ports], np.intp)
        """Slot by row."""
        self.row_of = {port.id: row for row, port in enumerate(self.ports)}
        """Row by port id."""
        self.rtp_rows = len(ready)
        """Rows below this number are connected RTP ports."""
        self.rtp_slots: Indices = self.slots[: self.rtp_rows]
        """Slots of the connected RTP ports, by row."""
        self.mixed_slots: Indices = self.slots[: self.mixed_rows]
        """Slots of the RTP ports that are sent the mix, by row."""
        self.feeds = tuple(_feed_rows(feeds, len(ready)))
        self.muted = np.array([row for row, port in enumerate(self.ports) if port.is_silenced], np.intp)
        """Rows whose audio is set to zero before the mix."""
        self.mixing = Mixing(self.ports)
        whispered_to = frozenset(one for port in by_slot for one in port.audience or ())
        self.alike: tuple[tuple[int, ...], ...] = tuple(_alike(mixed, whispered_to))
        """Groups of slots of RTP ports that hear the same, so that one encoding serves each group."""

    def __len__(self) -> int:
        return len(self.ports)


def _alike(ports: Iterable[Port], whispered_to: frozenset[int]) -> Iterable[tuple[int, ...]]:
    """Yield groups of slots whose ports hear the same.

    A port that speaks hears its mix without itself, so its sound is its own. Silenced ports of one mix all
    hear the whole mix, but for those that a supervisor whispers to.
    """
    listeners: dict[int, list[int]] = defaultdict(list)
    for port in ports:
        if port.is_silenced and port.own_mix == port.mix and port.id not in whispered_to:
            listeners[port.mix].append(port.slot)
    return (tuple(slots) for slots in listeners.values() if len(slots) > 1)


def _feed_rows(feeds: list[FeedPort], first: int) -> Iterable[FeedRows]:
    for form, group in groupby(feeds, key=attrgetter("format")):
        ports = tuple(group)
        yield FeedRows(form, first, ports, np.array([port.slot for port in ports], np.intp))
        first += len(ports)
