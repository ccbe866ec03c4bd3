"""What another worker needs to end the SIP calls of this one, and the end of those of a lost worker."""

import logging
from collections.abc import Callable

import msgspec

from softswitch.legs.sip.accounts.trunks import Trunks
from softswitch.legs.sip.driver import AgentDriver
from softswitch.sip.session.orphan import Orphan
from softswitch.sip.syntax.grammar import MalformedError

logger = logging.getLogger(__name__)

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Orphan)


class Orphans:
    """The saved values of the calls of one agent."""

    def __init__(self, driver: AgentDriver, trunks: Trunks) -> None:
        """Begin with nothing saved."""
        self._driver = driver
        self._trunks = trunks
        self._saved: dict[str, tuple[str, str, int]] = {}
        self._touched: set[str] = set()
        self._on_touched: Callable[[], None] = lambda: None

    def watch(self, on_touched: Callable[[], None]) -> None:
        """Have a function called when a call may have changed."""
        self._on_touched = on_touched
        self._driver.on_session = self._touch

    def changes(self, *, every: bool = False) -> dict[str, bytes | None]:
        """Return what has changed since the last time, by session; None: the call has ended.

        Args:
            every: look at all calls, and not only at those with an event since the last time.
        """
        agent = self._driver.agent
        looked = {*agent.sessions, *self._saved} if every else self._touched
        self._touched = set()
        changed: dict[str, bytes | None] = {}
        for session in looked:
            now = agent.progress(session)
            if now == self._saved.get(session):
                continue
            orphan = agent.orphan(session)
            changed[session] = _encode(orphan) if orphan is not None else None
            if now is None:
                del self._saved[session]
            else:
                self._saved[session] = now
        return changed

    def _touch(self, session: str) -> None:
        self._touched.add(session)
        self._on_touched()

    def end(self, value: bytes) -> None:
        """End a call of a lost worker."""
        try:
            orphan = _decoder.decode(value)
            trunk = self._trunks.of_source(orphan.flow.host)
            credentials = trunk.credentials if trunk is not None else None
            self._driver.agent.end_orphan(orphan, credentials, self._driver.now())
        except (msgspec.MsgspecError, MalformedError, TypeError, ValueError):
            logger.exception("a SIP call of a lost worker could not be ended")
        self._driver.pump()
