"""The open ports, and the queues through which other threads hand audio to them."""

from collections.abc import Iterator
from typing import TypeVar

from softswitch.audio.pcm import TICK_MS
from softswitch.media import messages as m
from softswitch.media.engine.layout import Layout
from softswitch.media.feeds.feed_fifo import FeedFifo
from softswitch.media.feeds.feed_port import FeedFormat, FeedPort
from softswitch.media.feeds.feed_queue import CompiledFifo, new_fifo
from softswitch.media.lateness import Lateness
from softswitch.media.port import Port
from softswitch.media.rtp.link import Inbox, new_inbox
from softswitch.media.rtp.rtp_port import RtpPort
from softswitch.media.slots import Slots

AnyPort = TypeVar("AnyPort", bound=Port)

_LEAST_MS = 10
"""Queue behind the frame that a tick takes; enough for a source without jitter, milliseconds."""

_RATES = (8000, 16000, 24000, 48000)
_RATE_OF_CODEC = {"pcmu": 8000, "pcma": 8000, "g722": 16000}


def feed_format(message: m.AddFeedPort) -> FeedFormat:
    """Return the audio format of a feed port.

    Raises:
        ValueError: the codec is unknown, or the engine does not resample the rate of pcm.
    """
    if message.codec == "pcm":
        if message.sample_rate not in _RATES:
            raise ValueError(f"sample_rate: {message.sample_rate} Hz is not one of {_RATES}")
        return FeedFormat("pcm", message.sample_rate)
    if message.codec not in _RATE_OF_CODEC:
        raise ValueError(f"codec: {message.codec!r} is not one of pcm, {', '.join(_RATE_OF_CODEC)}")
    return FeedFormat(message.codec, _RATE_OF_CODEC[message.codec])


def _lateness(message: m.AddFeedPort, form: FeedFormat) -> Lateness | None:
    """Return the judge of a live source, None for a source that may send ahead."""
    if message.live is False:
        return None
    second = form.frame_bytes * 1000 / TICK_MS
    target = int(message.prebuffer_ms * second / 1000)
    least = form.frame_bytes + int(_LEAST_MS * second / 1000)
    return Lateness(second, target, sure=message.live is True, least_bytes=least)


class IngressQueues:
    """Queues through which other threads hand audio to ports; opened when a port is posted.

    Audio that comes between the posting of a port and the next tick is therefore kept.
    """

    def __init__(self) -> None:
        self.fifos: dict[int, FeedFifo | CompiledFifo] = {}
        self.inboxes: dict[int, Inbox] = {}

    def open(self, message: m.AddFeedPort | m.AddRtpPort) -> None:
        """Open the queue of a port unless it is open already.

        Raises:
            ValueError: the format is unknown, or the port neither speaks nor listens.
        """
        if isinstance(message, m.AddRtpPort):
            self.inboxes.setdefault(message.port, new_inbox())
            return
        if not (message.speaks or message.listens):
            raise ValueError("speaks, listens: at least one of them must be true")
        form = feed_format(message)
        if message.port not in self.fifos:
            bounds = message.buffer_ms, message.prebuffer_ms
            self.fifos[message.port] = new_fifo(form.frame_bytes, form.unit, *bounds)

    def close(self, port: int) -> None:
        """Remove the queue of a port."""
        self.fifos.pop(port, None)
        self.inboxes.pop(port, None)


class Registry:
    """Ports by id, their slots, and the layout of the rows of a tick."""

    def __init__(self, ingress: IngressQueues) -> None:
        """Begin without ports; feed ports take their queue from `ingress`."""
        self.slots = Slots()
        self._ingress = ingress
        self._ports: dict[int, Port] = {}
        self._layout: Layout | None = Layout()
        self._relayed: frozenset[int] = frozenset()
        self._silent: frozenset[int] = frozenset()
        self.uses = 0
        """Revision of taps, recordings and the like, which decide on relaying but not on the layout."""

    def __len__(self) -> int:
        return len(self._ports)

    def __contains__(self, port: int) -> bool:
        return port in self._ports

    def __iter__(self) -> Iterator[Port]:
        return iter(tuple(self._ports.values()))

    def get(self, port: int) -> Port:
        """Return a port.

        Raises:
            KeyError: no port has this id.
        """
        return self._ports[port]

    def add_rtp(self, message: m.AddRtpPort) -> RtpPort:
        """Add an RTP port that is not connected yet.

        Raises:
            ValueError: the id is in use.
        """
        self._refuse_twice(message.port)
        port = RtpPort(
            id=message.port,
            slot=self.slots.take(),
            own_mix=message.mix,
            mix=message.mix,
            speaks=False,
            listens=False,
        )
        return self._add(port)

    def add_feed(self, message: m.AddFeedPort) -> FeedPort:
        """Add a feed port.

        Raises:
            ValueError: the id is in use.
        """
        self._refuse_twice(message.port)
        port = FeedPort(
            id=message.port, slot=self.slots.take(), own_mix=message.mix, mix=message.mix,
            speaks=message.speaks, listens=message.listens,
            format=(form := feed_format(message)), fifo=self._ingress.fifos[message.port],
            lateness=_lateness(message, form),
        )  # fmt: skip
        return self._add(port)

    def remove(self, port: Port) -> None:
        """Remove a port and free its slot."""
        del self._ports[port.id]
        self.slots.release(port.slot)
        self._ingress.close(port.id)
        self._layout = None

    def changed(self) -> None:
        """Note that a port changed in a way that matters to the layout."""
        self._layout = None

    @property
    def is_changed(self) -> bool:
        """True while ports have changed since the last layout."""
        return self._layout is None

    def relay(self, relayed: frozenset[int], silent: frozenset[int]) -> None:
        """Set the slots that are sent relayed packets instead of the mix, and those that are not decoded."""
        self._relayed, self._silent = relayed, silent
        self._layout = None

    def layout(self) -> tuple[Layout, bool]:
        """Return the current layout, and whether it is a new one."""
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
