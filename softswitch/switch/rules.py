"""The plan for an incoming call: by the first rule of the settings that fits, else by registered users."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from softswitch.call.interfaces import Source
from softswitch.call.vocabulary.commands import Strategy
from softswitch.settings import Route, Settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """Caller, callee and origin of an incoming call."""

    callee: str
    caller: str
    source: Source
    name: str
    """Name of the trunk or user that the call comes from."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect the caller with a callee."""

    callee: str
    trunk: str = ""
    caller: str = ""
    """Caller that the callee is shown; empty: the caller itself."""
    status_callback: str = ""
    account: str = ""
    """Account that the call belongs to; empty: the administrator's."""
    protocol: str = "wavix"
    """Dialect of the service, where the callee is a stream."""
    further: tuple["Dial", ...] = ()
    """Further callees, dialled by the strategy."""
    strategy: Strategy = "sequential"
    ring_s: float = 60.0
    """Longest ringing of a callee, with `parallel` of all together, seconds."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Announce the call to applications, and wait for one of them."""

    url: str
    """URL that gets a POST; empty: only the webhooks and feeds of accounts."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse the caller."""

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
    """Return the plan for the target of a transfer: as if a user had dialled it, but without announcement.

    Args:
        settings: Rules and users.
        extension: Number or name that the remote party gave.
        caller: Caller that the target is shown.
        registered: Tells whether a user has a device that can be rung now.
    """
    decided = plan(settings, Wanted(extension, caller, "user", ""), registered, announced=False)
    return Refuse(404, REASONS[404]) if isinstance(decided, Announce) else decided


def plan(settings: Settings, call: Wanted, registered: Callable[[str], bool], *, announced: bool) -> Plan:
    """Return the plan for an incoming call.

    Args:
        settings: Rules, users, the webhook.
        call: The call.
        registered: Tells whether a user has a device that can be rung now.
        announced: Whether the webhook or feed of an account wants to know of calls.
    """
    trunk = call.name if call.source == "trunk" else ""
    for route in settings.route:
        if route.fits(call.callee, call.caller, trunk) and _permitted(route, call):
            return by_rule(settings, route, call)
    if registered(call.callee):
        return _user(settings, call.callee)
    if settings.webhook.url or announced:
        return Announce(settings.webhook.url)
    if any(user.name == call.callee for user in settings.user):
        return Refuse(480, REASONS[480])
    return Refuse(404, REASONS[404])


def _permitted(route: Route, call: Wanted) -> bool:
    """Tell whether a rule may connect a call: from trunk to trunk only where it names the trunk it is for.

    Otherwise a rule for the users of this switch (match = "0.*", to = "trunk:...") would let every caller
    from outside dial over the trunk, at the cost of the operator.
    """
    to_trunk = any(target.startswith("trunk:") for target in route.targets)
    return not (to_trunk and call.source == "trunk" and not route.trunk)


def by_rule(settings: Settings, route: Route, call: Wanted) -> Plan:
    """Return the plan of a route for a call, whether or not it matches."""
    return first_of(
        [_by_target(settings, route, target, call) for target in route.targets], route.strategy, route.ring_s
    )


def first_of(plans: Sequence[Plan], strategy: Strategy, ring_s: float) -> Plan:
    """Return one plan for several targets: those that can be dialled, else the refusal of the first one.

    Args:
        plans: Plans of the targets, at least one.
        strategy: Whether they are dialled one after the other or together.
        ring_s: Longest ringing, seconds.
    """
    dials = [one for one in plans if isinstance(one, Dial)]
    if not dials:
        return plans[0]
    return replace(dials[0], further=tuple(dials[1:]), strategy=strategy, ring_s=ring_s)


def _by_target(settings: Settings, route: Route, target: str, call: Wanted) -> Plan:
    kind, _, rest = target.partition(":")
    match kind:
        case "user":
            return _user(settings, rest, route.status_callback, route.account)
        case "trunk":
            dialled = route.dialled(call.callee)
            return Dial(dialled, rest, _shown(settings, call), route.status_callback, route.account)
        case "supervise":
            if call.source != "user":
                return Refuse(403, REASONS[403])
            return Dial(f"supervise:{route.supervised(call.callee)}", account=route.account)
        case "webhook":
            return Announce(rest or settings.webhook.url)
        case "reject":
            return Refuse(int(rest), REASONS.get(int(rest), "Rejected"))
        case _:
            return Dial(
                target,
                status_callback=route.status_callback,
                account=route.account,
                protocol=route.protocol,
            )


def _user(settings: Settings, name: str, status_callback: str = "", account: str = "") -> Plan:
    if not any(user.name == name for user in settings.user):
        return Refuse(404, REASONS[404])
    return Dial(name, status_callback=status_callback, account=account)


def _shown(settings: Settings, call: Wanted) -> str:
    """Return the number that a call to a trunk shows: that of the user who calls, where one is set."""
    if call.source != "user":
        return call.caller
    return next((user.caller_id for user in settings.user if user.name == call.name), "") or call.caller
