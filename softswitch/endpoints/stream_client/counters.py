"""What all streams of a process count, for metrics."""

from dataclasses import dataclass


@dataclass(slots=True)
class StreamCounters:
    """Plain numbers; each only grows but `open`."""

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
    """Marks that could not be acknowledged: the service was gone."""
    wrong_id: int = 0
    """Messages for another stream, dropped."""
    junk: int = 0
    """Messages that could not be read, dropped."""
    binary: int = 0
    """Binary messages, dropped."""
    deaf: int = 0
    """Messages of services that may only listen, dropped."""
    too_large: int = 0
    """Connections closed for a message beyond all bounds."""
