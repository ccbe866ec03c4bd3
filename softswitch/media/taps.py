"""Taps: copies of what ports say or hear, in the rate and the packet size that somebody outside wants."""

from collections.abc import Mapping

import numpy as np

from softswitch.audio.pcm import BUS_RATE, Pcm, to_octets
from softswitch.audio.resample import Resampler
from softswitch.media.messages import AddTap
from softswitch.media.slots import Slots

_RATES = (8000, 16000, 24000, 48000)


class _Tap:
    """One tap, and what is left of its last packet."""

    __slots__ = ("id", "inbound", "packet_bytes", "port", "rest", "slot")

    def __init__(self, order: AddTap, slot: int) -> None:
        self.id, self.port, self.slot = order.tap, order.port, slot
        self.inbound = order.direction == "inbound"
        self.packet_bytes = order.packet_bytes
        self.rest = b""

    def cut(self, data: bytes, frames: list[tuple[int, bytes]]) -> None:
        """Append whole packets to `frames` and keep the rest."""
        if not self.packet_bytes:
            frames.append((self.id, data))
            return
        data = self.rest + data
        size = self.packet_bytes
        whole = len(data) // size * size
        frames.extend((self.id, data[start : start + size]) for start in range(0, whole, size))
        self.rest = data[whole:]


class _Rate:
    """The taps of one sample rate, resampled together."""

    def __init__(self, sample_rate: int) -> None:
        self.taps: dict[int, _Tap] = {}
        self._slots = Slots(16)
        self._resampler = Resampler(BUS_RATE, sample_rate) if sample_rate != BUS_RATE else None
        if self._resampler is not None:
            self._slots.on_growth(self._resampler.grow)

    def add(self, order: AddTap) -> None:
        slot = self._slots.take()
        if self._resampler is not None:
            self._resampler.reset(slot)
        self.taps[order.tap] = _Tap(order, slot)

    def remove(self, tap: int) -> None:
        self._slots.release(self.taps.pop(tap).slot)

    def copy(self, said: Pcm, heard: Pcm, row_of: Mapping[int, int], frames: list[tuple[int, bytes]]) -> None:
        taps = sorted(self.taps.values(), key=lambda tap: not tap.inbound)
        inbound = [row_of[tap.port] for tap in taps if tap.inbound]
        outbound = [row_of[tap.port] for tap in taps if not tap.inbound]
        pcm = np.concatenate((said[inbound], heard[outbound]))
        if self._resampler is not None:
            pcm = self._resampler.process(pcm, np.array([tap.slot for tap in taps], np.intp))
        data = to_octets(pcm).tobytes()
        size = len(data) // len(taps)
        for index, tap in enumerate(taps):
            tap.cut(data[index * size : (index + 1) * size], frames)


class Taps:
    """All taps of the engine."""

    def __init__(self) -> None:
        """Begin with none."""
        self._rates: dict[int, _Rate] = {}
        self._rate_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._rate_of)

    def __contains__(self, port: int) -> bool:
        """Tell whether a port is copied."""
        return any(tap.port == port for rate in self._rates.values() for tap in rate.taps.values())

    def add(self, order: AddTap) -> None:
        """Begin to copy a port.

        Raises:
            ValueError: the id is in use, or the sample rate is none of 8, 16, 24 and 48 kHz.
        """
        if order.tap in self._rate_of:
            raise ValueError(f"tap: {order.tap} is open already")
        if order.sample_rate not in _RATES:
            raise ValueError(f"sample_rate: {order.sample_rate} Hz is none of {_RATES}")
        if order.sample_rate not in self._rates:
            self._rates[order.sample_rate] = _Rate(order.sample_rate)
        self._rates[order.sample_rate].add(order)
        self._rate_of[order.tap] = order.sample_rate

    def remove(self, tap: int) -> None:
        """Stop a tap; what does not fill a packet any more is dropped.

        Raises:
            KeyError: there is none with this id.
        """
        self._rates[self._rate_of.pop(tap)].remove(tap)

    def remove_port(self, port: int) -> None:
        """Stop the taps of a port that is going away."""
        for rate in self._rates.values():
            for tap in [tap.id for tap in rate.taps.values() if tap.port == port]:
                self.remove(tap)

    def copy(self, said: Pcm, heard: Pcm, row_of: Mapping[int, int]) -> list[tuple[int, bytes]]:
        """Return (tap, packet) of this tick.

        Args:
            said: what each port says, ``(rows, 480)``.
            heard: what each port hears, ``(rows, 480)``.
            row_of: row by port id.
        """
        frames: list[tuple[int, bytes]] = []
        for rate in self._rates.values():
            if rate.taps:
                rate.copy(said, heard, row_of, frames)
        return frames
