"""G.722 for many legs at 64 kbit/s: one libavcodec context per slot and direction, through PyAV.

The codec predicts every sample from the one before, so rows cannot share the work as in G.711. libavcodec is
bit exact to the ITU's vectors both ways.
"""

from typing import Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from softswitch.audio.codec import G722, Codec
from softswitch.audio.conceal import Concealer
from softswitch.audio.pcm import TICK_MS, Bytes, Indices, Pcm, to_int16

_LONGEST_MS = 120
_CODES_PER_MS = 8
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


class G722Bank:
    """Encoders and decoders of G.722, one pair per slot, made when first used."""

    def __init__(self, codec: Codec = G722, slots: int = 0) -> None:
        """Make a bank with `slots` rows to begin with."""
        self.codec = codec
        self.sample_rate = codec.sample_rate
        self.faults = 0
        """Payloads that were empty or longer than any packet."""
        self._concealer = Concealer(self.sample_rate)
        self._encoders: list[AudioCodecContext | None] = []
        self._decoders: list[AudioCodecContext | None] = []
        self._frames: dict[int, av.AudioFrame] = {}
        self._tick = codec.samples(TICK_MS)
        self.grow(max(slots, 1))
        packets, _ = self.encode(np.zeros((1, self._tick), np.float32), np.zeros(1, np.intp))
        self.silence = packets[0].tobytes()
        self.close(0)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1; open slots keep their state."""
        missing = slots - len(self._encoders)
        self._encoders += [None] * missing
        self._decoders += [None] * missing
        self._concealer.grow(slots)

    def open(self, slot: int) -> None:
        """Clear the state of `slot`."""
        self.close(slot)

    def close(self, slot: int) -> None:
        """Free the state of `slot`; a closed slot may be closed again."""
        self._encoders[slot] = None
        self._decoders[slot] = None
        self._concealer.reset(slot)

    def tune(
        self,
        slot: int,
        *,
        bitrate: int | None = None,
        loss_percent: int | None = None,
        band_hz: int | None = None,
    ) -> None:
        """Do nothing: G.722 has no such settings."""

    def decode(self, payloads: Bytes, lengths: Indices, slots: Indices) -> tuple[Pcm, Indices]:
        """Decode packets; an empty packet is concealed and counted in `faults`.

        Args:
            payloads: ``(n, octets)`` uint8.
            lengths: octets of each that count, ``(n,)``; what exceeds 120 ms is cut off.
            slots: rows of the bank, each at most once, ``(n,)``.

        Returns:
            ``(n, samples)`` float32 in PCM16 units at 16 kHz, padded with zeros, and the samples of each row.
        """
        octets = np.minimum(lengths, _LONGEST_MS * _CODES_PER_MS)
        self.faults += int(np.count_nonzero((octets == 0) | (octets != lengths)))
        counts = np.where(octets > 0, octets * _SAMPLES_PER_CODE, self._tick)
        pcm = np.zeros((len(slots), int(counts.max(initial=0))), np.float32)
        for row, (slot, length) in enumerate(zip(slots.tolist(), octets.tolist(), strict=True)):
            if length:
                pcm[row, : length * _SAMPLES_PER_CODE] = self._decoded(slot, payloads[row, :length].tobytes())
        empty = np.flatnonzero(octets == 0)
        if empty.size:
            pcm[empty, : self._tick] = self._concealer.lost(slots[empty], self._tick)
        arrived = np.flatnonzero(octets)
        if empty.size == 0:
            return self._concealer.settle(pcm, counts, slots), counts
        pcm[arrived] = self._concealer.settle(pcm[arrived], counts[arrived], slots[arrived])
        return pcm, counts

    def conceal(self, slots: Indices, samples: int) -> Pcm:
        """Return the last pitch period repeated over `samples` lost samples, ``(n, samples)``."""
        return self._concealer.lost(slots, samples)

    def recover(  # the shape is the Bank's
        self,
        payloads: Bytes,
        lengths: Indices,
        slots: Indices,
        samples: int,
    ) -> Pcm:
        """Return concealment: a G.722 packet repeats nothing of the packet before it."""
        return self.conceal(slots, samples)

    def encode(self, pcm: Pcm, slots: Indices) -> tuple[Bytes, Indices]:
        """Return one payload per row.

        Args:
            pcm: ``(n, samples)`` float32 in PCM16 units, whole pieces of 10 ms (160 samples).
            slots: rows of the bank, ``(n,)``.

        Raises:
            ValueError: `pcm` is not made of whole pieces.
        """
        if pcm.shape[1] % (self._tick // 2) or not pcm.shape[1]:
            raise ValueError(f"pcm: {pcm.shape[1]} samples are not whole pieces of {self._tick // 2}")
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
        payloads = np.frombuffer(b"".join(coded), np.uint8).reshape(len(slots), samples // _SAMPLES_PER_CODE)
        return payloads, np.full(len(slots), payloads.shape[1], np.intp)

    def _decoded(self, slot: int, payload: bytes) -> Pcm:
        decoder = self._decoders[slot]
        if decoder is None:
            decoder = self._decoders[slot] = _context("r")
        [frame] = decoder.decode(av.Packet(payload))
        return np.frombuffer(memoryview(frame.planes[0]), np.int16, count=frame.samples).astype(np.float32)

    def _new_frame(self, samples: int) -> av.AudioFrame:
        """Return a frame that is filled anew for each packet, which is cheaper than a new one."""
        frame = av.AudioFrame("s16", "mono", samples)
        frame.sample_rate = self.sample_rate
        if len(self._frames) < _MOST_FRAMES:
            self._frames[samples] = frame
        return frame
