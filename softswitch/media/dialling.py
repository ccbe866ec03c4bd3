"""Dialling tones in the audio itself: heard from ports that know no other way, and made for them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.dtmf import COLUMNS, ROWS, DtmfDetector, generate
from softswitch.audio.pcm import BUS_RATE, FRAME, FULL_SCALE, Indices, Pcm
from softswitch.media import messages as m
from softswitch.media.ports import Layout, Port
from softswitch.media.scene import Scene

_ATTENTION_TICKS = 5
"""The detector looks on for so long after the last candidate, to see the end of a press."""


class _Sieve:
    """A coarse look that lets only those rows through whose power lies mostly in two of the eight tones.

    Every sixth sample is enough for it: what lies above 2 kHz is folded down, but its power is not lost.
    """

    _STEP = 6
    _PART, _WEAKER_PART = np.float32(0.42), np.float32(0.04)
    """Parts of the power that the two tones must have together, and the weaker one: half of what the detector
    asks for, since a press may begin anywhere in a frame."""
    _LEAST_POWER = np.float32(FULL_SCALE**2 * 10 ** (-45.0 / 10))

    def __init__(self) -> None:
        turns = np.outer(ROWS + COLUMNS, np.arange(0, FRAME, self._STEP)) / BUS_RATE
        waves = np.exp(-2j * np.pi * turns) * np.sqrt(2.0) / turns.shape[1]
        self._waves = np.concatenate((waves.real, waves.imag)).astype(np.float32)

    def candidates(self, pcm: Pcm) -> NDArray[np.bool_]:
        """Return which rows ``(n, 480)`` deserve a closer look."""
        samples = np.ascontiguousarray(pcm[:, :: self._STEP])
        power = np.einsum("ns,ns->n", samples, samples)
        power *= np.float32(1.0 / samples.shape[1])
        spectrum = self._waves @ samples.T
        spectrum *= spectrum
        tones = spectrum[:8] + spectrum[8:]
        low, high = tones[:4].max(axis=0), tones[4:].max(axis=0)
        found: NDArray[np.bool_] = (low + high > power * self._PART) & (power > self._LEAST_POWER)
        if found.any():
            found &= np.minimum(low, high) > power * self._WEAKER_PART
        return found


class ToneListener:
    """Listens for keys in what some ports say."""

    def __init__(self) -> None:
        """Begin listening to nobody."""
        self._sieve = _Sieve()
        self._detector = DtmfDetector()
        self._keys: dict[int, str] = {}
        self._rows: Indices = np.zeros(0, np.intp)
        self._slots: Indices = np.zeros(0, np.intp)
        self._attention = np.zeros(0, np.int32)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        self._detector.grow(slots)
        self._attention = np.pad(self._attention, (0, slots - len(self._attention)))

    def switch(self, port: Port, on: bool) -> None:
        """Listen to a port, or no more."""
        if on:
            self._detector.reset(port.slot)
            self._attention[port.slot] = 0
            self._keys[port.id] = ""
        else:
            self._keys.pop(port.id, None)

    def arrange(self, layout: Layout) -> None:
        """Take up the rows of a new layout."""
        rows = sorted(row for port, row in layout.row_of.items() if port in self._keys)
        self._rows = np.array(rows, np.intp)
        self._slots = layout.slots[self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, port: int) -> bool:
        return port in self._keys

    def listen(self, scene: Scene, first: int, last: int) -> None:
        """Report the presses that ended in this tick, of the listened-to ports `first` up to `last`.

        Args:
            scene: the tick.
            first: first of the ports listened to.
            last: behind the last of them; there are ``len(self)``.
        """
        rows, slots = self._rows[first:last], self._slots[first:last]
        together = len(rows) == rows[-1] - rows[0] + 1
        pcm = scene.said[rows[0] : rows[-1] + 1] if together else scene.said[rows]
        attention = self._attention[slots]
        found = self._sieve.candidates(pcm)
        watched = np.flatnonzero(found | (attention > 0))
        if watched.size == 0:
            return
        self._attention[slots] = np.where(found, _ATTENTION_TICKS, np.maximum(attention - 1, 0))
        fresh = slots[found & (attention == 0)]
        if fresh.size:
            self._detector.reset(fresh)
        self._detect(scene, pcm[watched], rows[watched], slots[watched])

    def _detect(self, scene: Scene, pcm: Pcm, rows: Indices, slots: Indices) -> None:
        pressed, ended = self._detector.process(pcm, slots)
        for index in np.flatnonzero((pressed != 0) | (ended != 0)).tolist():
            port = scene.layout.ports[rows[index]]
            if ended[index] and self._keys[port.id]:
                key, self._keys[port.id] = self._keys[port.id], ""
                scene.report(m.DigitReceived(port.id, scene.now, key, int(ended[index]), "inband", True))
            if pressed[index]:
                self._keys[port.id] = chr(pressed[index])

    def row(self, index: int) -> int:
        """Return the row of one of the ports listened to."""
        return int(self._rows[index])


@dataclass(slots=True)
class _Dialling:
    """What a port still has to dial."""

    tones: Pcm
    digits: list[str]


class ToneSender:
    """Plays keys to ports whose far end takes them only as sound."""

    def __init__(self) -> None:
        """Begin with nobody dialling."""
        self._dialling: dict[int, _Dialling] = {}
        self.revision = 0
        """Grows when a port begins to dial, or is done."""

    def __contains__(self, port: int) -> bool:
        return port in self._dialling

    def __len__(self) -> int:
        return len(self._dialling)

    def send(self, port: int, order: m.SendDigits) -> None:
        """Append keys to what is being dialled.

        Raises:
            ValueError: one of them is on no telephone.
        """
        tones = generate(order.digits, order.duration_ms, order.gap_ms)
        if going_on := self._dialling.get(port):
            going_on.tones = np.concatenate((going_on.tones, tones))
            going_on.digits.append(order.digits)
        else:
            self._dialling[port] = _Dialling(tones, [order.digits])
            self.revision += 1

    def forget(self, port: int) -> None:
        """Stop dialling: the port is going away."""
        self._dialling.pop(port, None)

    def play(self, scene: Scene) -> None:
        """Put the tones in the place of whatever else would be heard, and report what is done."""
        for port, dialling in list(self._dialling.items()):
            row = scene.layout.row_of[port]
            tones, dialling.tones = dialling.tones[:FRAME], dialling.tones[FRAME:]
            scene.heard[row] = 0.0
            scene.heard[row, : len(tones)] = tones
            scene.sounding[row] = True
            if not len(dialling.tones):
                del self._dialling[port]
                self.revision += 1
                scene.report(*(m.DigitsSent(port, scene.now, sent) for sent in dialling.digits))
