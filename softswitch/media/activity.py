"""Who is speaking: the stage that turns sound into the beginnings and ends of speech."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.level import power
from softswitch.audio.pcm import BUS_RATE, FULL_SCALE, Indices, Pcm
from softswitch.audio.resample import Resampler
from softswitch.media import messages as m
from softswitch.media.isolation import by_halves
from softswitch.media.needs import VadBank
from softswitch.media.ports import Layout, Port
from softswitch.media.scene import Scene
from softswitch.media.speech_gate import SpeechGate

_AUDIBLE = np.float32(FULL_SCALE**2 * 10 ** (-60.0 / 10))
"""Power below which (-60 dBov) no detector is asked: nobody speaks so softly, and the good ones are dear."""

_UNGATED = "energy"
"""The kind that costs no more than the look in front of the others."""

_HANGOVER_TICKS = 25
"""A detector is asked for so long after the last audible frame, to see the end of what it saw begin."""


class _Kind:
    """The ports watched by one kind of bank."""

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
        """Return how likely each row ``(n, 480)`` is speech; rows long silent are not even looked at."""
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
        """Begin with nobody watched; `vads` makes each kind's bank when it is first asked for."""
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

    def switch_on(self, port: Port, order: m.SetVad) -> None:
        """Watch a port.

        Raises:
            ValueError: there is no such kind of detection here.
        """
        if order.kind not in self._kinds:
            if order.kind not in self._vads:
                known = ", ".join(sorted(self._vads)) or "those there are (none)"
                raise ValueError(f"kind: {order.kind!r} is none of {known}")
            bank, is_gated = self._vads[order.kind](), order.kind != _UNGATED
            self._kinds[order.kind] = _Kind(bank, self._capacity, is_gated)
        kind = self._kinds[order.kind]
        kind.reset(port.slot)
        kind.ports.add(port.id)
        self._kind_of[port.id] = order.kind
        self._gate.open(port.slot, order.threshold, order.start_ms, order.stop_ms)

    def switch_off(self, port: Port, now: float) -> list[m.Report]:
        """Watch a port no more; speech that goes on ends here."""
        kind = self._kind_of.pop(port.id, None)
        if kind is None:
            return []
        self._kinds[kind].ports.discard(port.id)
        began = self._gate.close(port.slot)
        return [] if began is None else [m.SpeechStopped(port.id, now, began, now)]

    def __contains__(self, port: int) -> bool:
        return port in self._kind_of

    def arrange(self, layout: Layout) -> None:
        """Take up the rows of a new layout."""
        for kind in self._kinds.values():
            kind.arrange(layout)

    def watch(self, scene: Scene, failed: Callable[[int, Exception], None]) -> None:
        """Report what begins and ends in a tick; `failed` is told the rows that cannot be looked at."""
        for kind in self._kinds.values():
            self._watch_kind(kind, scene, failed)

    def _watch_kind(self, kind: _Kind, scene: Scene, failed: Callable[[int, Exception], None]) -> None:
        by_halves(
            0,
            len(kind.slots),
            lambda first, last: self._look(kind, scene, first, last),
            lambda index, error: failed(int(kind.rows[index]), error),
        )

    def _look(self, kind: _Kind, scene: Scene, first: int, last: int) -> None:
        rows, slots = kind.rows[first:last], kind.slots[first:last]
        together = len(rows) == rows[-1] - rows[0] + 1
        pcm = scene.said[rows[0] : rows[-1] + 1] if together else scene.said[rows]
        started, stopped = self._gate.push(kind.probabilities(pcm, slots), slots, scene.now)
        for index in started.tolist():
            port, slot = scene.layout.ports[rows[index]], slots[index]
            scene.report(m.SpeechStarted(port.id, scene.now, float(self._gate.began[slot])))
        for index in stopped.tolist():
            port, slot = scene.layout.ports[rows[index]], slots[index]
            began, ended = float(self._gate.began[slot]), float(self._gate.ended[slot])
            scene.report(m.SpeechStopped(port.id, scene.now, began, ended))
