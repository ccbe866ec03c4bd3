"""Quality of a call's legs over time, as the store keeps it (`softswitch.store.call_parts`)."""

import msgspec


class Change(msgspec.Struct, frozen=True):
    """A value from a time on."""

    at: int
    """Epoch milliseconds."""
    value: str


class LegQuality(msgspec.Struct, frozen=True, kw_only=True):
    """Quality of one leg: lists of the same length, an element for each interval."""

    leg: str
    """Name of the leg in its call."""
    step_s: int
    """Length of an interval, seconds: 5; more for long calls, whose intervals are averages."""
    codecs: tuple[Change, ...] = ()
    """Codec of what is received."""
    paths: tuple[Change, ...] = ()
    """Way of the media: kinds and addresses of the pair of candidates, or both addresses."""
    at: tuple[int, ...] = ()
    """End of each interval, epoch milliseconds."""
    mos: tuple[float, ...] = ()
    """Estimate by the E-model (ITU-T G.107), 1 to 4.5."""
    loss_percent: tuple[float, ...] = ()
    """Packets that were not played: lost, or too late."""
    far_loss_percent: tuple[float, ...] = ()
    """Packets to the peer that were lost, by its reports."""
    jitter_ms: tuple[float, ...] = ()
    """Jitter of what is received."""
    delay_ms: tuple[float, ...] = ()
    """Delay that the jitter buffer adds."""
    round_trip_ms: tuple[float, ...] = ()
    """Round trip by RTCP; 0: unknown."""
