"""Estimate of the quality of speech by the E-model (ITU-T G.107, simplified): a MOS from loss and delay.

Echo, noise and level are taken at their default values, which leaves R = 93.2 - Id - Ie,eff. Id is the
impairment by delay, in the approximation of Cole and Rosenbluth (Voice over IP performance monitoring, 2001).
Ie,eff is the impairment by packet loss. The codecs of the switch are taken for G.711 with concealment: ITU-T
G.113 has no figures of G.722 and Opus on the scale of the telephone, and they conceal no worse. The estimate
holds for losses spread at random, and knows nothing of the sound itself.
"""

BEST = 93.2
"""R of a connection without delay and loss (G.107 §7.7)."""
ROBUSTNESS = 25.1
"""Bpl of G.711 with concealment (G.113, Appendix I): the greater, the less a lost packet is heard."""
PACKET_MS = 20.0
"""Delay of cutting speech into packets and playing it, milliseconds."""
_KNEE_MS = 177.3
"""One-way delay from which on conversations suffer, milliseconds."""


def rating(loss: float, delay_ms: float) -> float:
    """Return R, 0 to 93.2.

    Args:
        loss: Share of packets that were not played, 0 to 1: lost in the network, or late.
        delay_ms: Delay from mouth to ear, milliseconds.
    """
    percent = 100.0 * min(max(loss, 0.0), 1.0)
    delay_ms = max(delay_ms, 0.0)
    by_delay = 0.024 * delay_ms + 0.11 * max(delay_ms - _KNEE_MS, 0.0)
    by_loss = 95.0 * percent / (percent + ROBUSTNESS)
    return min(max(BEST - by_delay - by_loss, 0.0), BEST)


def mos(loss: float, round_trip_ms: float, buffer_ms: float) -> float:
    """Return the mean opinion score that listeners would give, 1 (bad) to 4.5 (G.107 Annex B).

    Args:
        loss: Share of packets that were not played, 0 to 1.
        round_trip_ms: Round trip through the network, milliseconds; 0: unknown.
        buffer_ms: Delay of the jitter buffer, milliseconds.
    """
    r = rating(loss, round_trip_ms / 2 + buffer_ms + PACKET_MS)
    return max(1.0, 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6)
