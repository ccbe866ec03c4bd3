"""Taps: copies of the audio from or to ports, at the rate, encoding and packet size of their receiver."""

from collections.abc import Mapping

import numpy as np

from softswitch.audio import g711
from softswitch.audio.pcm import BUS_RATE, Pcm, to_octets
from softswitch.audio.resample import Resampler
from softswitch.media.messages import AddTap
from softswitch.media.slots import Slots

_RATES = (8000, 16000, 24000, 48000)
_LAWS = {"pcm16": None, "pcmu": g711.ENCODING["PCMU"], "pcma": g711.ENCODING["PCMA"]}


class _Tap:
    """One tap, and the audio that does not fill a packet yet."""

    __slots__ = ("id", "inbound", "packet_bytes", "port", "rest", "slot")

    def __init__(self, message: AddTap, slot: int) -> None:
        self.id, self.port, self.slot = message.tap, message.port, slot
        self.inbound = message.direction == "inbound"
        self.packet_bytes = message.packet_bytes
        self.rest = b""

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
        self._slots = Slots(16)
        self._resampler = Resampler(BUS_RATE, sample_rate) if sample_rate != BUS_RATE else None
        if self._resampler is not None:
            self._slots.on_growth(self._resampler.grow)

    def add(self, message: AddTap) -> None:
        slot = self._slots.take()
        if self._resampler is not None:
            self._resampler.reset(slot)
        self.taps[message.tap] = _Tap(message, slot)

    def remove(self, tap: int) -> None:
        self._slots.release(self.taps.pop(tap).slot)

    def copy(self, said: Pcm, heard: Pcm, row_of: Mapping[int, int], frames: list[tuple[int, bytes]]) -> None:
        taps = sorted(self.taps.values(), key=lambda tap: not tap.inbound)
        inbound = [row_of[tap.port] for tap in taps if tap.inbound]
        outbound = [row_of[tap.port] for tap in taps if not tap.inbound]
        pcm = np.concatenate((said[inbound], heard[outbound]))
        if self._resampler is not None:
            pcm = self._resampler.process(pcm, np.array([tap.slot for tap in taps], np.intp))
        data = (to_octets(pcm) if self._law is None else g711.encode(self._law, pcm)).tobytes()
        size = len(data) // len(taps)
        for index, tap in enumerate(taps):
            tap.cut(data[index * size : (index + 1) * size], frames)


class Taps:
    """All taps of the engine."""

    def __init__(self) -> None:
        """Begin without taps."""
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
        self._formats[form].add(message)
        self._format_of[message.tap] = form

    def remove(self, tap: int) -> None:
        """Stop a tap; audio that does not fill a packet is dropped.

        Raises:
            KeyError: no tap has this id.
        """
        self._formats[self._format_of.pop(tap)].remove(tap)

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
                form.copy(said, heard, row_of, frames)
        return frames
