"""Estimate of the quality of speech by the E-model (ITU-T G.107, simplified): a MOS from codec, loss, delay.

Echo, noise and level are taken at their default values, which leaves R = Ro - Id - Ie,eff. Ro is the rating
of a connection without delay and loss. Id is the impairment by delay, in the approximation of Cole and
Rosenbluth (Voice over IP performance monitoring, 2001). Ie,eff is the impairment by codec and packet loss
(G.107 §7.5, BurstR = 1): Ie + (95 - Ie) * Ppl / (Ppl + Bpl), where Ppl is the loss in percent.

One scale for all codecs: the narrowband one, on which G.711 has 93.2 (G.107). The scale of the wideband
E-model (G.107.1) is its continuation to 129, and its formula of Ie,eff is the same one, with the same 95.
So a wideband codec starts at 129, and what it has above 100 is a reserve against loss and delay: the MOS
ends at 4.5 (G.107 Annex B). The division by 1.29 of G.107.1 Annex A is not done. It gives a MOS among
wideband listeners, where G.711 at its best has 3.7: it could not be averaged with that of telephones, nor
compared with one threshold.

The estimate holds for losses spread at random, and knows nothing of the sound itself, nor of the bit rate.
"""

from typing import Final, NamedTuple

BEST: Final = 93.2
"""R of a narrowband connection without delay and loss (G.107 §7.7)."""
WIDEBAND: Final = 129.0
"""R of a wideband connection without coding, delay and loss (G.107.1 §7.1)."""
CONCEALED: Final = 25.1
"""Bpl of G.711 with concealment (G.113 Appendix I): the greater, the less a lost packet is heard."""
WIDEBAND_CONCEALED: Final = 4.9
"""Bpl of wideband codecs with no published one: the greatest in G.113 Appendix IV, of AMR-WB at 23.85 kbit/s.

It is of another codec, but of the same scale: G.711's would have G.722 sound faultless at 5 % loss.
"""
PACKET_MS: Final = 20.0
"""Delay of cutting speech into packets and playing it, milliseconds."""
_KNEE_MS: Final = 177.3
"""One-way delay from which on conversations suffer, milliseconds."""


class Impairment(NamedTuple):
    """What a codec costs of the rating."""

    best: float
    """Ro: R without coding, delay and loss."""
    ie: float
    """Ie: impairment by coding."""
    bpl: float
    """Bpl: robustness against packet loss."""


G711: Final = Impairment(BEST, 0.0, CONCEALED)
"""PCMU and PCMA: G.113 Appendix I, G.711 with concealment. Unknown codecs count as this one."""
CODECS: Final = {
    "PCMU": G711,
    "PCMA": G711,
    # Ie: G.113 Appendix IV, G.722 at 64 kbit/s, on the scale of G.107.1.
    "G722": Impairment(WIDEBAND, 13.0, WIDEBAND_CONCEALED),
    # The ITU-T has no figures of Opus. These are of M. Al-Ahmadi, P. Pocta and H. Melvin, Instrumental
    # estimation of E-model equipment impairment factor parameters for super-wideband Opus codec (ISSC 2019),
    # as published with their program: super-wideband, variable rate, 40 kbit/s, random loss.
    # They are counted from 129, as if the band ended at 8 kHz: rather too low than too high.
    "OPUS": Impairment(WIDEBAND, 10.7, 9.8),
    # Not coded. No RTP leg of the switch offers it so far.
    "L16": Impairment(WIDEBAND, 0.0, WIDEBAND_CONCEALED),
}
"""By encoding name in upper case."""


def rating(codec: str, loss: float, delay_ms: float) -> float:
    """Return R: 0 to 93.2 of narrowband codecs, to 129 of wideband ones; from 100 on all are as good.

    Args:
        codec: Encoding name, in any case; an unknown one counts as G.711.
        loss: Share of packets that were not played, 0 to 1: lost in the network, or late.
        delay_ms: Delay from mouth to ear, milliseconds.
    """
    best, ie, bpl = CODECS.get(codec.upper(), G711)
    percent = 100.0 * min(max(loss, 0.0), 1.0)
    delay_ms = max(delay_ms, 0.0)
    by_delay = 0.024 * delay_ms + 0.11 * max(delay_ms - _KNEE_MS, 0.0)
    by_codec = ie + (95.0 - ie) * percent / (percent + bpl)
    return min(max(best - by_delay - by_codec, 0.0), best)


def mos(codec: str, loss: float, round_trip_ms: float, buffer_ms: float) -> float:
    """Return the mean opinion score that listeners would give, 1 (bad) to 4.5 (G.107 Annex B).

    Args:
        codec: Encoding name, in any case; an unknown one counts as G.711.
        loss: Share of packets that were not played, 0 to 1.
        round_trip_ms: Round trip through the network, milliseconds; 0: unknown.
        buffer_ms: Delay of the jitter buffer, milliseconds.
    """
    r = min(rating(codec, loss, round_trip_ms / 2 + buffer_ms + PACKET_MS), 100.0)
    return max(1.0, 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6)
