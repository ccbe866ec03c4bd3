"""Cuts the two sides of a recording into utterances, in the order of their ends."""

from typing import NamedTuple

import numpy as np

from softswitch.audio import pcm as pcm16
from softswitch.audio.pcm import Pcm
from softswitch.speech.endpointer import FRAME, RATE, Endpointer

PAUSE_MS = 700
"""Silence that ends an utterance."""
LONGEST_S = 15.0
"""An utterance is cut at this length."""
SIDES = 2


class Utterance(NamedTuple):
    """What one side said in one go."""

    side: int
    """0: the party of the call, 1: what it heard."""
    start_ms: int
    """From the beginning of the recording."""
    end_ms: int
    pcm: bytes
    """PCM16 at 16 kHz."""


class _Side:
    def __init__(self, number: int) -> None:
        self._number = number
        self._endpointer = Endpointer(PAUSE_MS, LONGEST_S)
        self._rest: Pcm = np.zeros(0, np.float32)
        self._samples = 0
        self._pieces: list[Pcm] = []

    def push(self, pcm: bytes) -> list[Utterance]:
        line = np.concatenate([self._rest, pcm16.from_bytes(pcm)])
        whole = line.size // FRAME * FRAME
        self._rest = line[whole:]
        found = []
        for begin in range(0, whole, FRAME):
            self._samples += FRAME
            piece = self._endpointer.push(line[begin : begin + FRAME])
            if piece is not None:
                self._pieces.append(piece)
                if not self._endpointer.speaking:
                    found += self.end()
        return found

    def end(self) -> list[Utterance]:
        if not self._pieces:
            return []
        sound = np.concatenate(self._pieces)
        self._pieces = []
        self._endpointer.end()
        end_ms = self._samples * 1000 // RATE
        start_ms = end_ms - sound.size * 1000 // RATE
        return [Utterance(self._number, start_ms, end_ms, pcm16.to_bytes(sound))]


class Cutter:
    """Follows the two sides of one recording."""

    def __init__(self) -> None:
        """Begin in silence."""
        self._sides = [_Side(number) for number in range(SIDES)]

    def push(self, pieces: tuple[bytes, bytes]) -> list[Utterance]:
        """Take the next PCM16 at 16 kHz of each side; return the utterances that ended."""
        found = [one for side, pcm in zip(self._sides, pieces, strict=True) for one in side.push(pcm)]
        return sorted(found, key=lambda one: one.end_ms)

    def end(self) -> list[Utterance]:
        """Return the utterances that go on at the end."""
        return [one for side in self._sides for one in side.end()]
