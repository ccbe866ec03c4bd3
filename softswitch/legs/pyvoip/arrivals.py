"""Announcement of incoming pyVoIP calls to the switch."""

import re
import uuid
from collections.abc import Callable

from softswitch.call.interfaces import IncomingCall, LegRequest
from softswitch.call.vocabulary.reports import Report
from softswitch.legs.pyvoip.leg import PyvoipLeg
from softswitch.settings import Trunk
from softswitch.sip.syntax.message import Request
from softswitch.sip.syntax.uri import number_of

_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.@:-]{0,127}")
"""Call-IDs that are used as call ids; a call with any other gets a random id."""
_SECRET = {"authorization", "proxy-authorization"}


class Arrival:
    """Factory of the leg of one incoming call; returns the same leg each time."""

    def __init__(self, leg: PyvoipLeg) -> None:
        self._leg = leg
        self._is_asked = False

    def party(self, request: LegRequest, report: Callable[[Report], None]) -> PyvoipLeg:
        """Return the leg (:class:`softswitch.call.interfaces.EndpointFactory`)."""
        self._is_asked = True
        return self._leg.adopt(request, report)

    def reject(self, code: int, reason: str) -> None:
        """Refuse the call, unless its leg was asked for."""
        if not self._is_asked:
            self._leg.reject(code, reason)


def incoming_call(leg: PyvoipLeg, request: Request, trunk: Trunk | None, address: str) -> IncomingCall:
    """Return the announcement of a call.

    Args:
        leg: leg of the caller.
        request: the INVITE.
        trunk: trunk that it came over; None for a call from a trusted network.
        address: IP address that it came from.
    """
    arrival = Arrival(leg)
    dialled, to = number_of(request.uri), number_of(request.to_address.uri)
    # Some trunks put the number into To, and the account into the URI.
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
