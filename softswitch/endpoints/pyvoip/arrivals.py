"""Calls that come in, as the switch is told of them."""

import re
import uuid
from collections.abc import Callable

from softswitch.call.needs import IncomingCall, LegRequest
from softswitch.call.reports import Report
from softswitch.endpoints.pyvoip.leg import PyvoipLeg
from softswitch.settings import Trunk
from softswitch.sip.message import Request
from softswitch.sip.uri import number_of

_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.@:-]{0,127}")
"""Call-IDs that may be ids of calls as they are."""
_SECRET = {"authorization", "proxy-authorization"}


class Arrival:
    """The leg of an incoming call, as the switch gets it: the same one whenever it is asked for."""

    def __init__(self, leg: PyvoipLeg) -> None:
        """Hold the leg."""
        self._leg = leg
        self._is_asked = False

    def party(self, request: LegRequest, report: Callable[[Report], None]) -> PyvoipLeg:
        """Return the leg (:class:`softswitch.call.needs.EndpointFactory`)."""
        self._is_asked = True
        return self._leg.adopt(request, report)

    def reject(self, code: int, reason: str) -> None:
        """Refuse the call, as long as nobody asked for its leg."""
        if not self._is_asked:
            self._leg.reject(code, reason)


def incoming_call(leg: PyvoipLeg, request: Request, trunk: Trunk | None, address: str) -> IncomingCall:
    """Return what the switch is told of a call.

    Args:
        leg: of the caller.
        request: the INVITE.
        trunk: that it came over, None for a neighbour's call.
        address: where it came from.
    """
    arrival = Arrival(leg)
    dialled, to = number_of(request.uri), number_of(request.to_address.uri)
    # Some trunks write our account into the URI, the number into To.
    account = trunk.username if trunk is not None else ""
    return IncomingCall(
        id=request.call_id if _ID.fullmatch(request.call_id) else str(uuid.uuid4()),
        caller=number_of(request.from_address.uri),
        callee=to if to and dialled in ("", account) else dialled,
        headers=_headers(request),
        sdp=request.body.decode("utf-8", "replace"),
        source="trunk" if trunk is not None else "anonymous",
        name=trunk.name if trunk is not None else "",
        address=address,
        party=arrival.party,
        reject=arrival.reject,
    )


def _headers(request: Request) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        if name.lower() not in _SECRET:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
