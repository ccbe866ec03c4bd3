"""In-band DTMF: keys detected in the audio of ports, and played to ports without RFC 4733 events."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.dtmf import COLUMNS, ROWS, DtmfDetector, generate
from softswitch.audio.pcm import BUS_RATE, FRAME, FULL_SCALE, Indices, Pcm
from softswitch.audio.rows import compiled
from softswitch.compiled import address
from softswitch.media import messages as m
from softswitch.media.engine.layout import Layout
from softswitch.media.engine.tick_state import TickState
from softswitch.media.port import Port
from softswitch.rtp.telephone_event import PAUSE_MS

_HOLD_TICKS = 5
"""Ticks (100 ms) for which the detector still runs after the last candidate frame, to see a press end."""


class _ToneFilter:
    """A cheap filter that passes only rows whose power lies mostly in two of the eight DTMF tones.

    It reads every sixth sample (4 kHz). The tones lie below 2 kHz, the new Nyquist frequency. Sound above it
    is aliased, but aliasing keeps its power, so that it still counts against the tones.
    """

    _STEP = 6
    _PART, _WEAKER_PART = np.float32(0.42), np.float32(0.04)
    """Shares of the power that the two tones must have together, and that the weaker one must have: half of
    what the detector demands, because a press may begin in the middle of a frame."""
    _LEAST_POWER = np.float32(FULL_SCALE**2 * 10 ** (-45.0 / 10))

    def __init__(self) -> None:
        # sqrt(2)/n scales the correlation with a full frame of a tone so that its square is the tone's power.
        turns = np.outer(ROWS + COLUMNS, np.arange(0, FRAME, self._STEP)) / BUS_RATE
        waves = np.exp(-2j * np.pi * turns) * np.sqrt(2.0) / turns.shape[1]
        self._waves = np.concatenate((waves.real, waves.imag)).astype(np.float32)
        self._turned = np.ascontiguousarray(self._waves.T)
        self._turned_at = address(self._turned)

    def candidates(self, pcm: Pcm) -> NDArray[np.bool_]:
        """Return which rows of ``(n, 480)`` the detector has to examine."""
        fast = compiled("tone_candidates")
        if fast is None or pcm.shape[1] != FRAME or not pcm.flags.c_contiguous:
            return self.candidates_by_numpy(pcm)
        found: NDArray[np.bool_] = np.empty(len(pcm), np.bool_)
        fast(
            address(pcm), len(pcm), self._turned_at, float(self._PART), float(self._WEAKER_PART),
            float(self._LEAST_POWER), address(found),
        )  # fmt: skip
        return found

    def candidates_by_numpy(self, pcm: Pcm) -> NDArray[np.bool_]:
        """Do what :meth:`candidates` does, without compiled code."""
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
    """Detects DTMF in the audio of the ports that have it switched on."""

    def __init__(self) -> None:
        self._filter = _ToneFilter()
        self._detector = DtmfDetector()
        self._keys: dict[int, str] = {}
        self._rows: Indices = np.zeros(0, np.intp)
        self._slots: Indices = np.zeros(0, np.intp)
        self._hold = np.zeros(0, np.int32)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        self._detector.grow(slots)
        self._hold = np.pad(self._hold, (0, slots - len(self._hold)))

    def switch(self, port: Port, on: bool) -> None:
        """Switch the detection for a port on or off."""
        if on:
            self._detector.reset(port.slot)
            self._hold[port.slot] = 0
            self._keys[port.id] = ""
        else:
            self._keys.pop(port.id, None)

    def arrange(self, layout: Layout) -> None:
        """Compute which rows of a new layout are examined."""
        rows = sorted(row for port, row in layout.row_of.items() if port in self._keys)
        self._rows = np.array(rows, np.intp)
        self._slots = layout.slots[self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def ports(self) -> AbstractSet[int]:
        """Return the ids of the ports that are examined."""
        return self._keys.keys()

    def detect(self, tick: TickState, first: int, last: int) -> None:
        """Report the presses that ended in this tick.

        Args:
            tick: the tick.
            first: index of the first examined port, 0 to ``len(self)``.
            last: index behind the last examined port.
        """
        rows, slots = self._rows[first:last], self._slots[first:last]
        together = len(rows) == rows[-1] - rows[0] + 1
        pcm = tick.said[rows[0] : rows[-1] + 1] if together else tick.said[rows]
        hold = self._hold[slots]
        found = self._filter.candidates(pcm)
        if not (found.any() or hold.any()):
            return
        watched = np.flatnonzero(found | (hold > 0))
        if watched.size == 0:
            return
        self._hold[slots] = np.where(found, _HOLD_TICKS, np.maximum(hold - 1, 0))
        fresh = slots[found & (hold == 0)]
        if fresh.size:
            self._detector.reset(fresh)
        self._detect(tick, pcm[watched], rows[watched], slots[watched])

    def _detect(self, tick: TickState, pcm: Pcm, rows: Indices, slots: Indices) -> None:
        pressed, ended = self._detector.process(pcm, slots)
        for index in np.flatnonzero((pressed != 0) | (ended != 0)).tolist():
            port = tick.layout.ports[rows[index]]
            if ended[index] and self._keys[port.id]:
                key, self._keys[port.id] = self._keys[port.id], ""
                tick.report(m.DigitReceived(port.id, tick.now, key, int(ended[index]), "inband", True))
            if pressed[index]:
                self._keys[port.id] = chr(pressed[index])

    def row(self, index: int) -> int:
        """Return the row of the examined port with this index."""
        return int(self._rows[index])


@dataclass(slots=True)
class _Dialling:
    """Tones that a port is still to be sent, and their digits."""

    tones: Pcm
    digits: list[str]


class ToneSender:
    """Plays DTMF tones to ports that negotiated no telephone events."""

    def __init__(self) -> None:
        self._dialling: dict[int, _Dialling] = {}
        self.revision = 0
        """Grows whenever a port begins or ends to be sent tones."""

    def ports(self) -> AbstractSet[int]:
        """Return the ids of the ports that are being sent tones."""
        return self._dialling.keys()

    def __len__(self) -> int:
        return len(self._dialling)

    def send(self, port: int, message: m.SendDigits) -> None:
        """Append digits to the tones of a port.

        Raises:
            ValueError: a character is not a DTMF digit.
        """
        tones = generate(message.digits, message.duration_ms, message.gap_ms, pause_ms=PAUSE_MS)
        if going_on := self._dialling.get(port):
            going_on.tones = np.concatenate((going_on.tones, tones))
            going_on.digits.append(message.digits)
        else:
            self._dialling[port] = _Dialling(tones, [message.digits])
            self.revision += 1

    def cancel(self, port: int) -> None:
        """Discard the tones of a port that is closing."""
        self._dialling.pop(port, None)

    def play(self, tick: TickState) -> None:
        """Replace the audio to dialling ports by their tones; report digits that are complete."""
        if not self._dialling:
            return
        tick.sounding = tick.sounding.copy()
        for port, dialling in list(self._dialling.items()):
            row = tick.layout.row_of[port]
            tones, dialling.tones = dialling.tones[:FRAME], dialling.tones[FRAME:]
            tick.heard[row] = 0.0
            tick.heard[row, : len(tones)] = tones
            tick.sounding[row] = True
            if not len(dialling.tones):
                del self._dialling[port]
                self.revision += 1
                tick.report(*(m.DigitsSent(port, tick.now, sent) for sent in dialling.digits))
