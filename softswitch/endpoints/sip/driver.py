"""Drives the user agent: one timer, its messages to the wires, its happenings to whom they concern."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from softswitch.endpoints.sip.counters import SipCounters
from softswitch.endpoints.sip.resolve import Resolver, UnresolvedError, is_address
from softswitch.endpoints.sip.transports import Transports
from softswitch.settings.telephones import Server
from softswitch.sip.agent import UserAgent
from softswitch.sip.flow import Flow, Outgoing
from softswitch.sip.happenings import Happening, Invited, RequestAnswered, RequestReceived

logger = logging.getLogger(__name__)

MAX_RESOLVING = 256
"""Messages at once whose far end is named by a name that is still looked up."""

Take = Callable[[Happening], None]


class Timed(Protocol):
    """What has deadlines of its own beside the agent."""

    def deadline(self) -> float | None:
        """Return when `elapse` is next needed."""

    def elapse(self, now: float) -> None:
        """Do what is due."""


class Desk(Protocol):
    """Who takes what concerns no session that is there."""

    def invited(self, invited: Invited) -> None:
        """Take a call that comes in."""

    def requested(self, received: RequestReceived) -> None:
        """Take a request outside any dialog."""

    def answered(self, answered: RequestAnswered) -> None:
        """Take the outcome of a request of ours."""


class AgentDriver:
    """The agent, and everything that moves it."""

    def __init__(
        self,
        agent: UserAgent,
        resolver: Resolver,
        counters: SipCounters,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Drive nothing yet; `start` comes next.

        Args:
            agent: the sans-I/O stack.
            resolver: for far ends that a message names by name.
            counters: of all telephones.
            clock: monotonic seconds.
        """
        self.agent = agent
        self.now = clock
        self._resolver = resolver
        self._counters = counters
        self._transports: Transports | None = None
        self._desk: Desk | None = None
        self._timed: list[Timed] = [agent]
        self._sessions: dict[str, Take] = {}
        self._requests: dict[str, Callable[[RequestAnswered], None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._pumping = False
        self._resolving: set[asyncio.Task[None]] = set()
        self._moved = asyncio.Event()
        self.failures = 0
        """Faults of ours while something was taken; each ended one session."""

    def start(self, transports: Transports, desk: Desk) -> None:
        """Begin: messages leave by these transports, calls that come in go to this desk."""
        self._transports = transports
        self._desk = desk
        self.pump()

    def stop(self) -> None:
        """Move nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._resolving:
            task.cancel()
        self._transports = None

    def add(self, timed: Timed) -> None:
        """Mind the deadlines of something else too."""
        self._timed.append(timed)

    def watch(self, session: str, take: Take) -> None:
        """Bring what happens to a session here, until `forget`."""
        self._sessions[session] = take

    def forget(self, session: str) -> None:
        """Let what happens to a session go unheard: its end is under way."""
        self._sessions.pop(session, None)

    def expect(self, key: str, take: Callable[[RequestAnswered], None]) -> None:
        """Bring the outcome of a request here."""
        self._requests[key] = take

    def refused(self, what: str | Flow) -> None:
        """Tell the agent that a message, or a whole flow, came to nothing."""
        self.agent.refused(what, self.now())
        self.pump()

    def pump(self) -> None:
        """Treat all that the agent has to say, and set the timer to its next deadline.

        Whoever called a verb of the agent calls this after it; called from within, it does nothing, since the
        outer call goes on until there is nothing left.
        """
        if self._pumping or self._transports is None:
            return
        self._pumping = True
        try:
            while True:
                happenings = self.agent.take_happenings()
                outgoing = self.agent.take_outgoing()
                if not happenings and not outgoing:
                    break
                for message in outgoing:
                    self._send(message)
                for happening in happenings:
                    self._dispatch(happening)
        finally:
            self._pumping = False
        self._moved.set()
        self._schedule()

    async def until(self, done: Callable[[], bool], seconds: float) -> None:
        """Return once something is done, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not done():
                    self._moved.clear()
                    await self._moved.wait()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadlines = [deadline for timed in self._timed if (deadline := timed.deadline()) is not None]
        if deadlines and self._transports is not None:
            wait = max(min(deadlines) - self.now(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(wait, self._elapse)

    def _elapse(self) -> None:
        self._timer = None
        now = self.now()
        for timed in self._timed:
            timed.elapse(now)
        self.pump()

    # --- out --------------------------------------------------------------------------------

    def _send(self, message: Outgoing) -> None:
        if is_address(message.to.host):
            self._transmit(message.data, message.to, message.transaction)
        elif len(self._resolving) < MAX_RESOLVING:
            task = asyncio.get_running_loop().create_task(self._resolve(message), name="sip resolve")
            self._resolving.add(task)
            task.add_done_callback(self._resolving.discard)
        else:
            self._failed(message.transaction)

    def _transmit(self, data: bytes, to: Flow, transaction: str) -> None:
        if self._transports is not None:
            self._transports.send(data, to, lambda: self._failed(transaction))

    def _failed(self, transaction: str) -> None:
        # Not at once: the agent may be in the middle of what made it send.
        asyncio.get_running_loop().call_soon(self.refused, transaction)

    async def _resolve(self, message: Outgoing) -> None:
        """Find the address of a far end that a Contact or Route names by name."""
        to = message.to
        transport = to.transport if to.transport in ("tcp", "tls") else "udp"
        try:
            (target, *_) = await self._resolver.resolve(Server(to.host, to.port, transport))
        except UnresolvedError as error:
            logger.info("a far end cannot be found", extra={"error": str(error)})
            self._failed(message.transaction)
            return
        if self._transports is not None:
            self._transports.name(target.host, target.name)
        flow = Flow(to.transport, target.host, target.port, 0, to.local_host, to.local_port)
        self._transmit(message.data, flow, message.transaction)

    # --- in ---------------------------------------------------------------------------------

    def _dispatch(self, happening: Happening) -> None:
        session = ""
        try:
            match happening:
                case Invited():
                    session = happening.session
                    if self._desk is not None:
                        self._desk.invited(happening)
                case RequestReceived():
                    if self._desk is not None:
                        self._desk.requested(happening)
                case RequestAnswered():
                    self._outcome(happening)
                case _:
                    session = happening.session
                    if take := self._sessions.get(session):
                        take(happening)
        except Exception:
            # One call's fault is that call's end, and nobody else's.
            self.failures += 1
            logger.exception("a session failed", extra={"happening": type(happening).__name__})
            if session:
                with suppress(KeyError):
                    self.agent.bye(session, self.now())

    def _outcome(self, answered: RequestAnswered) -> None:
        if take := self._requests.pop(answered.key, None):
            take(answered)
        elif self._desk is not None:
            self._desk.answered(answered)
