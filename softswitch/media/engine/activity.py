"""Voice activity detection: the step of the tick that reports beginnings and ends of speech."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.level import power
from softswitch.audio.pcm import BUS_RATE, FULL_SCALE, Indices, Pcm
from softswitch.audio.resample import Resampler
from softswitch.media import messages as m
from softswitch.media.engine.interfaces import VadBank
from softswitch.media.engine.isolation import by_halves
from softswitch.media.engine.layout import Layout
from softswitch.media.engine.speech_gate import SpeechGate
from softswitch.media.engine.tick_state import TickState
from softswitch.media.port import Port

_AUDIBLE = np.float32(FULL_SCALE**2 * 10 ** (-60.0 / 10))
"""Power (-60 dBov) below which no detector runs: speech is louder, and the neural detector is expensive."""

_UNGATED = "energy"
"""The kind that is as cheap as the power check itself, and therefore runs without it."""

_HANGOVER_TICKS = 25
"""Ticks (500 ms) for which a detector still runs after the last audible frame, to see speech end."""


class _Kind:
    """The ports whose audio goes through one kind of detector."""

    def __init__(self, bank: VadBank, slots: int, is_gated: bool) -> None:
        self.bank = bank
        self._is_gated = is_gated
        self.ports: set[int] = set()
        self.rows: Indices = np.zeros(0, np.intp)
        self.slots: Indices = np.zeros(0, np.intp)
        self._resampler = Resampler(BUS_RATE, bank.rate) if bank.rate != BUS_RATE else None
        self._quiet_ticks = np.zeros(0, np.int32)
        self.grow(slots)

    def grow(self, slots: int) -> None:
        self.bank.grow(slots)
        if self._resampler is not None:
            self._resampler.grow(slots)
        self._quiet_ticks = np.pad(self._quiet_ticks, (0, slots - len(self._quiet_ticks)))

    def reset(self, slot: int) -> None:
        self.bank.reset(np.array([slot], np.intp))
        if self._resampler is not None:
            self._resampler.reset(slot)
        self._quiet_ticks[slot] = _HANGOVER_TICKS

    def arrange(self, layout: Layout) -> None:
        self.rows = np.array(sorted(layout.row_of[port] for port in self.ports), np.intp)
        self.slots = layout.slots[self.rows]

    def probabilities(self, pcm: Pcm, slots: Indices) -> NDArray[np.float32]:
        """Return the probability that each row ``(n, 480)`` is speech; 0 for rows long silent."""
        if not self._is_gated:
            return self._ask(pcm, slots)
        quiet = np.where(power(pcm) > _AUDIBLE, 0, self._quiet_ticks[slots] + 1)
        self._quiet_ticks[slots] = quiet
        audible = np.flatnonzero(quiet < _HANGOVER_TICKS)
        if audible.size == len(slots):
            return self._ask(pcm, slots)
        out = np.zeros(len(slots), np.float32)
        if audible.size:
            out[audible] = self._ask(pcm[audible], slots[audible])
        return out

    def _ask(self, pcm: Pcm, slots: Indices) -> NDArray[np.float32]:
        if self._resampler is not None:
            pcm = self._resampler.process(pcm, slots)
        return self.bank.push(pcm, slots)


class Activity:
    """Voice activity detection of all ports that have it switched on."""

    def __init__(self, vads: Mapping[str, Callable[[], VadBank]]) -> None:
        """Begin without ports; `vads` makes the detector of a kind when the kind is first used."""
        self._vads = vads
        self._kinds: dict[str, _Kind] = {}
        self._kind_of: dict[int, str] = {}
        self._capacity = 0
        self._gate = SpeechGate()

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        self._capacity = slots
        self._gate.grow(slots)
        for kind in self._kinds.values():
            kind.grow(slots)

    def switch_on(self, port: Port, message: m.SetVad) -> None:
        """Begin to detect speech of a port.

        Raises:
            ValueError: the kind of detector is unknown.
        """
        if message.kind not in self._kinds:
            if message.kind not in self._vads:
                known = ", ".join(sorted(self._vads)) or "the detectors of this engine, which has none"
                raise ValueError(f"kind: {message.kind!r} is not one of {known}")
            bank, is_gated = self._vads[message.kind](), message.kind != _UNGATED
            self._kinds[message.kind] = _Kind(bank, self._capacity, is_gated)
        kind = self._kinds[message.kind]
        kind.reset(port.slot)
        kind.ports.add(port.id)
        self._kind_of[port.id] = message.kind
        self._gate.open(port.slot, message.threshold, message.start_ms, message.stop_ms)

    def switch_off(self, port: Port, now: float) -> list[m.Report]:
        """Stop detecting speech of a port; speech in progress is reported as stopped."""
        kind = self._kind_of.pop(port.id, None)
        if kind is None:
            return []
        self._kinds[kind].ports.discard(port.id)
        began = self._gate.close(port.slot)
        return [] if began is None else [m.SpeechStopped(port.id, now, began, now)]

    def ports(self) -> AbstractSet[int]:
        """Return the ids of the ports whose speech is detected."""
        return self._kind_of.keys()

    def __len__(self) -> int:
        """Number of ports whose speech is detected."""
        return len(self._kind_of)

    def arrange(self, layout: Layout) -> None:
        """Compute which rows of a new layout each detector reads."""
        for kind in self._kinds.values():
            kind.arrange(layout)

    def detect(self, tick: TickState, on_failed: Callable[[int, Exception], None]) -> None:
        """Report speech that begins or ends in a tick; `on_failed` gets each row whose detection raises."""
        for kind in self._kinds.values():
            self._detect_kind(kind, tick, on_failed)

    def _detect_kind(self, kind: _Kind, tick: TickState, on_failed: Callable[[int, Exception], None]) -> None:
        by_halves(
            0,
            len(kind.slots),
            lambda first, last: self._detect_rows(kind, tick, first, last),
            lambda index, error: on_failed(int(kind.rows[index]), error),
        )

    def _detect_rows(self, kind: _Kind, tick: TickState, first: int, last: int) -> None:
        rows, slots = kind.rows[first:last], kind.slots[first:last]
        together = len(rows) == rows[-1] - rows[0] + 1
        pcm = tick.said[rows[0] : rows[-1] + 1] if together else tick.said[rows]
        started, stopped = self._gate.push(kind.probabilities(pcm, slots), slots, tick.now)
        for index in started.tolist():
            port, slot = tick.layout.ports[rows[index]], slots[index]
            tick.report(m.SpeechStarted(port.id, tick.now, float(self._gate.began[slot])))
        for index in stopped.tolist():
            port, slot = tick.layout.ports[rows[index]], slots[index]
            began, ended = float(self._gate.began[slot]), float(self._gate.ended[slot])
            tick.report(m.SpeechStopped(port.id, tick.now, began, ended))
