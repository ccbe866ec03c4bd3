"""Limits of a user agent; what exceeds them is refused and counted."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """Limits and offers of one user agent."""

    transactions: int = 50_000
    """Transactions; further requests are answered with 503 and Retry-After."""
    sessions: int = 10_000
    """Calls, including those that ring."""
    forks: int = 8
    """Early dialogs of one outgoing call; further branches are ignored until they answer."""
    challenges: int = 4
    """401 and 407 responses that one request answers."""
    pending: int = 8
    """REFERs, or queued reliable provisional responses, of one call."""
    failover_s: float = 6.0
    """Seconds without a response after which the next server is tried, if there is one."""
    ring_s: float = 600.0
    """Seconds that a call may ring, in either direction; applications use shorter limits."""
    request_s: float = 32.0
    """Seconds that a request waits for `respond`, or an offer for its answer, before it gets 500."""
    session_expires: int = 1800
    """Session interval to ask for (RFC 4028), in seconds; 0 asks for none."""
    min_se: int = 90
    """Shortest session interval accepted, in seconds."""
    retry_after: int = 5
    """Seconds in the Retry-After of a 503."""
    info_types: tuple[str, ...] = (
        "application/dtmf-relay",
        "application/dtmf",
        "application/media_control+xml",
    )
    """Media types accepted in INFO; others are refused with 415."""
