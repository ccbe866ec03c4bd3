"""Session timers: end a call whose peer has vanished without a BYE (RFC 4028)."""

from collections.abc import Callable
from dataclasses import dataclass

from softswitch.sip.session.ending import Ending
from softswitch.sip.session.state import SessionState
from softswitch.sip.syntax.message import Request, Response

MAX_INTERVAL = 86400
"""Longest session interval in seconds; a longer one is read as this."""


@dataclass(frozen=True, slots=True)
class SessionTimer:
    """Session timer of one call."""

    state: SessionState
    ending: Ending

    def ask(self, request: Request, default: int = 0) -> None:
        """Write Session-Expires and Min-SE into an INVITE or UPDATE that the agent sends.

        A refresh keeps the refresher that was agreed on.

        Args:
            request: The request.
            default: Seconds to ask for while nothing is agreed on; 0 asks for no session timer.
        """
        timer = self.state.timer
        interval = timer.interval or default
        if not interval:
            return
        interval = max(interval, timer.min_se, self.state.context.limits.min_se)
        refresher = ""
        if timer.interval:
            refresher = f";refresher={'uac' if timer.refreshing else 'uas'}"
        request.headers.set("Session-Expires", f"{interval}{refresher}")
        if timer.min_se:
            request.headers.set("Min-SE", str(timer.min_se))

    def grant(self, request: Request, response: Response, on_refresh: Callable[[], None]) -> None:
        """Write the agreed interval into the 2xx to an INVITE or UPDATE of the peer, and start the timer.

        Section 9 has the rules.

        Args:
            request: The request.
            response: Its 2xx.
            on_refresh: Called when the agent has to refresh the session.
        """
        timer, limits = self.state.timer, self.state.context.limits
        interval, refresher = read_interval(request)
        supported = "timer" in [tag.lower() for tag in request.supported]
        default = timer.interval or limits.session_expires
        if not interval and not default:
            return
        min_se = max(read_seconds(request.headers.get("Min-SE")), limits.min_se)
        interval = max(interval or default, min_se)
        if not supported:
            refresher = "uas"
        elif not refresher:
            # The refresher stays the same. At first it is the party that asks.
            refresher = "uac" if not timer.interval or not timer.refreshing else "uas"
        response.headers.set("Session-Expires", f"{interval};refresher={refresher}")
        if refresher == "uac":
            response.headers.set("Require", "timer")
        self._start(interval, refreshing=refresher == "uas", on_refresh=on_refresh)

    def granted(self, response: Response, on_refresh: Callable[[], None]) -> None:
        """Start the timer with what the 2xx to an INVITE or UPDATE of the agent grants (section 7.2).

        Args:
            response: The 2xx.
            on_refresh: Called when the agent has to refresh the session.
        """
        timer = self.state.timer
        interval, refresher = read_interval(response)
        if not interval:
            # The peer knows no session timers. An earlier agreement goes on only if this agent refreshes.
            if timer.interval and timer.refreshing:
                self._start(timer.interval, refreshing=True, on_refresh=on_refresh)
            return
        self._start(interval, refreshing=refresher != "uas", on_refresh=on_refresh)

    def _start(self, interval: int, *, refreshing: bool, on_refresh: Callable[[], None]) -> None:
        state = self.state
        interval = max(interval, state.context.limits.min_se)
        state.timer.interval, state.timer.refreshing = interval, refreshing
        state.stop_alarm("refresh")
        if refreshing:
            # Section 10: the refresher refreshes at half of the interval.
            state.set_alarm("refresh", interval / 2, on_refresh)
        # Section 10: BYE goes out 32 s, or a third of the interval if that is less, before the session
        # expires. Proxies and NATs drop their state when it expires, and would not pass the BYE on later.
        state.set_alarm("expire", interval - min(32.0, interval / 3), self._expire)

    def _expire(self) -> None:
        self.state.context.count("session_expired")
        self.ending.hang_up("expired", {"Reason": 'SIP;cause=408;text="Session Timer Expired"'})


def read_interval(message: Request | Response) -> tuple[int, str]:
    """Return the seconds and the refresher (``uac``, ``uas`` or "") of Session-Expires, 0 without one."""
    text = message.headers.get("Session-Expires") or ""
    number, _, rest = text.partition(";")
    parameters = rest.replace(" ", "").lower().split(";")
    refresher = next((part[10:] for part in parameters if part.startswith("refresher=")), "")
    return read_seconds(number), refresher if refresher in ("uac", "uas") else ""


def is_too_short(request: Request, min_se: int) -> bool:
    """Return whether a request asks for a session interval below `min_se` seconds: 422 (section 9)."""
    interval, _ = read_interval(request)
    return 0 < interval < min_se


def read_seconds(text: str | None) -> int:
    """Return a whole number of seconds, at most `MAX_INTERVAL`; 0 for any other text."""
    text = (text or "").partition(";")[0].strip()
    return min(int(text), MAX_INTERVAL) if text.isascii() and text.isdigit() and len(text) < 10 else 0
