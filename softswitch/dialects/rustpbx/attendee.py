"""Caller and callee as the objects that `hangup` carries: user, host and the whole name."""

import re
from typing import Final

from softswitch.protocol.call_events import Attendee

_URI: Final = re.compile(r"(?:sips?|tel):([^@;?>\s]*)(?:@([^;?>\s]*))?", re.IGNORECASE)
_PORT: Final = re.compile(r":\d{1,5}$")


def attendee(name: str) -> Attendee | None:
    """Return a participant as an object; None for an empty name.

    Args:
        name: Number, name of a user, or SIP URI. Of a URI without a user the host is the realm.
    """
    if not name:
        return None
    uri = _URI.search(name)
    if uri is None:
        return Attendee(username=name, realm="", source=name)
    user, host = uri.groups()
    if host is None and not uri[0].lower().startswith("tel:"):
        user, host = "", user
    return Attendee(username=user.partition(":")[0], realm=_PORT.sub("", host or ""), source=name)
