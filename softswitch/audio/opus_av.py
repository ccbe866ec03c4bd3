"""Opus by PyAV, for machines where ctypes finds no libopus.

Concealment works (a packet of one empty frame makes the decoder conceal), in-band FEC cannot be decoded, and
the encoder cannot be tuned while it runs. libavcodec decodes at 48 kHz whatever is asked for.
"""

from typing import Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from softswitch.audio.codec import OPUS, Codec
from softswitch.audio.opus_packet import concealment_packet, sample_counts
from softswitch.audio.pcm import TICK_MS, Bytes, Indices, Pcm, Pcm16, to_int16
from softswitch.audio.resample import Resampler

_RATE = 48000
_BITRATE = 32000


class AvOpusBank:
    """Encoders and decoders of Opus by libavcodec, one pair per slot, made when first used."""

    def __init__(self, codec: Codec = OPUS, slots: int = 0) -> None:
        """Make a bank with `slots` rows to begin with."""
        self.codec = codec
        self.sample_rate = codec.sample_rate
        self.faults = 0
        """Payloads that could not be decoded and were concealed."""
        self._encoders: list[AudioCodecContext | None] = []
        self._decoders: list[AudioCodecContext | None] = []
        self._last_toc: list[int] = []
        self._resampler = Resampler(_RATE, codec.sample_rate)
        self._tick = codec.samples(TICK_MS)
        self.grow(max(slots, 1))
        # libavcodec delays its first packet by nothing, but may hold one back: two frames always give one.
        silence = np.zeros((1, self._tick), np.float32)
        packets = [self.encode(silence, np.zeros(1, np.intp)) for _ in range(2)]
        self.silence = packets[-1][0][0, : int(packets[-1][1][0])].tobytes()
        self.close(0)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1; open slots keep their state."""
        missing = slots - len(self._encoders)
        self._encoders += [None] * missing
        self._decoders += [None] * missing
        self._last_toc += [0] * missing
        self._resampler.grow(slots)

    def open(self, slot: int) -> None:
        """Clear the state of `slot`."""
        self.close(slot)

    def close(self, slot: int) -> None:
        """Free the state of `slot`; a closed slot may be closed again."""
        self._encoders[slot] = None
        self._decoders[slot] = None
        # Configuration 3 of RFC 6716 table 2, mono: 60 ms of SILK; 1 is its 20 ms.
        self._last_toc[slot] = 1 << 3
        self._resampler.reset(slot)

    def tune(
        self,
        slot: int,
        *,
        bitrate: int | None = None,
        loss_percent: int | None = None,
        band_hz: int | None = None,
    ) -> None:
        """Do nothing: libavcodec cannot change either setting of an open encoder."""

    def decode(self, payloads: Bytes, lengths: Indices, slots: Indices) -> tuple[Pcm, Indices]:
        """Decode packets, as :meth:`softswitch.audio.bank.Bank.decode`."""
        expected = sample_counts(payloads, lengths, self.sample_rate)
        rows: list[Pcm] = []
        for row, (slot, length, count) in enumerate(
            zip(slots.tolist(), lengths.tolist(), expected.tolist(), strict=True)
        ):
            payload = payloads[row, :length].tobytes()
            decoded = self._decoded(slot, payload, count) if count else None
            if decoded is None:
                self.faults += 1
                decoded = self._concealed(slot, self._tick)
            else:
                self._last_toc[slot] = payload[0]
            rows.append(decoded)
        counts = np.array([len(decoded) for decoded in rows], np.intp)
        pcm = np.zeros((len(rows), int(counts.max(initial=0))), np.float32)
        for line, decoded in zip(pcm, rows, strict=True):
            line[: len(decoded)] = decoded
        return pcm, counts

    def conceal(self, slots: Indices, samples: int) -> Pcm:
        """Return the concealment of the decoders for `samples` lost samples, ``(n, samples)``."""
        pcm = np.zeros((len(slots), samples), np.float32)
        for row, slot in enumerate(slots.tolist()):
            pcm[row] = self._concealed(slot, samples)
        return pcm

    def recover(  # the shape is the Bank's
        self,
        payloads: Bytes,
        lengths: Indices,
        slots: Indices,
        samples: int,
    ) -> Pcm:
        """Return concealment: libavcodec does not decode the redundancy."""
        return self.conceal(slots, samples)

    def encode(self, pcm: Pcm, slots: Indices) -> tuple[Bytes, Indices]:
        """Return one packet per row.

        Args:
            pcm: ``(n, samples)`` float32 in PCM16 units, 20 ms of it.
            slots: rows of the bank, ``(n,)``.

        Raises:
            ValueError: `pcm` is not 20 ms long.
        """
        if pcm.shape[1] != self._tick:
            raise ValueError(f"pcm: {pcm.shape[1]} samples are not a frame of {self._tick}")
        frames = np.ascontiguousarray(to_int16(pcm))
        packets = [self._encoded(slot, frames[row : row + 1]) for row, slot in enumerate(slots.tolist())]
        lengths = np.array([len(packet) for packet in packets], np.intp)
        payloads = np.zeros((len(packets), int(lengths.max(initial=0))), np.uint8)
        for row, packet in enumerate(packets):
            payloads[row, : len(packet)] = np.frombuffer(packet, np.uint8)
        return payloads, lengths

    def _decoded(self, slot: int, payload: bytes, expected: int) -> Pcm | None:
        """Return `expected` samples of the packet, or None where the decoder refuses it."""
        decoder = self._decoders[slot]
        if decoder is None:
            decoder = self._decoders[slot] = self._open("r")
        try:
            frames = decoder.decode(av.Packet(payload))
        except av.FFmpegError:
            return None
        pcm = np.zeros((1, expected * _RATE // self.sample_rate), np.float32)
        held: list[Pcm] = [frame.to_ndarray().mean(axis=0) * _scale(frame) for frame in frames]
        if held:
            sound = np.concatenate(held)[: pcm.shape[1]]
            # The decoder leaves out its first 6.5 ms (RFC 7845 section 4.2): put off, not brought forward.
            pcm[0, pcm.shape[1] - len(sound) :] = sound
        line: Pcm = self._resampler.process(pcm, np.array([slot]))[0]
        return line

    def _concealed(self, slot: int, samples: int) -> Pcm:
        """Return `samples` samples of concealment, silence where the decoder refuses even that."""
        packet = concealment_packet(self._last_toc[slot])
        unit = int(
            sample_counts(np.frombuffer(packet, np.uint8)[None], np.ones(1, np.intp), self.sample_rate)[0]
        )
        pieces = [self._decoded(slot, packet, unit) for _ in range(-(-samples // unit))]
        whole = np.concatenate([np.zeros(unit, np.float32) if piece is None else piece for piece in pieces])
        return whole[:samples]

    def _encoded(self, slot: int, frame: Pcm16) -> bytes:
        encoder = self._encoders[slot]
        if encoder is None:
            encoder = self._encoders[slot] = self._open("w")
        sound = av.AudioFrame.from_ndarray(frame, format="s16", layout="mono")
        sound.sample_rate = self.sample_rate
        return b"".join(map(bytes, encoder.encode(sound)))

    def _open(self, mode: Literal["r", "w"]) -> AudioCodecContext:
        context = av.CodecContext.create("libopus", mode)
        context.layout = "mono"
        context.sample_rate = _RATE if mode == "r" else self.sample_rate
        if mode == "w":
            context.format = "s16"
            context.bit_rate = _BITRATE
            context.options = {
                "application": "voip",
                "frame_duration": str(TICK_MS),
                "fec": "1",
                "packet_loss": "10",
            }
        context.open()
        return context


def _scale(frame: av.AudioFrame) -> float:
    return 32768.0 if frame.format.name.startswith("flt") else 1.0
