"""Measure the tick of `/call` legs without sockets: PCM 16 kHz both ways, a bed of sound in each call's mix.

Speech and in-band DTMF are listened for, as on every `/call` leg. Time passes by 20 ms a tick whatever the
machine does, and only the CPU time within the engine is counted.

    python bench/feed_tick.py [legs ...]
    python bench/_paired.py BEFORE 60:energy 60:silero      beside another work tree
"""

import gc
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import softswitch  # noqa: F401, I001  (before numpy: it sets the number of BLAS threads)
import numpy as np

from softswitch.audio.vad import EnergyBank
from softswitch.media import messages as m

try:
    from softswitch.media.engine.engine import Engine
except ImportError:  # a work tree of 87c1b90, which bench/_paired.py compares with
    from softswitch.media.engine import Engine

TICK_S = 0.02
WARM_UP, MEASURED, ROUNDS = 100, 25, 12
RATE, BED_RATE = 16000, 24000
FRAME_BYTES = RATE // 25


def speech_like(rate: int, seconds: float, seed: int) -> bytes:
    """Return bursts of a buzz with gaps, PCM16: a detector has work half of the time."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(rate * seconds)) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * k * t + rng.uniform(0, 6)) / k for k in range(1, 20))
    gate = (np.sin(2 * np.pi * 0.4 * t + rng.uniform(0, 6)) > 0) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))
    return (3000 * buzz * gate).astype("<i2").tobytes()


def silero() -> object:
    """Return a bank of the neural detector."""
    from softswitch.speech import vad  # noqa: PLC0415 - only where it is measured

    return vad.silero(None)


class Legs:
    """An engine with `legs` calls of one leg each."""

    def __init__(self, legs: int, kind: str) -> None:
        """Open all ports and tracks; `kind` is that of the detector of speech."""
        self.engine = Engine(vads={"energy": EnergyBank, "silero": silero})
        self._legs, self._now, self._tick, self.frames = legs, 1000.0, 0, 0
        sound = [speech_like(RATE, 10, seed) for seed in range(8)]
        self._said = [[pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)] for pcm in sound]
        self._bed = speech_like(BED_RATE, 5, 99)
        self._fed = [0] * (legs + 1)
        for leg in range(1, legs + 1):
            self.engine.post(m.AddFeedPort(leg, leg, "pcm", RATE, prebuffer_ms=60))
            self.engine.post(m.SetInbandDtmf(leg, True))
            self.engine.post(m.SetVad(leg, kind))
            self.engine.post(m.AddTrack(leg, leg, 1.0, 0.1, low_ms=2000))
            self._feed_bed(leg, 2 + leg % 4)

    def _feed_bed(self, track: int, seconds: int) -> None:
        for _ in range(seconds):
            at = self._fed[track] % 5 * BED_RATE * 2
            self.engine.post(m.FeedTrack(track, BED_RATE, self._bed[at : at + BED_RATE * 2]))
            self._fed[track] += 1

    def run(self, ticks: int) -> float:
        """Let time pass; return the CPU seconds that the engine took."""
        spent = 0.0
        for _ in range(ticks):
            for leg in range(1, self._legs + 1):
                said = self._said[leg % 8]
                self.engine.feed(leg, said[(self._tick + leg) % len(said)])
            began = time.process_time()
            output = self.engine.tick(self._now)
            spent += time.process_time() - began
            self._now += TICK_S
            self._tick += 1
            self.frames += len(output.frames)
            for report in output.reports:
                if isinstance(report, m.TrackLow):
                    self._feed_bed(report.track, 3)
        return spent


def measure(legs: int, kind: str) -> float:
    """Return the least CPU time of a tick per leg over several rounds, in microseconds."""
    made = Legs(legs, kind)
    gc.collect()
    # As the switch itself does once it is up.
    gc.freeze()
    made.run(WARM_UP)
    made.frames = 0
    best = min(made.run(MEASURED) for _ in range(ROUNDS)) / MEASURED
    if made.frames != legs * MEASURED * ROUNDS or made.engine.counters["step_errors"]:
        raise SystemExit(f"not all was carried: {made.frames} frames, {made.engine.counters}")
    return best / legs * 1e6


def main() -> None:
    """Print one line for each number of legs."""
    for legs in map(int, sys.argv[1:] or ["10", "60"]):
        print(f"{legs:5} `/call` legs: energy {measure(legs, 'energy'):.2f} us per leg", end="; ")
        print(f"silero {measure(legs, 'silero'):.2f}", flush=True)


if __name__ == "__main__":
    main()
