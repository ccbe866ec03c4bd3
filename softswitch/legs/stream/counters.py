"""Counters of all streams of a process, for metrics."""

from dataclasses import dataclass


@dataclass(slots=True)
class StreamCounters:
    """Numbers of one process; all but `open` only grow."""

    open: int = 0
    """Streams connected now."""
    opened: int = 0
    """Connections to services made."""
    failed: int = 0
    """Streams whose service could not be reached."""
    lost: int = 0
    """Connections that broke."""
    reconnected: int = 0
    """Broken connections made anew."""
    media_sent: int = 0
    """Media messages handed to the network or its queue."""
    media_dropped: int = 0
    """Media messages dropped because a service read too slowly."""
    marks_unheard: int = 0
    """Marks that could not be acknowledged because the service was not connected."""
    wrong_id: int = 0
    """Messages for another stream, dropped."""
    junk: int = 0
    """Messages that could not be read, dropped."""
    binary: int = 0
    """Binary messages, dropped."""
    deaf: int = 0
    """Audio, marks and clears of services that may not speak (yet), dropped."""
    complaints: int = 0
    """Errors that services reported."""
    too_large: int = 0
    """Connections closed because a message was larger than 8 MiB."""
