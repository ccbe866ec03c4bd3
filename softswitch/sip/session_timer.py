"""Session timers: a call whose far end is gone ends by itself (RFC 4028)."""

from collections.abc import Callable

from softswitch.sip.calls import Calls
from softswitch.sip.message import Request, Response
from softswitch.sip.session import Session
from softswitch.sip.session_ending import say_bye

Refresh = Callable[[Calls, Session], None]

LONGEST = 86400
"""Seconds; a longer interval is as good as none."""


def read_interval(message: Request | Response) -> tuple[int, str]:
    """Return the interval in seconds and the refresher of Session-Expires, 0 and "" where there is none."""
    text = message.headers.get("Session-Expires") or ""
    number, _, rest = text.partition(";")
    parameters = rest.replace(" ", "").lower().split(";")
    refresher = next((part[10:] for part in parameters if part.startswith("refresher=")), "")
    return whole(number), refresher if refresher in ("uac", "uas") else ""


def whole(text: str | None) -> int:
    """Return a whole number of seconds, 0 for anything else."""
    text = (text or "").partition(";")[0].strip()
    return min(int(text), LONGEST) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def too_short(core: Calls, request: Request) -> bool:
    """Return whether a request asks for an interval that we do not take: 422 (section 9)."""
    interval, _ = read_interval(request)
    return 0 < interval < core.limits.min_se


def ask_interval(core: Calls, session: Session, request: Request, *, wanted: int) -> None:
    """Write what a request of ours asks for: the first INVITE, or a refresh, which keeps who refreshes."""
    interval = session.timer.interval or wanted
    if not interval:
        return
    interval = max(interval, session.timer.least, core.limits.min_se)
    refresher = ""
    if session.timer.interval:
        refresher = f";refresher={'uac' if session.timer.ours else 'uas'}"
    request.headers.set("Session-Expires", f"{interval}{refresher}")
    if session.timer.least:
        request.headers.set("Min-SE", str(session.timer.least))


def grant(core: Calls, session: Session, request: Request, response: Response, refresh: Refresh) -> None:
    """Write what we agree to into the 2xx to an INVITE or UPDATE of theirs (section 9)."""
    interval, refresher = read_interval(request)
    supported = "timer" in [tag.lower() for tag in request.supported]
    session.timer_supported = supported
    wanted = session.timer.interval or core.limits.session_expires
    if not interval and not wanted:
        return
    least = max(whole(request.headers.get("Min-SE")), core.limits.min_se)
    interval = max(interval or wanted, least)
    if not supported:
        refresher = "uas"
    elif not refresher:
        # Who never refreshed before shall not be the one to break it: the one who asked does it.
        refresher = "uac" if not session.timer.interval or not session.timer.ours else "uas"
    response.headers.set("Session-Expires", f"{interval};refresher={refresher}")
    if refresher == "uac":
        response.headers.set("Require", "timer")
    agree(core, session, interval, ours=refresher == "uas", refresh=refresh)


def granted(core: Calls, session: Session, response: Response, refresh: Refresh) -> None:
    """Take what the 2xx to an INVITE or UPDATE of ours agrees to (section 7.2)."""
    interval, refresher = read_interval(response)
    if not interval:
        # The far end knows no timers. What was agreed before goes on only if we are the one who refreshes.
        if session.timer.interval and session.timer.ours:
            agree(core, session, session.timer.interval, ours=True, refresh=refresh)
        return
    agree(core, session, interval, ours=refresher != "uas", refresh=refresh)


def agree(core: Calls, session: Session, interval: int, *, ours: bool, refresh: Refresh) -> None:
    """Start the timer anew."""
    interval = max(interval, core.limits.min_se)
    session.timer.interval, session.timer.ours = interval, ours
    session.stop_alarm("refresh")
    if ours:
        session.set_alarm(core, "refresh", interval / 2, lambda: refresh(core, session))
    # Section 10: BYE goes out min(32, a third) before the end, so that it still finds open doors.
    session.set_alarm(core, "expire", interval - min(32.0, interval / 3), lambda: _expire(core, session))


def _expire(core: Calls, session: Session) -> None:
    core.count("session_expired")
    say_bye(core, session, "expired", {"Reason": 'SIP;cause=408;text="Session Timer Expired"'})
