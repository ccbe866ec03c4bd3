"""The port of a leg whose audio comes and goes in pieces over a WebSocket, and its audio format."""

from dataclasses import dataclass, field

from softswitch.audio.pcm import Indices, Pcm
from softswitch.media.feeds.feed_fifo import FeedFifo
from softswitch.media.feeds.feed_queue import CompiledFifo, FeedTable, table_of
from softswitch.media.lateness import Lateness
from softswitch.media.port import Port


@dataclass(frozen=True, slots=True, order=True)
class FeedFormat:
    """Encoding of a feed port's audio, the same in both directions."""

    codec: str
    """pcm (16 bit little endian), pcmu, pcma or g722."""
    sample_rate: int
    """Hz."""

    @property
    def unit(self) -> int:
        """Bytes of the smallest piece that can be decoded: a sample, or two samples in G.722."""
        return 2 if self.codec == "pcm" else 1

    @property
    def frame_bytes(self) -> int:
        """Bytes of 20 ms."""
        # G.711 and G.722 carry 64 kbit/s: 8 bytes a millisecond. PCM has 2 bytes a sample: 2 * rate / 50.
        return 160 if self.codec != "pcm" else self.sample_rate // 25


@dataclass(slots=True, eq=False, kw_only=True)
class FeedPort(Port):
    """A port fed by :meth:`Engine.feed`; what it hears leaves in ``Output.frames``."""

    format: FeedFormat
    fifo: FeedFifo | CompiledFifo
    lateness: Lateness | None = None
    """Judge of a live source; None for a source that may send ahead."""
    held: Pcm | None = None
    """Rest of a compressed frame, less than 20 ms at the bus rate, to be played before the next frame."""
    caught_up_ms: float = 0.0
    """Late audio that was discarded, milliseconds."""
    sent_frames: int = 0
    tail: int = 0
    """Frames still to be sent after the last sound, so that the resampling filter gives out its end."""
    silent_ticks: int = 1 << 30
    """Ticks since the last audio came from the fifo; compiled code counts these, and frames, by itself."""

    def __post_init__(self) -> None:
        """Tell compiled code what it serves."""
        if isinstance(self.fifo, CompiledFifo):
            self.fifo.belong(self.lateness, speaks=self.speaks)

    @property
    def sent(self) -> int:
        """Number of frames that were handed out for the port."""
        return self.sent_frames + (self.fifo.sent_frames if isinstance(self.fifo, CompiledFifo) else 0)


@dataclass(frozen=True, slots=True)
class FeedRows:
    """Consecutive rows of a tick: all feed ports of one format."""

    format: FeedFormat
    first: int
    ports: tuple[FeedPort, ...]
    slots: Indices
    all_rows: list[int] = field(init=False)
    """The rows of the ports, in order; callers must not change it."""
    all_listen: bool = field(init=False)
    """Whether all ports listen; another layout is made when that changes."""
    table: FeedTable | None = field(init=False)
    """The queues of the ports, where all are in compiled code."""

    def __post_init__(self) -> None:
        """Look at the ports once."""
        # The class is frozen.
        object.__setattr__(self, "all_rows", list(range(self.first, self.first + len(self.ports))))
        object.__setattr__(self, "all_listen", all(port.listens for port in self.ports))
        object.__setattr__(self, "table", table_of([port.fifo for port in self.ports]))

    @property
    def rows(self) -> slice:
        """The rows of the ports in the arrays of the tick."""
        return slice(self.first, self.first + len(self.ports))
