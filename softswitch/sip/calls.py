"""The calls of one user agent, beside what all its parts share."""

from collections.abc import Callable

from softswitch.sip.core import Core
from softswitch.sip.limits import AgentLimits
from softswitch.sip.session import Session
from softswitch.sip.timers import Timers


class Calls(Core):
    """The shared state of a user agent, its calls included."""

    def __init__(
        self, entropy: Callable[[int], bytes], product: str, timers: Timers, limits: AgentLimits
    ) -> None:
        super().__init__(entropy, product, timers, limits)
        self.sessions: dict[str, Session] = {}
        self.dialogs: dict[tuple[str, str], Session] = {}
        """Sessions by Call-ID and our tag: early dialogs of one call share both."""

    def find(self, call_id: str, local_tag: str, remote_tag: str) -> Session | None:
        """Return the session with that dialog: all three must be right."""
        session = self.dialogs.get((call_id, local_tag))
        return session if session is not None and session.branch(remote_tag) is not None else None

    def open(self, session: Session) -> None:
        """Take a new session in."""
        self.sessions[session.id] = session
        self.dialogs[session.call_id, session.local_tag] = session

    def close(self, session: Session) -> None:
        """Let an ended session go, and remember its dialog for a while."""
        self.sessions.pop(session.id, None)
        self.dialogs.pop((session.call_id, session.local_tag), None)
        if session.dialog is not None:
            self.bury(session.dialog.id)
