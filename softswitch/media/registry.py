"""The ports there are, and what threads other than the tick's may know of them."""

from collections.abc import Iterator
from typing import TypeVar

from softswitch.media import messages as m
from softswitch.media.feed_fifo import FeedFifo
from softswitch.media.link import Inbox, new_inbox
from softswitch.media.ports import FeedFormat, FeedPort, Layout, Port, RtpPort
from softswitch.media.slots import Slots

AnyPort = TypeVar("AnyPort", bound=Port)

_RATES = (8000, 16000, 24000, 48000)
_RATE_OF_CODEC = {"pcmu": 8000, "pcma": 8000, "g722": 16000}


def feed_format(order: m.AddFeedPort) -> FeedFormat:
    """Return the format that `order` asks for.

    Raises:
        ValueError: there is no such codec or rate.
    """
    if order.codec == "pcm":
        if order.sample_rate not in _RATES:
            raise ValueError(f"sample_rate: {order.sample_rate} Hz is none of {_RATES}")
        return FeedFormat("pcm", order.sample_rate)
    if order.codec not in _RATE_OF_CODEC:
        raise ValueError(f"codec: {order.codec!r} is none of pcm, {', '.join(_RATE_OF_CODEC)}")
    return FeedFormat(order.codec, _RATE_OF_CODEC[order.codec])


class Doors:
    """The queues by which audio comes in from other threads; they open when a port is posted.

    So nothing is lost that comes between the posting of a port and the next tick.
    """

    def __init__(self) -> None:
        """Begin with no door."""
        self.fifos: dict[int, FeedFifo] = {}
        self.inboxes: dict[int, Inbox] = {}

    def open(self, order: m.AddFeedPort | m.AddRtpPort) -> None:
        """Open the door of a port, unless it is there.

        Raises:
            ValueError: the order cannot be carried out.
        """
        if isinstance(order, m.AddRtpPort):
            self.inboxes.setdefault(order.port, new_inbox())
            return
        if not (order.speaks or order.listens):
            raise ValueError("speaks, listens: a port must do one of them")
        form = feed_format(order)
        if order.port not in self.fifos:
            bounds = order.buffer_ms, order.prebuffer_ms
            self.fifos[order.port] = FeedFifo(form.frame_bytes, form.unit, *bounds)

    def close(self, port: int) -> None:
        """Close the door of a port."""
        self.fifos.pop(port, None)
        self.inboxes.pop(port, None)


class Registry:
    """Ports by id, their slots, and the layout of the rows of a tick."""

    def __init__(self, doors: Doors) -> None:
        """Begin with no port."""
        self.slots = Slots()
        self._doors = doors
        self._ports: dict[int, Port] = {}
        self._layout: Layout | None = Layout()
        self._relayed: frozenset[int] = frozenset()
        self._silent: frozenset[int] = frozenset()
        self.uses = 0
        """Grows when what ports are used for changes, which does not matter to the layout."""

    def __len__(self) -> int:
        return len(self._ports)

    def __contains__(self, port: int) -> bool:
        return port in self._ports

    def __iter__(self) -> Iterator[Port]:
        return iter(tuple(self._ports.values()))

    def get(self, port: int) -> Port:
        """Return a port.

        Raises:
            KeyError: there is none with this id.
        """
        return self._ports[port]

    def add_rtp(self, order: m.AddRtpPort) -> RtpPort:
        """Make an RTP port, which is not connected yet.

        Raises:
            ValueError: there is a port with this id.
        """
        self._refuse_twice(order.port)
        port = RtpPort(
            id=order.port,
            slot=self.slots.take(),
            own_mix=order.mix,
            mix=order.mix,
            speaks=False,
            listens=False,
        )
        return self._add(port)

    def add_feed(self, order: m.AddFeedPort) -> FeedPort:
        """Make a feed port.

        Raises:
            ValueError: there is a port with this id.
        """
        self._refuse_twice(order.port)
        port = FeedPort(
            id=order.port, slot=self.slots.take(), own_mix=order.mix, mix=order.mix,
            speaks=order.speaks, listens=order.listens,
            format=feed_format(order), fifo=self._doors.fifos[order.port],
        )  # fmt: skip
        return self._add(port)

    def remove(self, port: Port) -> None:
        """Forget a port; its slot is free for another."""
        del self._ports[port.id]
        self.slots.release(port.slot)
        self._doors.close(port.id)
        self._layout = None

    def changed(self) -> None:
        """Say that a port was changed in a way that matters to the layout."""
        self._layout = None

    @property
    def is_changed(self) -> bool:
        """Tell whether ports have changed since the last layout."""
        return self._layout is None

    def relay(self, relayed: frozenset[int], silent: frozenset[int]) -> None:
        """Say which slots send nothing that is mixed, and which of them are not even listened to."""
        self._relayed, self._silent = relayed, silent
        self._layout = None

    def layout(self) -> tuple[Layout, bool]:
        """Return the layout of the ports as they are, and whether it is a new one."""
        if self._layout is not None:
            return self._layout, False
        self._layout = Layout(self._ports.values(), self._relayed, self._silent)
        return self._layout, True

    def _add(self, port: AnyPort) -> AnyPort:
        self._ports[port.id] = port
        self._layout = None
        return port

    def _refuse_twice(self, port: int) -> None:
        if port in self._ports:
            raise ValueError(f"port: {port} is open already")
