"""The exceptions of softswitch, one tree.

::

    SoftswitchError
    ├── SettingsError        the operator's: a setting is unknown, mistyped or refused
    ├── PeerError            the peer's fault: what it sent cannot be honoured
    │   ├── MalformedError   ... cannot be read at all
    │   ├── RejectedError    ... is understood, and refused here and now
    │   └── ForbiddenError   ... needs a right that the peer does not have
    ├── OurError             our fault, or that of something we stand on
    │   └── UnavailableError ... a tool, library or model that this host lacks
    └── NotNowError          nobody's fault: a limit is reached, or we are going down

A peer is told the text of a `PeerError` and a `NotNowError`, and only "internal error" of an `OurError`.
Floors define their own errors below the branch that says whose fault it is.
"""


class SoftswitchError(Exception):
    """Be the root: whoever catches this catches all that softswitch raises on purpose."""


class SettingsError(SoftswitchError):
    """Refuse the settings: the operator must change the file, the environment or the flags."""

    def __init__(self, message: str, *, section: str = "", key: str = "") -> None:
        super().__init__(message)
        self.section = section
        self.key = key


class PeerError(SoftswitchError):
    """Blame the peer: `field` names the part of its message that is wrong, where one is known."""

    code = 400
    """The HTTP status that says the same."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class MalformedError(PeerError):
    """Say that a message cannot be read."""


class RejectedError(PeerError):
    """Say that a message is understood but not possible in this state."""

    code = 409


class ForbiddenError(PeerError):
    """Say that the peer's credentials do not allow what it asks."""

    code = 403


class OurError(SoftswitchError):
    """Blame ourselves: logged in full, told to the peer as an internal error."""

    code = 500


class UnavailableError(OurError):
    """Say what this host lacks: a library, a tool, a model, a voice."""

    code = 503


class NotNowError(SoftswitchError):
    """Refuse for the moment: the peer may try again after `retry_after_s` seconds."""

    code = 503

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
