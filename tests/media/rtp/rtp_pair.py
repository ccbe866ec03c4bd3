"""Two RTP planes and a network between them that does what a test says."""

import numpy as np

from softswitch.audio.pcm import BUS_RATE, FRAME
from softswitch.media.messages import PayloadFormat, Report, RtpParameters
from softswitch.media.rtp.plane import RtpPlane
from tests.rtp.wire import STRIDE, datagrams

TICK = 0.02
FORMATS = {
    "PCMU": PayloadFormat("PCMU", 0, 8000),
    "PCMA": PayloadFormat("PCMA", 8, 8000),
    "G722": PayloadFormat("G722", 9, 8000),
    "opus": PayloadFormat("opus", 111, 48000, "useinbandfec=1"),
}


def parameters(name="PCMU", *, ssrc=1, others=(), events=True, **options) -> RtpParameters:
    """Return what a negotiation of one codec, and telephone events, comes to."""
    audio = FORMATS[name]
    keys = PayloadFormat("telephone-event", 101, audio.clock_rate) if events else None
    receive = (audio, *(FORMATS[other] for other in others), *((keys,) if keys else ()))
    return RtpParameters(
        receive,
        audio,
        keys,
        ssrc=ssrc,
        sequence=65500,
        timestamp=2**32 - 4000,
        cname=f"party-{ssrc}",
        **options,
    )


def tone(seconds, hz=440.0, amplitude=8000.0):
    """Return a sine at the bus's rate, whole frames ``(frames, 480)``."""
    frames = round(seconds / TICK)
    moments = np.arange(frames * FRAME) / BUS_RATE
    return (amplitude * np.sin(2 * np.pi * hz * moments)).astype(np.float32).reshape(-1, FRAME)


def voice(seconds, seed=1):
    """Return something like speech: a gliding pulse train in syllables, with a little noise."""
    rng = np.random.default_rng(seed)
    moments = np.arange(round(seconds * BUS_RATE)) / BUS_RATE
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.7 * moments)
    phase = 2 * np.pi * np.cumsum(pitch) / BUS_RATE
    sound = sum(np.sin(phase * k) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 2.5 * moments), 0, None)
    pcm = 3000 * sound * syllables + rng.normal(0, 15, len(moments))
    return pcm.astype(np.float32).reshape(-1, FRAME)


class Pair:
    """A near plane that speaks and a far plane that listens, both with the same slots."""

    def __init__(self, name="PCMU", slots=1, *, near=None, far=None, **options) -> None:
        self.near, self.far = RtpPlane(slots), RtpPlane(slots)
        self.slots = np.arange(slots)
        self.now = 500.0
        for slot in range(slots):
            self.near.open(slot, 10 + slot, near or parameters(name, ssrc=1000 + slot, **options), self.now)
            self.far.open(slot, 20 + slot, far or parameters(name, ssrc=2000 + slot, **options), self.now)
        self.drop = lambda tick, slot: False
        self.tick_count = 0
        self.wire: list[tuple[int, int, bytes]] = []
        """(tick, slot, datagram) of everything the near plane sent."""
        self.reports: list[Report] = []

    def tick(self, frame=None, *, hear=True):
        """Let both planes do 20 ms; return what the far one hears, ``(slots, 480)``."""
        pcm = np.zeros((len(self.slots), FRAME), np.float32)
        if frame is not None:
            pcm[:] = frame
        arriving = []
        for slot, data in datagrams(self.near.push(pcm, self.slots, self.now)):
            self.wire.append((self.tick_count, slot, data))
            if not self.drop(self.tick_count, slot):
                arriving.append((slot, data))
        arriving += datagrams(self.near.control(self.now))
        give(self.far, arriving, self.now)
        give(self.near, datagrams(self.far.push(np.zeros_like(pcm), self.slots, self.now)), self.now)
        give(self.near, datagrams(self.far.control(self.now)), self.now)
        out = np.full((len(self.slots), FRAME), 99.0, np.float32)
        if hear:
            self.far.pull(self.slots, out, self.now)
        self.now += TICK
        self.tick_count += 1
        self.reports += self.far.take_reports()
        return out

    def carry(self, frames):
        """Send frames ``(n, 480)`` and return what the first slot hears, the same shape."""
        return np.stack([self.tick(frame)[0] for frame in frames])


def give(plane, arriving, now):
    """Hand (slot, datagram) pairs to a plane, as the engine does."""
    rows = np.full((len(arriving), STRIDE), 0x55, np.uint8)
    for row, (_, data) in zip(rows, arriving, strict=True):
        row[: len(data)] = np.frombuffer(data, np.uint8)
    lengths = np.array([len(data) for _, data in arriving], np.intp)
    plane.receive(rows, lengths, np.array([slot for slot, _ in arriving], np.intp), now)


def level(pcm) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(np.square(pcm, dtype=np.float64))))


def frequency(pcm) -> float:
    """Return the strongest frequency in Hz."""
    line = pcm.reshape(-1)
    spectrum = np.abs(np.fft.rfft(line * np.hanning(len(line))))
    return float(np.argmax(spectrum) * BUS_RATE / len(line))


def jumps(pcm) -> float:
    """Return the largest step between two samples: a click shows here."""
    return float(np.abs(np.diff(pcm.reshape(-1))).max())
