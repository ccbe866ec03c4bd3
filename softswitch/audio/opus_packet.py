"""What the first two octets of Opus packets tell: how long they last (RFC 6716 section 3.1)."""

import numpy as np

from softswitch.audio.pcm import Bytes, Indices

LONGEST_MS = 120
"""No packet may last longer (RFC 6716 section 3.4, requirement R5)."""


def _frame_durations() -> Indices:
    """Return the frame duration of each of the 32 configurations in units of 2.5 ms (RFC 6716 table 2)."""
    silk, hybrid, celt = [4, 8, 16, 24], [4, 8], [1, 2, 4, 8]
    return np.array(silk * 3 + hybrid * 2 + celt * 4, np.intp)


_DURATION = _frame_durations()
_UNIT_US = 2500
_FRAMES = np.array([1, 2, 2, 0], np.intp)


def sample_counts(payloads: Bytes, lengths: Indices, sample_rate: int) -> Indices:
    """Return how many samples each packet decodes to, 0 for one that no decoder may be given.

    Args:
        payloads: ``(n, octets)``.
        lengths: octets of each that count.
        sample_rate: rate of decoding, Hz.
    """
    if payloads.shape[1] < 2:
        payloads = np.pad(payloads, ((0, 0), (0, 2 - payloads.shape[1])))
    toc = payloads[:, 0].astype(np.intp)
    code = toc & 3
    frames = np.where(code == 3, payloads[:, 1] & 0x3F, _FRAMES[code])
    units = _DURATION[toc >> 3] * frames
    valid = (lengths > 0) & ((code != 3) | (lengths > 1)) & (units * _UNIT_US <= LONGEST_MS * 1000)
    return np.where(valid, units * (sample_rate // 400), 0)


def concealment_packet(last_toc: int) -> bytes:
    """Return a packet of one empty frame like the last one: decoders take it for a loss and conceal.

    The way to packet loss concealment for a decoder that knows no other (RFC 6716 section 3.2.1).
    """
    return bytes([last_toc & 0xFC])
