"""Counters of the SIP legs and transports; each name is a metric `softswitch_sip_<name>_total`."""

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class SipCounters:
    """Counters as plain numbers, read at each scrape."""

    messages_received: int = 0
    """Messages that could be parsed."""
    messages_malformed: int = 0
    """Messages that could not be parsed."""
    messages_sent: int = 0
    keep_alives: int = 0
    """Empty datagrams and lines that only keep a NAT binding open (RFC 5626)."""
    keep_alives_sent: int = 0
    """OPTIONS to registered devices behind a NAT."""
    trunks_changed: int = 0
    """Trunks that were changed or removed while the switch ran."""
    address_changes: int = 0
    """Peers toward which the local address has changed."""
    strangers: int = 0
    """Requests from unknown sources, which get no response."""
    strangers_dropped: int = 0
    """Datagrams of unknown sources dropped because too many waited."""
    tokens: int = 0
    """Requests admitted by a token in place of a password."""
    challenges: int = 0
    """Requests answered with 401."""
    logins_failed: int = 0
    """Requests with wrong credentials."""
    overloaded: int = 0
    """Calls refused with 503: overload, too many a second, no port left, or shutdown."""
    stale: int = 0
    """Requests dropped under overload: they waited longer than T1, so their senders have retransmitted
    them."""
    connections_opened: int = 0
    connections_refused: int = 0
    """Connections beyond the limits, of all addresses together or of one."""
    connections_unproved: int = 0
    """WebSockets closed because no phone registered or called over them in time."""
    connections_idle: int = 0
    """Connections closed because nothing was received for too long."""
    connections_broken: int = 0
    """Connections closed because their stream could not be split into messages."""
    sends_dropped: int = 0
    """Messages that no transport could send: the buffer was full, or the connection closed."""
    sends_failed: int = 0
    """Messages to peers that ICMP errors report as unreachable."""
    icmp_unreachable: int = 0
    """ICMP errors on the UDP socket: the peer is unreachable."""
    icmp_stray: int = 0
    """ICMP errors for an address that nothing was sent to since its last error: repeated or forged."""
    icmp_too_big: int = 0
    """ICMP errors on the UDP socket: a datagram was larger than the path's MTU."""
    icmp_passing: int = 0
    """ICMP errors on the UDP socket that lost one datagram, for example by a missing fragment."""
    calls_received: int = 0
    calls_placed: int = 0
    redirects_followed: int = 0
    """Targets of redirections (3xx) that were called."""
    redirects_refused: int = 0
    """Targets of redirections that the rules do not allow, or beyond `[sip] follow_redirects`."""
    transfers_asked: int = 0
    """REFER requests received within a call."""
    hep_sent: int = 0
    """Copies of messages sent to Homer ([sip] hep)."""
    hep_dropped: int = 0
    """Copies not sent: the server is not found or not allowed, or the socket did not take them."""
    traced: int = 0
    """Messages of calls that the trace has kept ([sip] trace)."""
    trace_dropped: int = 0
    """Messages that the trace did not keep: the call, or all calls together, had too many."""

    def numbers(self) -> dict[str, int]:
        """Return all counters by name."""
        return asdict(self)
