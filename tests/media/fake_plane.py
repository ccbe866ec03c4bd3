"""An RTP plane whose packets carry the bus itself: 12 octets of header and 480 samples of PCM16."""

import numpy as np

from softswitch.audio.pcm import FRAME, from_bytes, to_bytes
from softswitch.media import messages as m

HEADER = bytes([0x80, 96]) + bytes(10)
STRIDE = len(HEADER) + 2 * FRAME


def packet(pcm) -> bytes:
    """Return the packet that carries `pcm`, ``(480,)``."""
    return HEADER + to_bytes(np.asarray(pcm, np.float32))


def sound(datagram: bytes):
    """Return what a packet carries."""
    return from_bytes(datagram[len(HEADER) :])


class FakePlane:
    """Has no jitter buffer: what came last is what is heard, once."""

    def __init__(self) -> None:
        self.latest: dict = {}
        self.parameters: dict = {}
        self.held: dict = {}
        self.sending: dict = {}
        self.relayable = False
        self.groups: list = []
        self.targets: dict = {}
        self.silent: set = set()
        self.digits: list = []
        self.knows_events = False
        self.poisoned: set = set()
        """Slots whose audio raises."""
        self.reports: list = []
        self.counters: dict = {}

    def grow(self, slots):
        pass

    def open(self, slot, port, parameters, now):
        self.parameters[slot] = parameters
        self.latest.pop(slot, None)

    def update(self, slot, parameters, now):
        self.parameters[slot] = parameters

    def close(self, slot):
        self.latest.pop(slot, None)
        return {"packets_received": 1.0}

    def receive(self, rows, lengths, slots, now):
        self._check(slots)
        for row, length, slot in zip(rows, lengths, slots, strict=True):
            self.latest[int(slot)] = sound(row[:length].tobytes())

    def pull(self, slots, out, now):
        self._check(slots)
        for row, slot in enumerate(slots.tolist()):
            out[row] = self.latest.pop(slot, 0.0)

    def _check(self, slots):
        if self.poisoned.intersection(slots.tolist()):
            raise RuntimeError("poison")

    def push(self, pcm, slots, now):
        rows = np.zeros((len(slots), STRIDE), np.uint8)
        for row, frame in zip(rows, pcm, strict=True):
            row[:] = np.frombuffer(packet(frame), np.uint8)
        return rows, np.full(len(slots), STRIDE, np.intp), slots

    def control(self, now):
        return np.zeros((0, 16), np.uint8), np.zeros(0, np.intp), np.zeros(0, np.intp)

    def goodbye(self, slot):
        return np.zeros((0, 16), np.uint8), np.zeros(0, np.intp), np.zeros(0, np.intp)

    def send_digits(self, slot, digits, duration_ms, gap_ms):
        self.digits.append((slot, digits))
        return self.knows_events

    def set_held(self, slot, held):
        self.held[slot] = held

    def share(self, groups):
        self.groups = [sorted(group) for group in groups]

    def suits(self, source, target):
        return self.relayable

    def relay(self, targets, silent, now):
        self.targets, self.silent = dict(targets), set(silent)

    @property
    def relaying(self):
        return len(self.targets)

    def take_changes(self):
        return False

    def forwarded(self):
        return []

    @property
    def dialling(self):
        return frozenset()

    def set_sending(self, slot, sends):
        self.sending[slot] = sends

    def take_reports(self):
        reports, self.reports = self.reports, []
        return reports

    def statistics(self, slot):
        return {}


PARAMETERS = m.RtpParameters((m.PayloadFormat("PCMU", 0, 8000),), m.PayloadFormat("PCMU", 0, 8000))
