"""Headers that clients of the switch may not set.

Dialects refuse them when they parse a command; legs refuse them again when they write a message.
"""

from collections.abc import Iterable

from softswitch.sip.syntax.headers import long_name

MESSAGE = frozenset(
    "via from to call-id cseq contact max-forwards route record-route path service-route supported "
    "allow require proxy-require unsupported min-expires expires rseq rack session-expires min-se "
    "replaces join target-dialog content-length content-type content-encoding content-disposition mime- "
    "version authorization proxy-authorization www-authenticate proxy-authenticate authentication-info "
    "event subscription-state refer-to refer-sub".split()
)
"""Headers of the dialog, the transaction, authentication or the body, in lower case."""

IDENTITY = frozenset(
    "remote-party-id rpid-privacy anonymity privacy identity identity-info diversion cc-diversion "
    "history-info referred-by geolocation geolocation-routing geolocation-error resource-priority".split()
)
"""Headers for the identity, location or priority of the caller, in lower case."""

PRIVATE = "p-"
"""Prefix of the headers that only servers which trust each other exchange (RFC 3427, RFC 3325)."""

FROM_CALL = frozenset({"referred-by", "replaces"})
"""Reserved headers that a transfer adds to a call (RFC 3891, RFC 3892)."""


def is_reserved(name: str) -> bool:
    """Return whether a header is reserved for the switch.

    Args:
        name: Header name in any case, also in compact form.
    """
    known = long_name(name.strip()).lower()
    return known in MESSAGE or known in IDENTITY or known.startswith(PRIVATE)


def first_reserved(names: Iterable[str], *, but: frozenset[str] = frozenset()) -> str | None:
    """Return the first reserved name among header names, None if no name is reserved.

    Args:
        names: Header names.
        but: Reserved names, in lower case, that are permitted.
    """
    return next((name for name in names if is_reserved(name) and long_name(name).lower() not in but), None)
