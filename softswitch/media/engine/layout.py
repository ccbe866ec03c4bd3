"""Which port has which row in the arrays of a tick."""

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
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
        mixed: list[RtpPort] = []
        others: list[RtpPort] = []
        unready: list[RtpPort] = []
        feeds: list[FeedPort] = []
        whispered_to: set[int] = set()
        self.port_of: dict[int, Port] = {}
        """Port by slot, including ports without a row."""
        for port in sorted(ports, key=attrgetter("slot")):
            slot = port.slot
            self.port_of[slot] = port
            if port.audience:
                whispered_to |= port.audience
            if isinstance(port, FeedPort):
                feeds.append(port)
            elif slot not in silent and isinstance(port, RtpPort):
                (unready if not port.listens else others if slot in relayed else mixed).append(port)
        ready = mixed + others
        self.mixed_rows = len(mixed)
        """Rows below this number are RTP ports that are sent the mix."""
        if feeds:
            feeds.sort(key=attrgetter("format"))
        self.ports: tuple[Port, ...] = (*ready, *feeds, *unready)
        """Port by row."""
        self.slots: Indices = np.array([port.slot for port in self.ports], np.intp)
        """Slot by row."""
        self.row_of = {port.id: row for row, port in enumerate(self.ports)}
        """Row by port id."""
        self.rtp_rows = len(ready)
        """Rows below this number are connected RTP ports."""
        self.written_rows = len(ready) + len(feeds)
        """Rows below this number are written in every tick: connected RTP ports and feed ports."""
        self.rtp_slots: Indices = self.slots[: self.rtp_rows]
        """Slots of the connected RTP ports, by row."""
        self.mixed_slots: Indices = self.slots[: self.mixed_rows]
        """Slots of the RTP ports that are sent the mix, by row."""
        self.feeds = tuple(_feed_rows(feeds, len(ready))) if feeds else ()
        self.muted = np.array([row for row, port in enumerate(self.ports) if port.is_silenced], np.intp)
        """Rows whose audio is set to zero before the mix."""
        self.mixing = Mixing(self.ports)
        self.alike: tuple[tuple[int, ...], ...] = tuple(_alike(mixed, whispered_to)) if mixed else ()
        """Groups of slots of RTP ports that hear the same, so that one encoding serves each group."""

    def __len__(self) -> int:
        return len(self.ports)


def _alike(ports: Iterable[Port], whispered_to: AbstractSet[int]) -> Iterable[tuple[int, ...]]:
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
