"""Exceptions of softswitch.

::

    SoftswitchError
    ├── SettingsError        a setting is unknown or invalid: the operator must change it
    │   └── ListenError      ... because an address cannot be listened on
    ├── PeerError            a message of a peer cannot be carried out
    │   ├── MalformedError   ... because it is malformed
    │   ├── RejectedError    ... because the present state does not permit it
    │   └── ForbiddenError   ... because the peer lacks the permission
    ├── OurError             a fault of the switch or of its environment
    │   └── UnavailableError ... a tool, library, model or database is missing
    └── NotNowError          a limit is reached, or the switch is shutting down

A peer gets the text of a `PeerError` or `NotNowError`. For an `OurError` it gets "internal error" only, and
for an `UnavailableError` that a part of the switch is not available.
Packages derive their own errors from these classes.
"""


class SoftswitchError(Exception):
    """Base class of all softswitch errors."""


class SettingsError(SoftswitchError):
    """A setting is unknown or invalid; `section` and `key` name it."""

    def __init__(self, message: str, *, section: str = "", key: str = "") -> None:
        super().__init__(message)
        self.section = section
        self.key = key


class ListenError(SettingsError):
    """An address cannot be listened on; the text names the listener and the setting."""

    def __init__(self, error: OSError, place: str, advice: str, *, section: str, key: str) -> None:
        """Word the error of the system.

        Args:
            error: the error of bind(2) or listen(2).
            place: transport, address and port.
            advice: what to change.
            section: section of the settings that has the address.
            key: its key.
        """
        reason = (error.strerror or str(error)).rpartition(": ")[2]  # asyncio puts more before it
        super().__init__(
            f"[{section}] cannot listen on {place}: {reason.lower()}; {advice}", section=section, key=key
        )


class PeerError(SoftswitchError):
    """A message of a peer cannot be carried out; `field` names the field at fault, if known."""

    code = 400
    """Corresponding HTTP status."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class MalformedError(PeerError):
    """A message is malformed."""


class RejectedError(PeerError):
    """A message is well-formed, but the present state does not permit it."""

    code = 409


class ForbiddenError(PeerError):
    """The credentials of the peer do not permit its request."""

    code = 403


class OurError(SoftswitchError):
    """A fault of the switch: logged in full, reported to the peer as an internal error."""

    code = 500


class UnavailableError(OurError):
    """A library, tool, model, voice or database is missing."""

    code = 503


class NotNowError(SoftswitchError):
    """A request is refused for now; the peer may try again after `retry_after_s` seconds."""

    code = 503

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
