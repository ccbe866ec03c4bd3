"""DTMF: generating the pairs of tones, and detecting them in the audio of many legs (ITU-T Q.23, Q.24)."""

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import BUS_RATE, FULL_SCALE, Indices, Pcm, fade

ROWS = (697.0, 770.0, 852.0, 941.0)
COLUMNS = (1209.0, 1336.0, 1477.0, 1633.0)
KEYS = "123A456B789C*0#D"
"""Keys by row, then column, of the keypad."""

_HOP_MS = 10
"""Audio is analysed in windows of two hops, one hop apart: a key of 40 ms fills at least two windows."""

_HITS, _MISSES = 2, 3
"""Consecutive windows that begin a press, and that end it (Q.24: 40 ms are a key or a pause, 10 ms are
not)."""

_LOWEST_POWER = FULL_SCALE**2 * 10 ** (-39.0 / 10)
"""Least level of both tones together, -39 dBov (Q.24 demands -29 dBm0 and above)."""

_PURITY = 0.75
"""Share of a window's power that must lie in the two tones; voices and music spread their power."""

_WORTH_A_LOOK = 0.3
"""The same share in the first check, before the exact frequencies of the tones are known."""

_ASTRAY = 0.025
"""Largest relative deviation of a tone's frequency (Q.24: 1.5 % must be accepted, 3.5 % rejected)."""

_ASTRAY_HZ = 30.0
"""Largest deviation in Hz: beyond it the window contains too little of the tone's power."""

_APART = 10 ** (7.0 / 10)
"""Factor by which a tone must be stronger than the other tones of its group."""

_TWIST_HIGH, _TWIST_LOW = 10 ** (5.0 / 10), 10 ** (9.0 / 10)
"""Factors by which the upper tone, and the lower tone, may be stronger (Q.24: 4 dB and 8 dB)."""

_RAMP_MS = 2.0


def generate(
    keys: str,
    on_ms: int = 100,
    off_ms: int = 80,
    level_dbov: float = -13.0,
    sample_rate: int = BUS_RATE,
    pause_ms: int = 500,
) -> Pcm:
    """Return the tones of `keys`, each followed by a pause, ``(samples,)``.

    Args:
        keys: of ``0``-``9``, ``A``-``D`` (in any case), ``*``, ``#`` and the comma, a pause.
        on_ms: duration of a key.
        off_ms: pause behind each.
        level_dbov: level of each of the two tones.
        sample_rate: Hz.
        pause_ms: duration of a comma.

    Raises:
        ValueError: there is no such key.
    """
    on, off = sample_rate * on_ms // 1000, sample_rate * off_ms // 1000
    ramp = min(round(sample_rate * _RAMP_MS / 1000), on // 2)
    envelope = np.ones(on, np.float32)
    if ramp:
        envelope[:ramp], envelope[-ramp:] = fade(ramp), fade(ramp, rising=False)
    peak = FULL_SCALE * np.sqrt(2.0) * 10 ** (level_dbov / 20)
    time = np.arange(on) / sample_rate
    pieces = [np.zeros(0, np.float32)]
    for key in keys.upper():
        if key == ",":
            pieces.append(np.zeros(sample_rate * pause_ms // 1000, np.float32))
            continue
        place = KEYS.find(key)
        if place < 0:
            raise ValueError(f"keys: {key!r} is not a DTMF key")
        low, high = ROWS[place // 4], COLUMNS[place % 4]
        tone = np.zeros(on + off, np.float32)
        tone[:on] = peak * (np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time)) * envelope
        pieces.append(tone)
    return np.concatenate(pieces)


class DtmfDetector:
    """DTMF detector for many slots; reports each press once."""

    def __init__(self, sample_rate: int = BUS_RATE, slots: int = 0) -> None:
        """Make a detector for audio of `sample_rate` Hz with `slots` rows to begin with."""
        self.sample_rate = sample_rate
        self._hop = sample_rate * _HOP_MS // 1000
        turns = np.outer(np.arange(self._hop), ROWS + COLUMNS) / sample_rate
        waves = np.exp(-2j * np.pi * turns)
        self._waves = np.concatenate((waves.real, waves.imag), axis=1).astype(np.float32)
        # Phase by which each reference wave advances in a hop; it aligns the spectra of two hops in one
        # window.
        self._turn = np.exp(-2j * np.pi * np.array(ROWS + COLUMNS) * _HOP_MS / 1000).astype(np.complex64)
        self._before = np.zeros((0, len(self._turn)), np.complex64)
        self._energy = np.zeros(0, np.float32)
        self._candidate = np.full(0, -1, np.int8)
        self._hits = np.zeros(0, np.int32)
        self._misses = np.zeros(0, np.int32)
        self.grow(slots)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = slots - len(self._energy)
        if more > 0:
            self._before = np.pad(self._before, ((0, more), (0, 0)))
            self._energy = np.pad(self._energy, (0, more))
            self._candidate = np.pad(self._candidate, (0, more), constant_values=-1)
            self._hits = np.pad(self._hits, (0, more))
            self._misses = np.pad(self._misses, (0, more))

    def reset(self, slots: Indices | int) -> None:
        """Clear the state of `slots`."""
        self._before[slots] = 0.0
        self._energy[slots] = 0.0
        self._candidate[slots] = -1
        self._hits[slots] = 0
        self._misses[slots] = 0

    def process(self, pcm: Pcm, slots: Indices) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Analyse the next frames.

        Args:
            pcm: ``(n, samples)``, a multiple of 10 ms and at most 40 ms, so that no two presses share a call.
            slots: rows of the state, each at most once, ``(n,)``.

        Returns:
            The key whose press was recognised in this call as its ASCII code, 0 for none, ``(n,)``; and the
            duration in milliseconds of a press that was found to have ended, 0 for none, ``(n,)``.

        Raises:
            ValueError: `pcm` has no whole number of hops.
        """
        rows, samples = pcm.shape
        if samples % self._hop or not 0 < samples <= 4 * self._hop:
            raise ValueError(f"pcm: {samples} samples are not one to four times {self._hop}")
        hops = pcm.reshape(rows, -1, self._hop)
        waves = np.matmul(hops.reshape(-1, self._hop), self._waves).reshape(rows, hops.shape[1], -1)
        energies = np.einsum("nhs,nhs->nh", hops, hops)
        half = waves.shape[2] // 2
        now = waves[:, :, :half] + 1j * waves[:, :, half:]
        before = np.concatenate((self._before[slots][:, None], now[:, :-1]), axis=1)
        both = np.concatenate((self._energy[slots][:, None], energies[:, :-1]), axis=1) + energies
        self._before[slots], self._energy[slots] = now[:, -1], energies[:, -1]
        keys = self._keys(before.reshape(-1, half), (now * self._turn).reshape(-1, half), both.reshape(-1))
        pressed, ended = np.zeros(rows, np.uint8), np.zeros(rows, np.int32)
        for column in keys.reshape(rows, -1).T:
            self._count(column, slots, pressed, ended)
        return pressed, ended

    def _keys(
        self, before: NDArray[np.complex64], now: NDArray[np.complex64], energy: Pcm
    ) -> NDArray[np.int8]:
        """Return the key in each window as an index into `KEYS`, -1 if there is no key.

        Args:
            before: what each tone correlates to in the window's first hop, ``(n, 8)``.
            now: the same in its second hop, with the phase turned back to the window's beginning.
            energy: of both hops together, ``(n,)``.
        """
        samples = 2 * self._hop
        window = before + now
        # A sine of amplitude a gives |X| = a * samples / 2, and carries a * a / 2 of power.
        powers = (window.real**2 + window.imag**2) * np.float32(2.0 / samples**2)
        total = energy / np.float32(samples)
        both = powers[:, :4].max(axis=1) + powers[:, 4:].max(axis=1)
        keys = np.full(len(energy), -1, np.int8)
        near = np.flatnonzero((both > _WORTH_A_LOOK * total) & (both > _LOWEST_POWER / 4))
        if near.size:
            keys[near] = self._judged(powers[near], now[near] * before[near].conj(), total[near])
        return keys

    def _judged(self, powers: Pcm, advance: NDArray[np.complex64], total: Pcm) -> NDArray[np.int8]:
        """Check windows in which two tones stand out.

        Args:
            powers: of each tone, ``(n, 8)``.
            advance: its angle is how far a tone ran ahead of its nominal frequency within a hop, ``(n, 8)``.
            total: power of all that sounds, ``(n,)``.
        """
        every = np.arange(len(total))
        row, column = powers[:, :4].argmax(axis=1), powers[:, 4:].argmax(axis=1) + 4
        astray = np.angle(advance) / (2 * np.pi * _HOP_MS / 1000)
        # A tone that deviates from the nominal frequency loses power in the window by a known factor:
        # compensate.
        seen = np.sinc(np.clip(astray, -_ASTRAY_HZ, _ASTRAY_HZ) * (2 * _HOP_MS / 1000)) ** 2
        low, high = powers[every, row] / seen[every, row], powers[every, column] / seen[every, column]
        limit = np.minimum(np.array(ROWS + COLUMNS) * _ASTRAY, _ASTRAY_HZ)
        right = np.abs(astray) < limit
        others = powers.copy()
        others[every, row] = others[every, column] = 0.0
        apart = (others[:, :4].max(axis=1) * _APART < low) & (others[:, 4:].max(axis=1) * _APART < high)
        pure = (low + high > _PURITY * total) & (low + high > _LOWEST_POWER)
        twist = (high < low * _TWIST_HIGH) & (low < high * _TWIST_LOW)
        found = right[every, row] & right[every, column] & apart & pure & twist
        return np.where(found, row * 4 + column - 4, -1).astype(np.int8)

    def _count(
        self, keys: NDArray[np.int8], slots: Indices, pressed: NDArray[np.uint8], ended: NDArray[np.int32]
    ) -> None:
        """Update the press of each slot by one window, and note presses that begin and end."""
        candidate, hits, misses = self._candidate[slots], self._hits[slots], self._misses[slots]
        if not (keys >= 0).any() and not (candidate >= 0).any():
            return
        same = (keys >= 0) & (keys == candidate)
        hits = np.where(same, hits + 1, hits)
        misses = np.where(same, 0, misses + 1)
        begun = same & (hits == _HITS)
        pressed[begun] = np.frombuffer(KEYS.encode(), np.uint8)[candidate[begun]]
        # A single hit is dropped at once; a reported press continues over a short break.
        over = (candidate >= 0) & ~same & ((misses >= _MISSES) | (hits < _HITS))
        finished = over & (hits >= _HITS)
        ended[finished] = hits[finished] * _HOP_MS + _HOP_MS
        fresh = (keys >= 0) & ~same & (over | (candidate < 0))
        self._candidate[slots] = np.where(fresh, keys, np.where(over, -1, candidate))
        self._hits[slots] = np.where(fresh, 1, np.where(over, 0, hits))
        self._misses[slots] = np.where(fresh | over, 0, misses)
