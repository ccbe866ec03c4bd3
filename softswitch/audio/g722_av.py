"""G.722 of libavcodec through PyAV, where there is no compiled code: one context per slot and direction.

libavcodec is bit exact to the ITU's vectors both ways. Importing this module imports PyAV (16 MB).
"""

from typing import Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from softswitch.audio.codec import G722
from softswitch.audio.pcm import TICK_MS, Bytes, Indices, Pcm, to_int16

_LONGEST = 960
"""Octets of 120 ms."""

_SAMPLES_PER_CODE = 2
_MOST_FRAMES = 16
"""Most lengths of frames that are kept."""


def _context(mode: Literal["r", "w"], frame: int = 0) -> AudioCodecContext:
    """Return an open context; an encoder's packets are made of `frame` samples."""
    context = av.CodecContext.create("g722", mode)
    context.sample_rate = G722.sample_rate
    context.layout = "mono"
    if mode == "w":
        context.format = "s16"
        context.options = {"frame_size": str(frame)}
    context.open()
    return context


class AvCoders:
    """Encoders and decoders, a pair per slot, made when first used."""

    name = "libavcodec"

    def __init__(self) -> None:
        self._encoders: list[AudioCodecContext | None] = []
        self._decoders: list[AudioCodecContext | None] = []
        self._frames: dict[int, av.AudioFrame] = {}
        self._tick = G722.samples(TICK_MS)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1; open slots keep their state."""
        missing = slots - len(self._encoders)
        self._encoders += [None] * missing
        self._decoders += [None] * missing

    def close(self, slot: int) -> None:
        """Free the state of `slot`."""
        self._encoders[slot] = None
        self._decoders[slot] = None

    def decode(self, payloads: Bytes, lengths: Indices, slots: Indices) -> tuple[Pcm, Indices, Indices]:
        """Decode packets as :meth:`softswitch.audio.g722.Coders.decode` says; no sound is remembered."""
        octets = np.minimum(lengths, _LONGEST)
        counts = octets * _SAMPLES_PER_CODE
        pcm = np.zeros((len(slots), int(counts.max(initial=0))), np.float32)
        for row, (slot, length) in enumerate(zip(slots.tolist(), octets.tolist(), strict=True)):
            if length:
                pcm[row, : length * _SAMPLES_PER_CODE] = self._decoded(slot, payloads[row, :length].tobytes())
        return pcm, counts, np.arange(len(slots))

    def encode(self, pcm: Pcm, slots: Indices) -> Bytes:
        """Encode rows as :meth:`softswitch.audio.g722.Coders.encode` says."""
        data = np.ascontiguousarray(to_int16(pcm)).tobytes()
        samples = pcm.shape[1]
        frame = self._frames.get(samples) or self._new_frame(samples)
        piece = self._tick // 2 if samples % self._tick else self._tick
        octets = 2 * samples
        coded: list[bytes] = []
        for row, slot in enumerate(slots.tolist()):
            encoder = self._encoders[slot]
            if encoder is None or piece % encoder.frame_size:
                encoder = self._encoders[slot] = _context("w", piece)
            frame.planes[0].update(data[row * octets : (row + 1) * octets])
            frame.pts = None
            coded += map(bytes, encoder.encode(frame))
        return np.frombuffer(b"".join(coded), np.uint8).reshape(len(slots), samples // _SAMPLES_PER_CODE)

    def bridge(self, payloads: Bytes, slots: Indices, samples: int) -> None:
        """Do nothing: a context cannot be copied."""

    def _decoded(self, slot: int, payload: bytes) -> Pcm:
        decoder = self._decoders[slot]
        if decoder is None:
            decoder = self._decoders[slot] = _context("r")
        [frame] = decoder.decode(av.Packet(payload))
        return np.frombuffer(memoryview(frame.planes[0]), np.int16, count=frame.samples).astype(np.float32)

    def _new_frame(self, samples: int) -> av.AudioFrame:
        """Return a frame that is filled anew for each packet, which is cheaper than a new one."""
        frame = av.AudioFrame("s16", "mono", samples)
        frame.sample_rate = G722.sample_rate
        if len(self._frames) < _MOST_FRAMES:
            self._frames[samples] = frame
        return frame
