"""Destinations of pyVoIP calls: a number on a trunk, or an address that the local phone may dial."""

from collections.abc import Callable
from dataclasses import replace

from softswitch.call.interfaces import LegRequest
from softswitch.legs.pyvoip.account import Account, Address, Dial
from softswitch.legs.sip.accounts.identity import (
    ANONYMOUS,
    checked,
    name_addr,
    number,
    read_callee,
    sip_uri,
    user_of,
)
from softswitch.legs.sip.addressing.resolve import is_address
from softswitch.legs.sip.dial_error import DialError
from softswitch.settings import Trunk
from softswitch.sip.syntax.uri import number_of

RING_S = 180.0


def on_trunk(request: LegRequest, trunk: Trunk, account: Account) -> Dial:
    """Return the call that a request asks for over a trunk.

    Raises:
        DialError: the number is missing, or the trunk does not allow it.
    """
    uri = read_callee(request.callee.strip())
    dialled = number_of(uri) if uri is not None else number(request.callee)
    if not dialled:
        raise DialError(484, "callee: a number is missing")
    called = trunk.rewritten(dialled)
    if trunk.prefixes and not called.startswith(trunk.prefixes):
        raise DialError(403, f"callee: trunk {trunk.name!r} does not allow this number (prefixes)")
    from_, asserted = _identity(trunk, _caller_id(trunk, user_of(request.caller)), account.domain)
    return _dial(request, sip_uri(called, account.host), from_, asserted, None)


def to_address(request: LegRequest, account: Account, check: Callable[[str, int], None]) -> Dial:
    """Return the call that a request asks for from the local phone.

    Args:
        request: parameters of the leg.
        account: account of the local phone.
        check: raises DialError where an address and port may not be dialled.

    Raises:
        DialError: the callee is not a SIP URI with an address that may be dialled.
    """
    uri = read_callee(request.callee.strip())
    if uri is None or uri.scheme != "sip":
        raise DialError(404, "callee: without a trunk, pyVoIP dials sip:<user>@<address> only")
    if not is_address(uri.host) or ":" in uri.host:
        raise DialError(404, "callee: without a trunk, pyVoIP dials IPv4 addresses, not names")
    target: Address = (uri.host, uri.port or 5060)
    check(*target)
    caller = read_callee(request.caller.strip())
    shown = request.caller.strip() or request.sip.username or account.username
    from_ = name_addr(str(caller) if caller is not None else sip_uri(number(shown), account.domain))
    return _dial(request, str(replace(uri, headers="")), from_, {}, target)


def _dial(request: LegRequest, uri: str, from_: str, asserted: dict[str, str], to: Address | None) -> Dial:
    further = checked({**request.headers, **request.sip.headers})
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


def _caller_id(trunk: Trunk, wanted: str) -> str:
    """Return the caller id: the wanted one where `caller_ids` of the trunk allow it, else the default."""
    if wanted == ANONYMOUS or (wanted and (not trunk.caller_ids or wanted in trunk.caller_ids)):
        return wanted
    return trunk.caller_id or next(iter(trunk.caller_ids), "") or trunk.username


def _identity(trunk: Trunk, shown: str, domain: str) -> tuple[str, dict[str, str]]:
    """Return From and the identity headers (RFC 3325)."""
    if shown == ANONYMOUS:
        own = sip_uri(trunk.caller_id or trunk.username, domain)
        headers = {"Privacy": "id", "P-Asserted-Identity": f"<{own}>"}
        return '"Anonymous" <sip:anonymous@anonymous.invalid>', headers
    uri = sip_uri(shown or ANONYMOUS, domain)
    asserted = {"P-Asserted-Identity": f"<{uri}>"} if shown not in ("", trunk.username) else {}
    return name_addr(uri), asserted
