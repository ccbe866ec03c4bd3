"""Tells ringback, busy, congestion and special information tones (SIT) in the sound of a line.

Pure: frames in, tones out. A tone is one steady frequency or two; which it is follows from its rhythm, as
ITU-T E.180 supplement 2 lists them by country: ringback in long rings or double ones, busy in equal halves of
0.3 to 0.8 s, congestion in shorter ones, SIT in three rising steps.
"""

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import FULL_SCALE, Pcm

RATE = 16000
FRAME = RATE // 50
TICK_S = 0.02
Kind = Literal["ringback", "busy", "congestion", "sit"]


class Tone(msgspec.Struct, frozen=True):
    """A tone that was heard; each kind is told when it begins, and again after another one."""

    kind: Kind
    frequencies: tuple[int, ...]
    """Hz: one or two; three of a SIT."""
    at_s: float
    """When it was known, in the audio pushed."""


class _Burst(msgspec.Struct, frozen=True):
    """A steady tone, and the silence after it."""

    frequencies: tuple[int, ...]
    on_s: float
    off_s: float


_FFT = 1024
_LEVEL = FULL_SCALE**2 * 10 ** (-46.0 / 10)
"""Least power of a tone, PCM16 units squared."""
_PURE = 0.85
"""Share of the power that two narrow bands hold."""
_HALF_WIDTH = 3
"""Bins of 15.6 Hz on each side of a peak that belong to it."""
_LOW, _HIGH = 280.0, 2000.0
_STEADY_HZ = 25.0
_GAP = 4
"""Frames without the tone that end it: a window is three frames long."""
_SHORTEST_S = 0.1
_WINDOW_S = 0.06
"""A burst is seen longer by so much as its window is long, silence shorter."""
_SECOND = 0.1
"""Power of the second frequency, as a part of the first one's."""
_CALL_HZ = 700.0
"""Ringback, busy and congestion are below."""
_SIT_HZ = (890, 1005), (1320, 1450), (1730, 1850)
_SIT_S = 0.12, 0.5
_RING_S, _RING_OFF_S = (0.75, 2.6), 1.5
_DOUBLE_S, _DOUBLE_OFF_S = (0.3, 0.5), (0.12, 0.3)
_BUSY_S, _FAST_S = (0.3, 0.8), (0.14, 0.3)
_EVEN_S = 0.13
"""Largest difference between the two halves of a busy tone's rhythm."""
_REPEATS = {"busy": 2, "congestion": 3}
_KEPT = 6
_PASSING = 3
"""Frames."""


class ProgressTones:
    """Listens to one line."""

    def __init__(self) -> None:
        """Begin in silence."""
        self._frames = 0
        self._line: Pcm = np.zeros(_FFT, np.float32)
        self._window: NDArray[np.float32] = np.hanning(_FFT).astype(np.float32)
        self._sound: list[Pcm] = []
        self._peak_hz = 0.0
        self._missing = 0
        self._off = 0
        self._last: tuple[tuple[int, ...], float] | None = None
        self._bursts: list[_Burst] = []
        self._told: Kind | None = None

    def push(self, frame: Pcm) -> Tone | None:
        """Take 20 ms ``(320,)`` at 16 kHz in PCM16 units; return a tone that is known now."""
        self._frames += 1
        self._line = np.concatenate([self._line[FRAME:], frame])
        peak = self._peak()
        if peak is not None and self._sound and abs(peak - self._peak_hz) > _STEADY_HZ:
            self._end_burst()
        if peak is None:
            return self._silent()
        if not self._sound:
            self._close_gap()
            self._peak_hz = peak
        self._sound.append(frame)
        self._missing = 0
        return None

    # --- inside -------------------------------------------------------------------

    def _peak(self) -> float | None:
        """Return the middle of the one or two frequencies of a tone, Hz, None where there is no tone."""
        power = np.square(np.abs(np.fft.rfft(self._line * self._window)))
        total = float(power[2:].sum())
        # The mean square under a Hann window is the sum of both sides over 3/8 of the size squared.
        if total * 2.0 / (0.375 * _FFT * _FFT) < _LEVEL:
            return None
        first, share = _take_peak(power)
        second, more = _take_peak(power)
        # Of two equal frequencies now one is stronger, now the other: their middle is steady.
        hz = (first * share + second * more) / (share + more) * RATE / _FFT
        return hz if share + more >= _PURE * total and _LOW <= hz <= _HIGH else None

    def _silent(self) -> Tone | None:
        if self._sound:
            self._missing += 1
            if self._missing < _GAP:
                return None
            self._end_burst()
        self._off += 1
        return self._judge(self._off * TICK_S + _WINDOW_S)

    def _end_burst(self) -> None:
        """Note a steady tone that has ended: its frequencies, its length."""
        sound, self._sound = self._sound, []
        on_s = len(sound) * TICK_S - _WINDOW_S / 2
        self._off, self._missing = self._missing, 0
        if on_s < _SHORTEST_S:
            # Between two steps of a SIT the middle of both passes by, frame for frame; else it is no tone.
            if len(sound) > _PASSING:
                self._bursts.clear()
            self._last = None
            return
        self._last = (_frequencies(np.concatenate(sound[1:-1] if len(sound) > 4 else sound)), on_s)

    def _close_gap(self) -> None:
        if self._last is not None:
            frequencies, on_s = self._last
            self._bursts = [*self._bursts, _Burst(frequencies, on_s, self._off * TICK_S)][-_KEPT:]
        self._last, self._off = None, 0

    def _judge(self, off_s: float) -> Tone | None:
        """Name the tone whose last burst was followed by `off_s` of silence so far."""
        if self._last is None:
            return None
        last = _Burst(*self._last, off_s)
        bursts = [*self._bursts, last]
        kind: Kind | None = None
        frequencies = last.frequencies
        if _is_sit(bursts[-3:]):
            kind, frequencies = "sit", tuple(burst.frequencies[0] for burst in bursts[-3:])
        elif max(frequencies) < _CALL_HZ:
            kind = _is_ringback(bursts) or _is_busy(bursts)
        if kind is None or kind == self._told:
            return None
        self._told = kind
        return Tone(kind, frequencies, round(self._frames * TICK_S, 2))


def _take_peak(power: NDArray[np.floating]) -> tuple[float, float]:
    """Return the middle of the strongest frequency, bins, and its power, which is taken out of `power`."""
    peak = int(power[2:-1].argmax()) + 2
    begin, end = max(peak - _HALF_WIDTH, 0), min(peak + _HALF_WIDTH + 1, len(power))
    share = float(power[begin:end].sum())
    middle = float(np.dot(power[begin:end], np.arange(begin, end))) / max(share, 1.0)
    power[begin:end] = 0.0
    return middle, share


def _frequencies(sound: Pcm) -> tuple[int, ...]:
    """Return the one or two frequencies of a steady tone, Hz, the lower first."""
    size = max(len(sound), _FFT)
    power = np.square(np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 4 * size)))
    width = max(round(4 * size / len(sound)) * 2, 1)
    found = []
    for _ in range(2):
        peak = int(power.argmax())
        found.append((float(power[peak]), peak * RATE / (4 * size)))
        power[max(peak - width, 0) : peak + width + 1] = 0.0
    (strongest, first), (weaker, second) = found
    # Nearer than 15 Hz, or in 25 Hz around it, is a tone that wavers: ringback of Japan and India.
    both = weaker >= _SECOND * strongest and abs(first - second) > 30.0
    return tuple(sorted((round(first), round(second)))) if both else (round(first),)


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]


def _is_sit(bursts: list[_Burst]) -> bool:
    return (
        len(bursts) == len(_SIT_HZ)
        and all(
            _within(burst.frequencies[0], bounds) and _within(burst.on_s, _SIT_S)
            for burst, bounds in zip(bursts, _SIT_HZ, strict=True)
        )
        and all(burst.off_s < _DOUBLE_OFF_S[0] for burst in bursts[:2])
    )


def _is_ringback(bursts: list[_Burst]) -> Kind | None:
    last = bursts[-1]
    if last.off_s < _RING_OFF_S:
        return None
    if _within(last.on_s, _RING_S):
        return "ringback"
    double = len(bursts) > 1 and all(_within(burst.on_s, _DOUBLE_S) for burst in bursts[-2:])
    return "ringback" if double and _within(bursts[-2].off_s, _DOUBLE_OFF_S) else None


def _is_busy(bursts: list[_Burst]) -> Kind | None:
    kinds: tuple[tuple[Kind, tuple[float, float]], ...] = (("busy", _BUSY_S), ("congestion", _FAST_S))
    for kind, bounds in kinds:
        count = _REPEATS[kind]
        recent = bursts[-count:]
        if len(recent) == count and all(
            _within(burst.on_s, bounds)
            and _within(burst.off_s, bounds)
            and abs(burst.on_s - burst.off_s) <= _EVEN_S
            and abs(burst.frequencies[0] - recent[-1].frequencies[0]) <= _STEADY_HZ
            for burst in recent
        ):
            return kind
    return None
