"""What is done with a call that comes in, by the settings: the first rule that fits, else who is there."""

from collections.abc import Callable
from dataclasses import dataclass

from softswitch.call.needs import Source
from softswitch.settings import Route, Settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who calls whom."""

    callee: str
    caller: str
    source: Source
    name: str
    """Of the trunk or user it comes from."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect the caller with somebody."""

    callee: str
    trunk: str = ""
    caller: str = ""
    """Who is shown to be calling; empty: the caller."""
    status_callback: str = ""


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell applications and wait for one of them."""

    url: str
    """The webhook; empty: none, only those who are always told."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Send the caller away."""

    code: int
    reason: str


Plan = Dial | Announce | Refuse

REASONS = {
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    480: "Temporarily Unavailable",
    486: "Busy Here",
    488: "Not Acceptable Here",
    503: "Service Unavailable",
    600: "Busy Everywhere",
    603: "Decline",
}


def transfer(
    settings: Settings, extension: str, caller: str, registered: Callable[[str], bool]
) -> Dial | Refuse:
    """Decide whom a transfer goes to: as if a user had dialled, but that nobody is told of it.

    Args:
        settings: Rules and users.
        extension: The number or name that the far end gave.
        caller: Who is shown to be calling.
        registered: Whether a user has a device that can be rung now.
    """
    decided = plan(settings, Wanted(extension, caller, "user", ""), registered, announced=False)
    return Refuse(404, REASONS[404]) if isinstance(decided, Announce) else decided


def plan(settings: Settings, call: Wanted, registered: Callable[[str], bool], *, announced: bool) -> Plan:
    """Decide what is done with a call.

    Args:
        settings: Rules, users, the webhook.
        call: Who calls whom.
        registered: Whether a user has a device that can be rung now.
        announced: Whether somebody is told of calls besides the webhook.
    """
    trunk = call.name if call.source == "trunk" else ""
    for route in settings.route:
        if route.fits(call.callee, call.caller, trunk) and _permitted(route, call):
            return _by_rule(settings, route, call)
    if registered(call.callee):
        return _user(settings, call.callee)
    if settings.webhook.url or announced:
        return Announce(settings.webhook.url)
    if any(user.name == call.callee for user in settings.user):
        return Refuse(480, REASONS[480])
    return Refuse(404, REASONS[404])


def _permitted(route: Route, call: Wanted) -> bool:
    """Whether a rule may spend money on a call: from trunk to trunk only where it names where from.

    Without this a rule for the phones of the house (match = "0.*", to = "trunk:...") would let the world
    dial through us.
    """
    return not (route.to.startswith("trunk:") and call.source == "trunk" and not route.trunk)


def _by_rule(settings: Settings, route: Route, call: Wanted) -> Plan:
    kind, _, rest = route.to.partition(":")
    match kind:
        case "user":
            return _user(settings, rest, route.status_callback)
        case "trunk":
            dialled = route.dialled(call.callee)
            return Dial(dialled, rest, _shown(settings, call), route.status_callback)
        case "webhook":
            return Announce(rest or settings.webhook.url)
        case "reject":
            return Refuse(int(rest), REASONS.get(int(rest), "Rejected"))
        case _:
            return Dial(route.to, status_callback=route.status_callback)


def _user(settings: Settings, name: str, status_callback: str = "") -> Plan:
    if not any(user.name == name for user in settings.user):
        return Refuse(404, REASONS[404])
    return Dial(name, status_callback=status_callback)


def _shown(settings: Settings, call: Wanted) -> str:
    """Return the number that a call to a trunk shows: that of the user who calls, where one is set."""
    if call.source != "user":
        return call.caller
    return next((user.caller_id for user in settings.user if user.name == call.name), "") or call.caller
