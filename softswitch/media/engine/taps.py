"""Taps: copies of the audio from or to ports, at the rate, encoding and packet size of their receiver."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from softswitch.audio import g711
from softswitch.audio.pcm import BUS_RATE, Pcm, to_octets
from softswitch.audio.resample import Resampler
from softswitch.media.feeds.stream_queue import StreamPush, StreamTable, StreamTap, epoch_ms
from softswitch.media.messages import AddTap
from softswitch.media.slots import Slots

_RATES = (8000, 16000, 24000, 48000)
_LAWS = {"pcm16": None, "pcmu": g711.ENCODING["PCMU"], "pcma": g711.ENCODING["PCMA"]}


class _Tap:
    """One tap, and the audio that does not fill a packet yet."""

    __slots__ = ("id", "inbound", "packet_bytes", "port", "rest", "slot", "stream")

    def __init__(self, message: AddTap, slot: int, stream: StreamTap | None) -> None:
        self.id, self.port, self.slot = message.tap, message.port, slot
        self.inbound = message.direction == "inbound"
        self.packet_bytes = message.packet_bytes
        self.rest = b""
        self.stream = stream
        """Writes its frames to the WebSocket of a stream."""

    def cut(self, data: bytes, frames: list[tuple[int, bytes]]) -> None:
        """Append whole packets to `frames`; keep the rest for the next tick."""
        if not self.packet_bytes:
            frames.append((self.id, data))
            return
        data = self.rest + data
        size = self.packet_bytes
        whole = len(data) // size * size
        frames.extend((self.id, data[start : start + size]) for start in range(0, whole, size))
        self.rest = data[whole:]


class _Format:
    """The taps of one sample rate and encoding, resampled and encoded together."""

    def __init__(self, sample_rate: int, encoding: str) -> None:
        self._law = _LAWS[encoding]
        self.taps: dict[int, _Tap] = {}
        self._order: _Order | None = None
        self._slots = Slots(16)
        self._resampler = Resampler(BUS_RATE, sample_rate) if sample_rate != BUS_RATE else None
        if self._resampler is not None:
            self._slots.on_growth(self._resampler.grow)

    def add(self, message: AddTap, stream: StreamTap | None) -> None:
        slot = self._slots.take()
        if self._resampler is not None:
            self._resampler.reset(slot)
        self.taps[message.tap] = _Tap(message, slot, stream)
        self._order = None

    def remove(self, tap: int) -> int:
        """Remove a tap; return the id of its stream, 0 for none."""
        gone, self._order = self.taps.pop(tap), None
        self._slots.release(gone.slot)
        return gone.stream.queue.id if gone.stream else 0

    def copy(
        self,
        said: Pcm,
        heard: Pcm,
        row_of: Mapping[int, int],
        frames: list[tuple[int, bytes]],
        roused: list[int],
        now_ms: Callable[[], int],
    ) -> None:
        order = self._order
        if order is None or order.row_of is not row_of:
            order = self._order = _Order(list(self.taps.values()), row_of)
        if not len(order.outbound):
            pcm = said.take(order.inbound, axis=0)
        else:
            pcm = np.concatenate((said[order.inbound], heard[order.outbound]))
        if self._resampler is not None:
            pcm = self._resampler.process(pcm, order.slots)
        data = to_octets(pcm) if self._law is None else g711.encode(self._law, pcm)
        if order.push is None:
            rows: Sequence[int] = range(len(order.taps))
        else:
            data = np.ascontiguousarray(data)
            rows, partial = order.push.push(data, now_ms())
            roused += partial
        for row in rows:
            order.taps[row].cut(data[row].tobytes(), frames)


class _Order:
    """The taps of a format in the order in which they are served, while the rows of ports are the same."""

    def __init__(self, taps: list[_Tap], row_of: Mapping[int, int]) -> None:
        self.row_of = row_of
        self.taps = sorted(taps, key=lambda tap: not tap.inbound)
        self.inbound = np.array([row_of[tap.port] for tap in self.taps if tap.inbound], np.intp)
        self.outbound = np.array([row_of[tap.port] for tap in self.taps if not tap.inbound], np.intp)
        self.slots = np.array([tap.slot for tap in self.taps], np.intp)
        streams = [tap.stream for tap in self.taps]
        self.push = StreamPush(streams) if any(streams) else None


class Taps:
    """All taps of the engine."""

    def __init__(self, streams: StreamTable | None = None, now_ms: Callable[[], int] = epoch_ms) -> None:
        """Begin without taps.

        Args:
            streams: the streams that taps may name.
            now_ms: returns epoch milliseconds.
        """
        self._streams, self._now_ms = streams if streams is not None else StreamTable(), now_ms
        self._formats: dict[tuple[int, str], _Format] = {}
        self._format_of: dict[int, tuple[int, str]] = {}

    def __len__(self) -> int:
        return len(self._format_of)

    def ports(self) -> set[int]:
        """Return the ids of the ports that a tap copies."""
        return {tap.port for form in self._formats.values() for tap in form.taps.values()}

    def add(self, message: AddTap) -> None:
        """Begin to copy a port.

        Raises:
            ValueError: the id is in use, or the sample rate is not 8, 16, 24 or 48 kHz.
        """
        if message.tap in self._format_of:
            raise ValueError(f"tap: {message.tap} is open already")
        if message.sample_rate not in _RATES:
            raise ValueError(f"sample_rate: {message.sample_rate} Hz is not one of {_RATES}")
        form = message.sample_rate, message.encoding
        if form not in self._formats:
            self._formats[form] = _Format(*form)
        stream: StreamTap | None = None
        if message.stream and not message.packet_bytes:
            queue = self._streams.use(message.stream)
            stream = queue.taps.get(message.tap) if queue is not None else None
            if stream is None:
                self._streams.release(message.stream)
        self._formats[form].add(message, stream)
        self._format_of[message.tap] = form

    def remove(self, tap: int) -> None:
        """Stop a tap; audio that does not fill a packet is dropped.

        Raises:
            KeyError: no tap has this id.
        """
        stream = self._formats[self._format_of.pop(tap)].remove(tap)
        if stream:
            self._streams.release(stream)

    def remove_port(self, port: int) -> None:
        """Stop the taps of a port that is closing."""
        for form in self._formats.values():
            for tap in [tap.id for tap in form.taps.values() if tap.port == port]:
                self.remove(tap)

    def copy(self, said: Pcm, heard: Pcm, row_of: Mapping[int, int]) -> list[tuple[int, bytes]]:
        """Return (tap, packet) of this tick.

        Args:
            said: audio from each port, ``(rows, 480)``.
            heard: audio to each port, ``(rows, 480)``.
            row_of: row by port id.
        """
        frames: list[tuple[int, bytes]] = []
        for form in self._formats.values():
            if form.taps:
                form.copy(said, heard, row_of, frames, self._streams.roused, self._now_ms)
        return frames
