"""Opus for many legs: one libopus encoder and decoder per slot, straight at the bus's 24 kHz."""

import ctypes
from collections.abc import Callable

import numpy as np

from softswitch.audio import libopus
from softswitch.audio.codec import OPUS, Codec
from softswitch.audio.opus_packet import LONGEST_MS, sample_counts
from softswitch.audio.pcm import TICK_MS, Bytes, Indices, Pcm, to_int16
from softswitch.errors import UnavailableError

BITRATE = 32000
"""Default bits per second: room for in-band FEC beside 12 kHz wide speech."""

COMPLEXITY = 1
"""Default effort of the encoder, 0-10.

With FEC at 32 kbit/s a frame costs 69 microseconds at 1, 160 at 2, 200 at 5 and 225 at 8, for a PESQ-wb
without loss of 3.9, 3.9, 4.15 and 4.3; how far that falls under loss is the same for all.
"""

LOSS_PERCENT = 10
"""Expected loss until RTCP tells better; 0 would leave FEC out although it is switched on."""

_LONGEST_PACKET = 1275
"""Octets of the longest Opus frame (RFC 6716 section 3.4); one frame is all the encoder makes."""


class OpusUnavailableError(UnavailableError):
    """No libopus was found on this machine."""


class OpusBank:
    """Encoders and decoders of Opus, one pair per slot, made when first used and freed on close."""

    def __init__(
        self,
        codec: Codec = OPUS,
        slots: int = 0,
        *,
        bitrate: int = BITRATE,
        complexity: int = COMPLEXITY,
        loss_percent: int = LOSS_PERCENT,
    ) -> None:
        """Make a bank that knows no slot yet.

        Args:
            codec: supplies the sample rate, one of 8000, 12000, 16000, 24000, 48000.
            slots: rows to begin with.
            bitrate: bits per second a new encoder starts with, 6000-128000.
            complexity: effort of the encoders, 0-10.
            loss_percent: expected packet loss a new encoder starts with, 0-100.

        Raises:
            OpusUnavailableError: no libopus was found.
        """
        library = libopus.library()
        if library is None:
            raise OpusUnavailableError("opus: no libopus found, neither in PyAV's wheel nor on the system")
        self.codec = codec
        self.sample_rate = codec.sample_rate
        self.faults = 0
        """Payloads that no decoder would take and concealment was played for."""
        self._library = library
        self._decode: Callable[..., int] = library.opus_decode
        self._encode: Callable[..., int] = library.opus_encode
        self._bitrate, self._complexity, self._loss_percent = bitrate, complexity, loss_percent
        self._encoders: list[int] = []
        self._decoders: list[int] = []
        self._tick = codec.samples(TICK_MS)
        self._longest = codec.samples(LONGEST_MS)
        self.grow(slots)
        self.silence = self._silence()

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1; those that are open stay as they are."""
        missing = slots - len(self._encoders)
        self._encoders += [0] * missing
        self._decoders += [0] * missing

    def open(self, slot: int) -> None:
        """Begin with fresh state in `slot`."""
        self.close(slot)

    def close(self, slot: int) -> None:
        """Free what `slot` holds; closing twice is no error."""
        encoder, self._encoders[slot] = self._encoders[slot], 0
        decoder, self._decoders[slot] = self._decoders[slot], 0
        if encoder:
            self._library.opus_encoder_destroy(encoder)
        if decoder:
            self._library.opus_decoder_destroy(decoder)

    def close_all(self) -> None:
        """Free every context; the bank can be used again."""
        for slot in range(len(self._encoders)):
            self.close(slot)

    def __del__(self) -> None:
        """Free what was never closed: contexts live outside Python's memory."""
        if hasattr(self, "silence"):
            self.close_all()

    def tune(self, slot: int, *, bitrate: int | None = None, loss_percent: int | None = None) -> None:
        """Set the encoder's bits per second and the loss it arms itself against, from the next frame on."""
        encoder = self._encoder(slot)
        if bitrate is not None:
            self._set(encoder, libopus.SET_BITRATE, min(max(bitrate, 6000), 128000))
        if loss_percent is not None:
            self._set(encoder, libopus.SET_PACKET_LOSS_PERCENT, min(max(loss_percent, 0), 100))

    def decode(self, payloads: Bytes, lengths: Indices, slots: Indices) -> tuple[Pcm, Indices]:
        """Return what the packets hold; one that cannot be decoded is concealed and counted in `faults`.

        Args:
            payloads: ``(n, octets)`` uint8.
            lengths: octets of each that count, ``(n,)``.
            slots: rows of the bank, each at most once, ``(n,)``.

        Returns:
            ``(n, samples)`` float32 in PCM16 units, padded with zeros, and the samples of each row, ``(n,)``.
        """
        payloads, lengths = _readable(payloads, lengths)
        counts = sample_counts(payloads, lengths, self.sample_rate)
        got_counts = np.empty(len(slots), np.intp)
        # Every row has room for a frame of concealment, however short its packet claims to be.
        width = max(int(counts.max(initial=0)), self._tick)
        pcm = np.zeros((len(slots), width), np.int16)
        payload, row = payloads.ctypes.data, pcm.ctypes.data
        payload_step, row_step = payloads.strides[0], pcm.strides[0]
        decode, decoders = self._decode, self._decoders
        for index, (slot, octets, expected) in enumerate(
            zip(slots.tolist(), lengths.tolist(), counts.tolist(), strict=True)
        ):
            decoder = decoders[slot] or self._decoder(slot)
            got = -1
            if expected:
                got = decode(
                    decoder, payload + index * payload_step, octets, row + index * row_step, expected, 0
                )
            if got <= 0:
                self.faults += 1
                got = max(decode(decoder, None, 0, row + index * row_step, self._tick, 0), 0)
            got_counts[index] = got
        return pcm[:, : int(got_counts.max(initial=0))].astype(np.float32), got_counts

    def conceal(self, slots: Indices, samples: int) -> Pcm:
        """Return the decoders' own guess of `samples` lost samples, ``(n, samples)``."""
        return self._repair(None, 0, slots, None, samples)

    def recover(self, payloads: Bytes, lengths: Indices, slots: Indices, samples: int) -> Pcm:
        """Return a lost packet from the redundancy in the packet *after* it (RFC 6716 section 2.1.7).

        The packet itself is decoded afterwards as usual. Where it carries no redundancy or is damaged, the
        hole is concealed.

        Args:
            payloads: the following packets, ``(n, octets)``.
            lengths: octets of each that count, ``(n,)``.
            slots: rows of the bank, ``(n,)``.
            samples: duration of the lost packet.
        """
        payloads, lengths = _readable(payloads, lengths)
        lengths = np.where(sample_counts(payloads, lengths, self.sample_rate) > 0, lengths, 0)
        return self._repair(payloads.ctypes.data, payloads.strides[0], slots, lengths, samples)

    def encode(self, pcm: Pcm, slots: Indices) -> tuple[Bytes, Indices]:
        """Return one packet per row.

        Args:
            pcm: ``(n, samples)`` float32 in PCM16 units, 2.5, 5, 10, 20, 40, 60, 80, 100 or 120 ms of it.
            slots: rows of the bank, ``(n,)``.

        Returns:
            ``(n, octets)`` uint8 and the octets of each row that count, ``(n,)``.

        Raises:
            ValueError: Opus has no packet of so many samples.
        """
        frames, samples = np.ascontiguousarray(to_int16(pcm)), pcm.shape[1]
        packets = np.empty((len(slots), _LONGEST_PACKET), np.uint8)
        lengths = np.empty(len(slots), np.intp)
        frame, packet = frames.ctypes.data, packets.ctypes.data
        frame_step = frames.strides[0]
        encode, encoders = self._encode, self._encoders
        for index, slot in enumerate(slots.tolist()):
            octets = encode(
                encoders[slot] or self._encoder(slot),
                frame + index * frame_step,
                samples,
                packet + index * _LONGEST_PACKET,
                _LONGEST_PACKET,
            )
            if octets <= 0:
                raise ValueError(f"pcm: Opus has no packet of {samples} samples at {self.sample_rate} Hz")
            lengths[index] = octets
        return packets[:, : int(lengths.max(initial=0))], lengths

    def _repair(
        self, payload: int | None, payload_step: int, slots: Indices, lengths: Indices | None, samples: int
    ) -> Pcm:
        """Decode holes, from redundancy where `payload` points to rows with some."""
        unit = self.sample_rate // 400
        # libopus repairs whole units of 2.5 ms and at most 120 ms at a time.
        whole = min(-(-samples // unit) * unit, self._longest)
        pcm = np.zeros((len(slots), max(whole, samples)), np.int16)
        row, row_step = pcm.ctypes.data, pcm.strides[0]
        octets = [0] * len(slots) if lengths is None else lengths.tolist()
        for index, slot in enumerate(slots.tolist()):
            decoder = self._decoders[slot] or self._decoder(slot)
            target = row + index * row_step
            got = -1
            if payload is not None and octets[index]:
                got = self._decode(decoder, payload + index * payload_step, octets[index], target, whole, 1)
            if got <= 0:
                self._decode(decoder, None, 0, target, whole, 0)
        return pcm[:, :samples].astype(np.float32)

    def _decoder(self, slot: int) -> int:
        decoder = self._library.opus_decoder_create(self.sample_rate, 1, None)
        if not decoder:
            raise MemoryError("opus: no memory for a decoder")
        self._decoders[slot] = decoder
        return int(decoder)

    def _encoder(self, slot: int) -> int:
        """Return the encoder of `slot`, making it when there is none."""
        if self._encoders[slot]:
            return self._encoders[slot]
        encoder = self._library.opus_encoder_create(self.sample_rate, 1, libopus.VOIP, None)
        if not encoder:
            raise MemoryError("opus: no memory for an encoder")
        self._encoders[slot] = encoder
        for request, value in (
            (libopus.SET_BITRATE, self._bitrate),
            (libopus.SET_COMPLEXITY, self._complexity),
            (libopus.SET_SIGNAL, libopus.SIGNAL_VOICE),
            (libopus.SET_INBAND_FEC, 1),
            (libopus.SET_PACKET_LOSS_PERCENT, self._loss_percent),
            (libopus.SET_DTX, 0),
        ):
            self._set(encoder, request, value)
        return int(encoder)

    def _set(self, encoder: int, request: int, value: int) -> None:
        status = self._library.opus_encoder_ctl(encoder, request, ctypes.c_int(value))
        if status:
            raise ValueError(f"opus: request {request} refuses {value} (status {status})")

    def _silence(self) -> bytes:
        """Return a 20 ms packet of silence, from an encoder of its own."""
        self.grow(max(len(self._encoders), 1))
        packets, lengths = self.encode(np.zeros((1, self._tick), np.float32), np.zeros(1, np.intp))
        self.close(0)
        return packets[0, : int(lengths[0])].tobytes()


def _readable(payloads: Bytes, lengths: Indices) -> tuple[Bytes, Indices]:
    """Return rows whose octets lie side by side, and lengths that never lead C code beyond them."""
    if payloads.strides[1] != 1:
        payloads = np.ascontiguousarray(payloads)
    return payloads, np.minimum(lengths, payloads.shape[1])
