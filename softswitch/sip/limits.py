"""Bounds of the user agent: what is more than these is refused and counted."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """How much one user agent carries, and what it offers."""

    transactions: int = 50_000
    """Running transactions; more requests are answered 503 with Retry-After."""
    sessions: int = 10_000
    """Calls, ringing ones included."""
    forks: int = 8
    """Early dialogs of one outgoing call; further ones are ignored until they answer."""
    redirects: int = 5
    """Redirections followed by one outgoing call, whatever the invitation asks for."""
    challenges: int = 4
    """401 and 407 answered by one request."""
    pending: int = 8
    """Requests of one call waiting for one another."""
    failover_s: float = 6.0
    """Silence of a server after which the next one is tried, when there is a next one."""
    ring_s: float = 600.0
    """How long a call may ring, whoever calls; the shell's own patience is shorter."""
    request_s: float = 32.0
    """How long a request handed up waits for `respond`, or an offer for its answer, before it gets 500."""
    session_expires: int = 1800
    """Session interval asked for (RFC 4028), in seconds; 0 asks for none."""
    min_se: int = 90
    """Shortest session interval accepted, in seconds."""
    retry_after: int = 5
    """Seconds told with a 503 of ours."""
    info_types: tuple[str, ...] = (
        "application/dtmf-relay",
        "application/dtmf",
        "application/media_control+xml",
    )
    """Bodies taken in INFO; others are answered 415."""
