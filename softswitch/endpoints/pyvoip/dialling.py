"""Whom a request calls on pyVoIP: a number on a trunk, or an address that the local phone may dial."""

from collections.abc import Callable

from softswitch.call.needs import LegRequest
from softswitch.endpoints.pyvoip.account import Account, Address, Dial
from softswitch.endpoints.sip.identity import (
    ANONYMOUS,
    checked,
    name_addr,
    number,
    read_callee,
    sip_uri,
    user_of,
)
from softswitch.endpoints.sip.outgoing import DialError
from softswitch.endpoints.sip.resolve import is_address
from softswitch.settings import Trunk
from softswitch.sip.uri import number_of

RING_S = 180.0
OURS = frozenset(
    {"via", "from", "to", "call-id", "cseq", "contact", "route", "record-route", "max-forwards", "allow"}
    | {"supported", "require", "content-type", "content-length", "authorization", "proxy-authorization"}
)
"""Headers that a call cannot set."""


def on_trunk(request: LegRequest, trunk: Trunk, account: Account) -> Dial:
    """Return how a request is dialled over a trunk.

    Raises:
        DialError: it names no number, or one that the trunk does not allow.
    """
    uri = read_callee(request.callee.strip())
    dialled = number_of(uri) if uri is not None else number(request.callee)
    if not dialled:
        raise DialError(484, "callee: no number")
    called = trunk.rewritten(dialled)
    if trunk.prefixes and not called.startswith(trunk.prefixes):
        raise DialError(403, f"callee: trunk {trunk.name!r} does not allow this number (prefixes)")
    from_, asserted = _identity(trunk, _shown(trunk, user_of(request.caller)), account.domain)
    return _dial(request, sip_uri(called, account.host), from_, asserted, None)


def to_address(request: LegRequest, account: Account, may_call: Callable[[str], bool]) -> Dial:
    """Return how the local phone dials an address.

    Args:
        request: what is asked for.
        account: that of the local phone.
        may_call: which addresses may be called.

    Raises:
        DialError: the callee is no URI with an address that may be called.
    """
    uri = read_callee(request.callee.strip())
    if uri is None or uri.scheme != "sip":
        raise DialError(404, "callee: without a trunk, pyVoIP dials sip:<user>@<address> alone")
    if not is_address(uri.host) or ":" in uri.host:
        raise DialError(404, "callee: the local phone of pyVoIP dials IPv4 addresses, not names")
    if not may_call(uri.host):
        raise DialError(
            403, "callee: this host is no server of a [[trunk]], and not in the networks of [sip] allow"
        )
    target: Address = (uri.host, uri.port or 5060)
    caller = read_callee(request.caller.strip())
    shown = request.caller.strip() or request.sip.username or account.username
    from_ = name_addr(str(caller) if caller is not None else sip_uri(number(shown), account.domain))
    return _dial(request, str(uri), from_, {}, target)


def _dial(request: LegRequest, uri: str, from_: str, asserted: dict[str, str], to: Address | None) -> Dial:
    further = checked({**request.headers, **request.sip.headers})
    for name in further:
        if name.lower() in OURS:
            raise DialError(400, f"headers: {name} is written by the switch itself")
    return Dial(
        uri=uri,
        from_=from_,
        headers={**asserted, **further},
        to=to,
        username=request.sip.username,
        password=request.sip.password,
        realm=request.sip.realm,
        contact=request.sip.contact,
        ring_s=RING_S if request.ring_s is None else request.ring_s,
    )


def _shown(trunk: Trunk, wanted: str) -> str:
    """Return the number that a call shows: the one that was asked for, where the trunk has it."""
    if wanted == ANONYMOUS or (wanted and (not trunk.caller_ids or wanted in trunk.caller_ids)):
        return wanted
    return trunk.caller_id or next(iter(trunk.caller_ids), "") or trunk.username


def _identity(trunk: Trunk, shown: str, domain: str) -> tuple[str, dict[str, str]]:
    """Return From, and the headers that assert who calls (RFC 3325)."""
    if shown == ANONYMOUS:
        own = sip_uri(trunk.caller_id or trunk.username, domain)
        headers = {"Privacy": "id", "P-Asserted-Identity": f"<{own}>"}
        return '"Anonymous" <sip:anonymous@anonymous.invalid>', headers
    uri = sip_uri(shown or ANONYMOUS, domain)
    asserted = {"P-Asserted-Identity": f"<{uri}>"} if shown not in ("", trunk.username) else {}
    return name_addr(uri), asserted
