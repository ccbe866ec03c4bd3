"""Measure the engine's tick: G.711 legs, datagrams in and out, without sockets.

Every leg is an RTP port (PCMU, 20 ms) with in-band DTMF and energy VAD, two of them in a call, so that each
tick decodes, resamples, gates, detects, mixes, encodes and packetises for all; then the same with relaying
allowed, as in production, where what two phones say goes on as it came and is decoded for detection alone.

Datagrams go in by `Engine.deliver` and come out in `Output.datagrams`: the public way of ports without a
socket.

    python bench/engine_tick.py [legs ...]
"""

import gc
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import softswitch  # noqa: F401, I001  (before numpy: it sets the number of BLAS threads)
import numpy as np

from softswitch.audio.g711 import ULAW_ENCODE, encode
from softswitch.audio.vad import EnergyBank
from softswitch.media import messages as m
from softswitch.media.engine.engine import Engine

TICK_S = 0.02
WARM_UP, MEASURED, ROUNDS = 100, 25, 20
PCMU = m.PayloadFormat("PCMU", 0, 8000)


def voice(legs: int) -> list[list[bytes]]:
    """Return a second of payloads for each leg: in each pair one speaks in vowels, the other listens."""
    time_s = np.arange(8000) / 8000
    pitches = 90.0 + np.arange(legs)[:, None] % 97
    harmonics = sum(np.sin(2 * np.pi * pitches * k * time_s + k * k) / k for k in range(1, 20))
    pcm = 2000 * harmonics * (time_s % 0.5 < 0.4) * (np.arange(legs)[:, None] % 2)
    codes = encode(ULAW_ENCODE, pcm.astype(np.float32)).reshape(legs, 50, 160)
    return [[codes[leg, frame].tobytes() for frame in range(50)] for leg in range(legs)]


def build(legs: int, *, relays: bool = False) -> Engine:
    """Return an engine with `legs` connected ports, two to a call."""
    engine = Engine(vads={"energy": EnergyBank}, relays=relays)
    for leg in range(1, legs + 1):
        rtp = m.RtpParameters((PCMU,), PCMU, ssrc=1000 + leg, cname=f"leg{leg}")
        engine.post(m.AddRtpPort(leg, (leg + 1) // 2, rtp))
        engine.post(m.ConnectPlain(leg, -1, "127.0.0.1", 9))
        engine.post(m.SetInbandDtmf(leg, True))
        engine.post(m.SetVad(leg, "energy"))
    return engine


def measure(legs: int, *, relays: bool = False) -> float:
    """Return the least CPU time of a tick per leg over several rounds, in microseconds."""
    engine, payloads = build(legs, relays=relays), voice(legs)
    gc.collect()
    # As the switch itself does once it is up.
    gc.freeze()
    now, tick, best, sent = 1000.0, 0, float("inf"), 0
    for round_number in range(ROUNDS + 1):
        spent = 0.0
        for _ in range(MEASURED if round_number else WARM_UP):
            for leg in range(legs):
                header = struct.pack(">BBHII", 0x80, 0, tick & 0xFFFF, tick * 160, leg + 1)
                engine.deliver(leg + 1, header + payloads[leg][tick % 50])
            began = time.process_time()
            output = engine.tick(now)
            spent += time.process_time() - began
            sent += len(output.datagrams)
            now, tick = now + TICK_S, tick + 1
        if round_number:
            best = min(best, spent / MEASURED)
    if sent < 0.98 * legs * tick or engine.counters["step_errors"]:
        raise SystemExit(f"the engine did not carry the audio: {sent} datagrams, {engine.counters}")
    return best / legs * 1e6


def main() -> None:
    """Print one line for each number of legs."""
    for legs in map(int, sys.argv[1:] or ["100", "500"]):
        print(f"engine tick, {legs} G.711 legs: {measure(legs):.2f} us per leg", end="; ")
        print(f"relayed and listened to: {measure(legs, relays=True):.2f}", flush=True)


if __name__ == "__main__":
    main()
