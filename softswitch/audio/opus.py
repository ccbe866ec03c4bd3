"""Opus for many legs: one libopus encoder and decoder per slot, at the bus rate of 24 kHz."""

import ctypes
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from softswitch.audio import libopus
from softswitch.audio.band import BASIS, BLOCK, FLOOR, FULL, NARROW, SHARE, TOP_COLUMN, WIDE, bands
from softswitch.audio.codec import OPUS, Codec
from softswitch.audio.opus_packet import LONGEST_MS, sample_counts
from softswitch.audio.pcm import BUS_RATE, TICK_MS, Bytes, Indices, Pcm, to_int16
from softswitch.audio.rows import compiled
from softswitch.compiled import Address, address, function_address
from softswitch.errors import UnavailableError

BITRATE = 48000
"""Default bits per second. With in-band FEC for 10 % loss, libopus codes speech of 12 kHz bandwidth (hybrid,
super-wide band) from 38 kbit/s on; below, it gives the band up first."""

PLAIN_BITRATE = 48000
"""Least bits per second of an encoder that uses CELT on a network without loss (docs/adr/0048).

CELT costs half of SILK with FEC. At 48 kbit/s, of which it uses 43, it sounds on a clean network as SILK with
FEC does at 40: PESQ-wb of sound up to 4, 8 and 12 kHz is 4.45, 4.19 and 3.98 with both.
"""

LOWEST_BITRATE = 6000
"""Lowest bits per second of an encoder."""

COMPLEXITY = 0
"""Default effort of the encoder, 0-10.

A frame of 40 kbit/s costs 105 microseconds at 0 and 118 at 1, where one of 32 kbit/s (8 kHz bandwidth) costs
100 at 1; 2 and more take twice that. PESQ-wb without loss and at 10 % is 3.94 and 3.58 at 0 and 40
kbit/s, 3.91 and 3.57 at 1 and 32 kbit/s.
"""

LOSS_PERCENT = 10
"""Expected loss until RTCP reports the real one, and of encoders with FEC that are told of none: 0 would
disable FEC although it is switched on."""

_LIMITED_AFTER_MS = 1000
"""Sound without anything above 4 or 8 kHz after which an encoder is limited to that band, milliseconds."""

_LOOK_FRAMES = 4
"""Frames of an encoder of which one is looked at for its band: what gets wider is dull for at most 60 ms."""

_AUDIBLE = 100.0
"""Mean square of a frame from which on it counts as sound, PCM16 units: -70 dBov."""

_QUIET = 3e4
"""Mean square of a frame below which an encoder is replaced by one of less band: -45 dBov, as in pauses."""

LONGEST_PACKET = 1100
"""Octets that the encoder may use for one packet. With RTP header and extension (20), SRTP tag (16), TURN
channel (4), UDP and IP headers (28, of IPv6 48) it passes networks with an MTU of 1200 in one piece."""


class _Following(ctypes.Structure):
    """``struct following`` of band.c."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("unseen", "below_ms", "band", "limited", "basis")),
        ("top", ctypes.c_int64),
        *((name, ctypes.c_float) for name in ("share", "floor", "audible", "quiet")),
        ("look_frames", ctypes.c_int64),
        ("limited_after_ms", ctypes.c_double),
        ("sample_ms", ctypes.c_double),
    ]


class OpusUnavailableError(UnavailableError):
    """No libopus was found on this machine."""


def libopus_functions() -> tuple[int, int]:
    """Return the addresses of ``opus_decode`` and ``opus_encode``, for compiled code; 0 without libopus."""
    library = libopus.library()
    if library is None:
        return 0, 0
    return function_address(library.opus_decode), function_address(library.opus_encode)


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
        """Make a bank without slots.

        Args:
            codec: supplies the sample rate, one of 8000, 12000, 16000, 24000, 48000.
            slots: rows to begin with.
            bitrate: bits per second a new encoder starts with, 6000-128000.
            complexity: effort of the encoders, 0-10.
            loss_percent: expected packet loss a new encoder starts with, 0-100.

        Raises:
            OpusUnavailableError: no libopus was found.
        """
        # First of all, since __del__ reads them even where the rest of this method raised.
        self._encoders: NDArray[np.int64] = np.zeros(0, np.int64)
        self.decoders: NDArray[np.int64] = np.zeros(0, np.int64)
        """Address of the decoder of each slot, 0 for none; growing replaces the array."""
        library = libopus.library()
        if library is None:
            raise OpusUnavailableError("opus: no libopus found, neither in PyAV's wheel nor on the system")
        self.codec = codec
        self.sample_rate = codec.sample_rate
        self.faults = 0
        """Payloads that could not be decoded and were concealed."""
        self._library = library
        self._decode: Callable[..., int] = library.opus_decode
        self._encode: Callable[..., int] = library.opus_encode
        self._bitrate, self._complexity, self._loss_percent = bitrate, complexity, loss_percent
        self._tick = codec.samples(TICK_MS)
        self._longest = codec.samples(LONGEST_MS)
        self._tuned: dict[int, dict[int, int]] = {}
        """Settings by :meth:`tune`, by slot: a new encoder gets them again."""
        self._loss: dict[int, int] = {}
        """Expected loss by slot, percent, where :meth:`tune` has set it."""
        self._band = np.zeros(0, np.intp)
        """Band to which the encoder of each slot is limited by its source; FULL is no limit."""
        self._limited = np.zeros(0, np.bool_)
        """Slots whose band :meth:`tune` limits: the band of their source is known."""
        self._below_ms = np.zeros((0, 2))
        """Milliseconds of sound without anything above 4 and above 8 kHz that each slot has encoded last."""
        self._unseen = np.zeros(0, np.intp)
        """Frames of each slot since the last one that was looked at."""
        self._before: tuple[NDArray[np.int16], Indices] = np.zeros((0, 0), np.int16), np.zeros(0, np.intp)
        """Frames and slots of the last call of :meth:`encode`."""
        self._following = _Following(
            None, None, None, None, address(BASIS), TOP_COLUMN, SHARE, FLOOR, _AUDIBLE, _QUIET, _LOOK_FRAMES,
            _LIMITED_AFTER_MS, 1000 / self.sample_rate,
        )  # fmt: skip
        self._following_at = ctypes.addressof(self._following)
        self._changed: Indices = np.zeros(0, np.intp)
        self._addresses = Address(), Address(), Address()
        self.grow(slots)
        self.silence = self._silence()

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1; open slots keep their state."""
        missing = slots - len(self._encoders)
        self._encoders = np.pad(self._encoders, (0, max(missing, 0)))
        self.decoders = np.pad(self.decoders, (0, max(missing, 0)))
        self._band = np.pad(self._band, (0, max(missing, 0)), constant_values=FULL)
        self._limited = np.pad(self._limited, (0, max(missing, 0)))
        self._below_ms = np.pad(self._below_ms, ((0, max(missing, 0)), (0, 0)))
        self._unseen = np.pad(self._unseen, (0, max(missing, 0)), constant_values=_LOOK_FRAMES)
        following = self._following
        following.unseen, following.below_ms = address(self._unseen), address(self._below_ms)
        following.band, following.limited = address(self._band), address(self._limited)

    def open(self, slot: int) -> None:
        """Clear the state of `slot`."""
        self.close(slot)

    def close(self, slot: int) -> None:
        """Free the state of `slot`; a closed slot may be closed again."""
        self._tuned.pop(slot, None)
        self._loss.pop(slot, None)
        self._band[slot], self._limited[slot] = FULL, False
        self._below_ms[slot], self._unseen[slot] = 0.0, _LOOK_FRAMES
        encoder, self._encoders[slot] = int(self._encoders[slot]), 0
        decoder, self.decoders[slot] = int(self.decoders[slot]), 0
        if encoder:
            self._library.opus_encoder_destroy(encoder)
        if decoder:
            self._library.opus_decoder_destroy(decoder)

    def close_all(self) -> None:
        """Free all contexts; the bank can be used again."""
        for slot in range(len(self._encoders)):
            self.close(slot)

    def __del__(self) -> None:
        """Free contexts that were not closed: Python's memory management does not know them."""
        self.close_all()

    def tune(
        self,
        slot: int,
        *,
        bitrate: int | None = None,
        loss_percent: int | None = None,
        band_hz: int | None = None,
    ) -> None:
        """Set the encoder from the next frame on, as :meth:`softswitch.audio.bank.Bank.tune`."""
        encoder, tuned = self._encoder(slot), self._tuned.setdefault(slot, {})
        if bitrate is not None:
            tuned[libopus.SET_BITRATE] = min(max(bitrate, LOWEST_BITRATE), 128000)
        if loss_percent is not None:
            self._loss[slot] = min(max(loss_percent, 0), 100)
        if band_hz is not None:
            tuned[libopus.SET_MAX_BANDWIDTH] = max(
                band for rate, band in libopus.BANDS.items() if rate <= max(band_hz, min(libopus.BANDS))
            )
            # Without the high band, effort 1 costs 2 microseconds more, and steady tones do not dip.
            limited = band_hz < self.sample_rate
            tuned[libopus.SET_COMPLEXITY] = max(self._complexity, 1) if limited else self._complexity
            self._limited[slot], self._band[slot] = limited, FULL
            self._below_ms[slot] = 0.0
        # Told of music and no loss, libopus uses CELT; told of voice and a loss, SILK with FEC at any rate.
        loss = self._loss.get(slot, self._loss_percent)
        plain = loss == 0 and tuned.get(libopus.SET_BITRATE, self._bitrate) >= PLAIN_BITRATE
        tuned[libopus.SET_SIGNAL] = libopus.SIGNAL_MUSIC if plain else libopus.SIGNAL_VOICE
        tuned[libopus.SET_PACKET_LOSS_PERCENT] = loss if plain or loss else LOSS_PERCENT
        for request, value in tuned.items():
            self._set(encoder, request, value)

    def decode(self, payloads: Bytes, lengths: Indices, slots: Indices) -> tuple[Pcm, Indices]:
        """Decode packets; a packet that cannot be decoded is concealed and counted in `faults`.

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
        # Every row has room for 20 ms of concealment, however short its packet is.
        width = max(int(counts.max(initial=0)), self._tick)
        pcm = np.zeros((len(slots), width), np.int16)
        payload, row = payloads.ctypes.data, pcm.ctypes.data
        payload_step, row_step = payloads.strides[0], pcm.strides[0]
        decode = self._decode
        for index, (decoder, octets, expected) in enumerate(
            zip(self.decoders_of(slots), lengths.tolist(), counts.tolist(), strict=True)
        ):
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
        """Return the concealment of the decoders for `samples` lost samples, ``(n, samples)``."""
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
        packets = np.empty((len(slots), LONGEST_PACKET), np.uint8)
        lengths = np.empty(len(slots), np.intp)
        frame, packet = frames.ctypes.data, packets.ctypes.data
        frame_step = frames.strides[0]
        encode = self._encode
        encoders, fresh = self.prepare(pcm, slots)
        for index, encoder in enumerate(encoders.tolist()):
            octets = encode(
                encoder,
                frame + index * frame_step,
                samples,
                packet + index * LONGEST_PACKET,
                LONGEST_PACKET,
            )
            if octets <= 0:
                raise ValueError(
                    f"pcm: Opus cannot encode {samples} samples at {self.sample_rate} Hz as a packet"
                )
            lengths[index] = octets
        self.encoded(frames, slots, fresh)
        return packets[:, : int(lengths.max(initial=0))], lengths

    def prepare(self, pcm: Pcm, slots: Indices) -> tuple[NDArray[np.int64], list[int]]:
        """Let encoders follow the band of what they are to encode; :meth:`encoded` comes next.

        Args:
            pcm: as that of :meth:`encode`.
            slots: rows of the bank, ``(n,)``.

        Returns:
            The addresses of the encoders, ``(n,)``, and the slots of new ones.
        """
        fresh = self._follow_band(pcm, slots)
        encoders = self._encoders[slots]
        for row in np.flatnonzero(encoders == 0).tolist():
            encoders[row] = self._encoder(int(slots[row]))
        return encoders, fresh

    def encoded(self, frames: NDArray[np.int16], slots: Indices, fresh: list[int]) -> None:
        """Note what the encoders of `slots` have encoded, and that those of `fresh` are no longer new."""
        self._before = frames, slots
        for slot in fresh:
            self._set(int(self._encoders[slot]), libopus.SET_PREDICTION_DISABLED, 0)

    def decoders_of(self, slots: Indices) -> list[int]:
        """Return the addresses of the decoders of `slots`, for compiled code that calls libopus."""
        pairs = zip(self.decoders[slots].tolist(), slots.tolist(), strict=True)
        return [decoder or self._decoder(slot) for decoder, slot in pairs]

    def encoders_of(self, slots: Indices) -> list[int] | None:
        """Return the addresses of the encoders of `slots`; None unless :meth:`tune` has limited their bands.

        The others follow the band of what they encode: only :meth:`encode` does that.
        """
        if np.count_nonzero(self._limited[slots]) < len(slots):
            return None
        pairs = zip(self._encoders[slots].tolist(), slots.tolist(), strict=True)
        return [encoder or self._encoder(slot) for encoder, slot in pairs]

    def tables(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the addresses of the encoders of all slots, 0 for none, and which are limited.

        Growing replaces the arrays.
        """
        return self._encoders, self._limited

    def _follow_band(self, pcm: Pcm, slots: Indices) -> list[int]:
        """Limit encoders to the band that their source has; return slots with new encoders.

        Of a telephone's sound at 24 kHz two thirds of the samples are empty, of a file of 16 kHz one third,
        and coding them costs about that share of the encoder's time. An encoder at work changes its bandwidth
        in pauses and slowly, within five seconds, so that a new one takes over; it heard the last frame, and
        predicts nothing from what the decoder has not heard. Less band begins in a pause, more band at the
        next look, which one frame in four gets.
        """
        if self.sample_rate != BUS_RATE or not len(slots) or pcm.shape[1] % BLOCK:
            return []
        fast = compiled("follow_band")
        if (
            fast is not None
            and pcm.dtype == np.float32
            and pcm.flags.c_contiguous
            and slots.flags.c_contiguous
        ):
            return [self._renew(slot) for slot in self._changed_bands(fast, pcm, slots)]
        if np.count_nonzero(self._limited[slots]) == len(slots):
            # Their band is known. What follows begins anew when it is set again.
            return []
        # All of a call are looked at together: a look costs little more for many than for one.
        unseen = self._unseen[slots] + 1
        if unseen.max() < _LOOK_FRAMES:
            self._unseen[slots] = unseen
            return []
        self._unseen[slots] = 0
        unseen = np.minimum(unseen, _LOOK_FRAMES)
        seen, present = bands(pcm), self._band[slots]
        samples = pcm.shape[1]
        power = np.einsum("ij,ij->i", pcm, pcm) / samples
        heard_ms = np.where(power > _AUDIBLE, unseen * samples * 1000 / self.sample_rate, 0.0)
        below = np.where(seen[:, None] > (NARROW, WIDE), 0.0, self._below_ms[slots] + heard_ms[:, None])
        self._below_ms[slots] = below
        long = below >= _LIMITED_AFTER_MS
        lowest = np.where(long[:, NARROW], NARROW, np.where(long[:, WIDE], WIDE, FULL))
        wanted = np.maximum(seen, np.where(power < _QUIET, np.minimum(present, lowest), present))
        changed = np.flatnonzero((wanted != present) & ~self._limited[slots])
        if not len(changed):
            return []
        self._band[slots[changed]] = wanted[changed]
        return [self._renew(slot) for slot in slots[changed].tolist()]

    def _changed_bands(self, fast: Callable[..., int], pcm: Pcm, slots: Indices) -> list[int]:
        """Return the slots whose band has changed, noted by compiled code."""
        if len(self._changed) < len(slots):
            self._changed = np.zeros(2 * len(slots), np.intp)
        by_pcm, by_slots, by_changed = self._addresses
        count = fast(
            self._following_at, by_pcm.of(pcm), *pcm.shape, by_slots.of(slots), by_changed.of(self._changed)
        )
        return self._changed[:count].tolist() if count else []

    def _renew(self, slot: int) -> int:
        """Replace the encoder of `slot` by one of its bandwidth now; return the slot."""
        encoder, self._encoders[slot] = int(self._encoders[slot]), 0
        if encoder:
            self._library.opus_encoder_destroy(encoder)
        encoder = self._encoder(slot)
        for request, value in self._tuned.get(slot, {}).items():
            if request != libopus.SET_MAX_BANDWIDTH or self._band[slot] == FULL:
                self._set(encoder, request, value)
        frames, slots = self._before
        for row in np.flatnonzero(slots == slot).tolist():
            heard = np.empty(LONGEST_PACKET, np.uint8)
            self._encode(encoder, frames[row].ctypes.data, frames.shape[1], heard.ctypes.data, len(heard))
        self._set(encoder, libopus.SET_PREDICTION_DISABLED, 1)
        return slot

    def _repair(
        self, payload: int | None, payload_step: int, slots: Indices, lengths: Indices | None, samples: int
    ) -> Pcm:
        """Decode lost packets: from the redundancy at address `payload` if given, else by concealment."""
        # libopus conceals whole units of 2.5 ms (1/400 s), at most 120 ms at a time.
        unit = self.sample_rate // 400
        whole = min(-(-samples // unit) * unit, self._longest)
        pcm = np.zeros((len(slots), max(whole, samples)), np.int16)
        row, row_step = pcm.ctypes.data, pcm.strides[0]
        octets = [0] * len(slots) if lengths is None else lengths.tolist()
        for index, decoder in enumerate(self.decoders_of(slots)):
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
        self.decoders[slot] = decoder
        return int(decoder)

    def _encoder(self, slot: int) -> int:
        """Return the encoder of `slot`; make it if the slot has no encoder yet."""
        if self._encoders[slot]:
            return int(self._encoders[slot])
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
            # Only CELT looks at it: as many bits as the sound needs are a tenth fewer for the same quality.
            (libopus.SET_VBR_CONSTRAINT, 0),
        ):
            self._set(encoder, request, value)
        if self._band[slot] != FULL:
            hz = 8000 if self._band[slot] == NARROW else 16000
            self._set(encoder, libopus.SET_MAX_BANDWIDTH, libopus.BANDS[hz])
        return int(encoder)

    def _set(self, encoder: int, request: int, value: int) -> None:
        status = self._library.opus_encoder_ctl(encoder, request, ctypes.c_int(value))
        if status:
            raise ValueError(f"opus: libopus refuses {value} for the setting {request} (status {status})")

    def _silence(self) -> bytes:
        """Return a packet of 20 ms of silence, made by an encoder of its own."""
        self.grow(max(len(self._encoders), 1))
        packets, lengths = self.encode(np.zeros((1, self._tick), np.float32), np.zeros(1, np.intp))
        self.close(0)
        return packets[0, : int(lengths[0])].tobytes()


def _readable(payloads: Bytes, lengths: Indices) -> tuple[Bytes, Indices]:
    """Return rows whose octets lie side by side, and lengths that never lead C code beyond them."""
    if payloads.strides[1] != 1:
        payloads = np.ascontiguousarray(payloads)
    return payloads, np.minimum(lengths, payloads.shape[1])
