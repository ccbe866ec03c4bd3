"""Feed ports, all of one format at once: bytes of applications to the bus and back."""

import numpy as np

from softswitch.audio.g711 import DECODING, ENCODING, SILENCE, decode, encode
from softswitch.audio.g722 import G722Bank
from softswitch.audio.pcm import BUS_RATE, Bytes, Indices, Pcm, to_octets
from softswitch.audio.resample import Resampler
from softswitch.media.ports import FeedFormat, FeedPort, FeedRows

_FLUSH_TICKS = 2
"""Silence that is decoded after the last audio, so that the filter gives out the end of it."""

_QUIET = 200.0
"""Below this peak (-44 dB of full scale) a frame more or less is not heard."""


class FeedBank:
    """Decodes and encodes for every feed port of one format."""

    def __init__(self, form: FeedFormat, slots: int) -> None:
        """Make a bank with `slots` rows to begin with."""
        self._law = {"pcmu": "PCMU", "pcma": "PCMA"}.get(form.codec, "")
        self._g722 = G722Bank(slots=slots) if form.codec == "g722" else None
        rate = form.sample_rate
        self._up = Resampler(rate, BUS_RATE, slots) if rate != BUS_RATE else None
        self._down = Resampler(BUS_RATE, rate, slots) if rate != BUS_RATE else None
        self._frame_bytes = form.frame_bytes
        sample = bytes([SILENCE.get(self._law, 0)])
        self._silence = self._g722.silence if self._g722 else sample * form.frame_bytes

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        for part in (self._up, self._down, self._g722):
            if part is not None:
                part.grow(slots)

    def reset(self, slot: int) -> None:
        """Forget what `slot` said and heard: it has a new owner, or none."""
        if self._up is not None:
            self._up.reset(slot)
        if self._down is not None:
            self._down.reset(slot)
        if self._g722 is not None:
            self._g722.close(slot)

    def say(self, ports: tuple[FeedPort, ...], slots: Indices, said: Pcm) -> None:
        """Write what the ports say in this tick.

        Args:
            ports: of this bank's format.
            slots: theirs.
            said: ``(n, 480)``, overwritten.
        """
        frames: list[bytes] = []
        active: list[int] = []
        wandering: list[int] = []
        for row, port in enumerate(ports):
            data = port.fifo.take() if port.speaks else None
            if data is None:
                port.silent_ticks += 1
                if port.silent_ticks > _FLUSH_TICKS:
                    continue
                data = self._silence
            else:
                port.silent_ticks = 0
                if len(data) < self._frame_bytes:
                    data += self._silence[len(data) :]
                if port.fifo.correction:
                    wandering.append(row)
            active.append(row)
            frames.append(data)
        if len(active) == len(ports):
            self._decode(frames, slots, said)
        else:
            said.fill(0.0)
            if active:
                some = np.empty((len(active), said.shape[1]), np.float32)
                self._decode(frames, slots[active], some)
                said[active] = some
        for row in wandering:
            if ports[row].fifo.is_urgent or np.abs(said[row]).max() < _QUIET:
                ports[row].fifo.mend()

    def tell(self, pcm: Pcm, slots: Indices) -> list[bytes]:
        """Return frames of the bus, ``(n, 480)``, in the ports' format."""
        if self._down is not None:
            pcm = self._down.process(pcm, slots)
        data = self._encode(pcm, slots).tobytes()
        size = self._frame_bytes
        return [data[start : start + size] for start in range(0, len(data), size)]

    def _decode(self, frames: list[bytes], slots: Indices, out: Pcm) -> None:
        data = b"".join(frames)
        if self._g722 is not None:
            codes = np.frombuffer(data, np.uint8).reshape(len(frames), -1)
            pcm = self._g722.decode(codes, np.full(len(frames), codes.shape[1], np.intp), slots)[0]
        elif self._law:
            pcm = decode(DECODING[self._law], np.frombuffer(data, np.uint8).reshape(len(frames), -1))
        else:
            pcm = np.frombuffer(data, "<i2").reshape(len(frames), -1).astype(np.float32)
        if self._up is not None:
            self._up.process(pcm, slots, out=out)
        else:
            np.copyto(out, pcm)

    def _encode(self, pcm: Pcm, slots: Indices) -> Bytes:
        if self._g722 is not None:
            return self._g722.encode(pcm, slots)[0]
        return encode(ENCODING[self._law], pcm) if self._law else to_octets(pcm)


class Feeds:
    """The banks of all formats in use, and the frames for those who listen."""

    def __init__(self) -> None:
        """Begin with no bank."""
        self._banks: dict[FeedFormat, FeedBank] = {}
        self._slots = 0

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        self._slots = slots
        for bank in self._banks.values():
            bank.grow(slots)

    def open(self, form: FeedFormat, slot: int) -> None:
        """Begin with fresh state in `slot`."""
        if form not in self._banks:
            self._banks[form] = FeedBank(form, self._slots)
        self._banks[form].reset(slot)

    def close(self, form: FeedFormat, slot: int) -> None:
        """Forget what `slot` said and heard."""
        self._banks[form].reset(slot)

    def say(self, group: FeedRows, first: int, last: int, said: Pcm) -> None:
        """Write what the ports in rows `first` up to `last` of all rows say; they are within `group`."""
        part = slice(first - group.first, last - group.first)
        self._banks[group.format].say(group.ports[part], group.slots[part], said[first:last])

    def tell(self, group: FeedRows, rows: list[int], heard: Pcm) -> list[tuple[int, bytes]]:
        """Return (port, frame) for the given rows of all rows; they are within `group`."""
        ports = [group.ports[row - group.first] for row in rows]
        if len(rows) == len(group.ports):
            pcm, slots = heard[group.rows], group.slots
        else:
            pcm, slots = heard[rows], np.array([port.slot for port in ports], np.intp)
        for port in ports:
            port.sent_frames += 1
        data = self._banks[group.format].tell(pcm, slots)
        return [(port.id, frame) for port, frame in zip(ports, data, strict=True)]


def listening(group: FeedRows, sounding: list[bool]) -> list[int]:
    """Return the rows of `group` that get a frame now: there is something to hear, or the tail of it.

    Args:
        group: feed ports of one format.
        sounding: by row of all rows.
    """
    rows = []
    for row, port in enumerate(group.ports, group.first):
        if not port.listens:
            continue
        if sounding[row]:
            port.tail = 1
        elif port.tail:
            port.tail -= 1
        else:
            continue
        rows.append(row)
    return rows
