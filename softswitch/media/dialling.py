"""Dialling tones in the audio itself: heard from ports that know no other way, and made for them."""

from dataclasses import dataclass

import numpy as np

from softswitch.audio.dtmf import DtmfDetector, generate
from softswitch.audio.pcm import FRAME, Indices, Pcm
from softswitch.media import messages as m
from softswitch.media.ports import Layout, Port
from softswitch.media.scene import Scene


class ToneListener:
    """Listens for keys in what some ports say."""

    def __init__(self) -> None:
        """Begin listening to nobody."""
        self._detector = DtmfDetector()
        self._keys: dict[int, str] = {}
        self._rows: Indices = np.zeros(0, np.intp)
        self._slots: Indices = np.zeros(0, np.intp)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        self._detector.grow(slots)

    def switch(self, port: Port, on: bool) -> None:
        """Listen to a port, or no more."""
        if on:
            self._detector.reset(port.slot)
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

    def listen(self, scene: Scene, first: int, last: int) -> None:
        """Report the presses that ended in this tick, of the listened-to ports `first` up to `last`.

        Args:
            scene: the tick.
            first: first of the ports listened to.
            last: behind the last of them; there are ``len(self)``.
        """
        rows = self._rows[first:last]
        together = len(rows) == rows[-1] - rows[0] + 1
        pcm = scene.said[rows[0] : rows[-1] + 1] if together else scene.said[rows]
        pressed, ended = self._detector.process(pcm, self._slots[first:last])
        for index in np.flatnonzero((pressed != 0) | (ended != 0)).tolist():
            port = scene.layout.ports[rows[index]]
            if ended[index] and self._keys[port.id]:
                key, self._keys[port.id] = self._keys[port.id], ""
                scene.report(m.DigitReceived(port.id, scene.now, key, int(ended[index]), "inband"))
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
                scene.report(*(m.DigitsSent(port, scene.now, sent) for sent in dialling.digits))
