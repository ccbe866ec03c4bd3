"""What the telephones count; each name is a metric `softswitch_sip_<name>_total`."""

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class SipCounters:
    """Plain numbers, read at each scrape."""

    messages_received: int = 0
    """Messages that could be read."""
    messages_malformed: int = 0
    """Messages that could not."""
    messages_sent: int = 0
    keep_alives: int = 0
    """Empty datagrams and lines that only keep a way open (RFC 5626)."""
    strangers: int = 0
    """Requests left without an answer, since nobody knows who asks."""
    challenges: int = 0
    """Requests answered with 401."""
    logins_failed: int = 0
    """Proofs that were wrong."""
    overloaded: int = 0
    """Calls refused with 503: too many a second, no port left, or going down."""
    connections_opened: int = 0
    connections_refused: int = 0
    """Connections beyond the bounds, all together or of one address."""
    connections_idle: int = 0
    """Connections closed since nothing came."""
    connections_broken: int = 0
    """Connections closed since what came could not be cut into messages."""
    sends_dropped: int = 0
    """Messages that no transport could take: a full buffer, a closed connection."""
    sends_failed: int = 0
    """Messages whose far end is known to be unreachable."""
    calls_received: int = 0
    calls_placed: int = 0
    transfers_asked: int = 0
    """REFER requests of far ends that reached a call."""

    def numbers(self) -> dict[str, int]:
        """Return all of them by name."""
        return asdict(self)
