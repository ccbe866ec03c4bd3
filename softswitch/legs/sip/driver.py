"""The shell of the SIP user agent: its timer, its messages to the transports, its events to receivers."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from softswitch.legs.sip.addressing.resolve import PEERS, Resolver, UnresolvedError, is_address
from softswitch.legs.sip.counters import SipCounters
from softswitch.legs.sip.hep import HepSender
from softswitch.legs.sip.trace import SipTrace
from softswitch.legs.sip.transports.interface import SipTransports
from softswitch.log.tasks import Tasks
from softswitch.settings.telephones import Server
from softswitch.sip.agent import UserAgent
from softswitch.sip.events import CallEvent, Invited, RequestAnswered, RequestReceived
from softswitch.sip.transaction.flow import Flow, Outgoing

logger = logging.getLogger(__name__)

MAX_RESOLVING = 256
"""Messages at once that wait for DNS to resolve the host of a Contact or Route."""

OnEvent = Callable[[CallEvent], None]
OnSession = Callable[[str], None]


class Timed(Protocol):
    """An object with deadlines of its own beside those of the agent."""

    def deadline(self) -> float | None:
        """Return the monotonic time at which `elapse` is next needed; None: never."""

    def elapse(self, now: float) -> None:
        """Do what is due at `now`, in monotonic seconds."""


class OutOfSession(Protocol):
    """The receiver of events that belong to no known session."""

    def invited(self, invited: Invited) -> None:
        """Handle an incoming call."""

    def requested(self, received: RequestReceived) -> None:
        """Handle a request outside any dialog."""

    def answered(self, answered: RequestAnswered) -> None:
        """Handle the outcome of a request that the switch sent outside any dialog."""


class AgentDriver:
    """The user agent with its timer, its transports and the receivers of its events."""

    def __init__(
        self,
        agent: UserAgent,
        resolver: Resolver,
        counters: SipCounters,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; `start` comes next.

        Args:
            agent: the sans-I/O stack.
            resolver: resolves hosts that messages name by a DNS name.
            counters: of all SIP legs.
            clock: monotonic seconds.
        """
        self.agent = agent
        self.now = clock
        self._resolver = resolver
        self._counters = counters
        self._transports: SipTransports | None = None
        self._out_of_session: OutOfSession | None = None
        self._timed: list[Timed] = [agent]
        self._sessions: dict[str, OnEvent] = {}
        self._responses: dict[str, Callable[[RequestAnswered], None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        """Time that the timer is set to, by the clock."""
        self._pumping = False
        self._resolving = Tasks("legs", "sip driver")
        self._pumped = asyncio.Event()
        self.on_session: OnSession | None = None
        """Called with the id of each session that has an event."""
        self.trace: SipTrace | None = None
        """Keeps the messages of calls; None where the trace is off."""
        self.hep: HepSender | None = None
        """Sends copies of all messages to Homer; None where that is off."""
        self.failures = 0
        """Exceptions raised while an event or message was handled; each ended one session at most."""

    def start(self, transports: SipTransports, out_of_session: OutOfSession) -> None:
        """Begin to send by `transports`, and to hand calls and requests to `out_of_session`."""
        self._transports = transports
        self._out_of_session = out_of_session
        self.pump()

    def stop(self) -> None:
        """Stop the timer and the look-ups; nothing is sent afterwards."""
        if self._timer is not None:
            self._timer.cancel()
        self._resolving.cancel()
        self._transports = None

    def add(self, timed: Timed) -> None:
        """Watch the deadlines of another object."""
        self._timed.append(timed)

    def remove(self, timed: Timed) -> None:
        """Stop to watch the deadlines of an object."""
        if timed in self._timed:
            self._timed.remove(timed)

    def subscribe(self, session: str, on_event: OnEvent) -> None:
        """Hand the events of a session to `on_event`, until `unsubscribe`."""
        self._sessions[session] = on_event

    def unsubscribe(self, session: str) -> None:
        """Drop the further events of a session, whose end is under way."""
        self._sessions.pop(session, None)

    def belongs(self, session: str, call: str) -> None:
        """Say which call a session is a leg of, for the trace."""
        if self.trace is not None:
            self.trace.bind(self.agent.call_id(session), call)

    def received(self, data: bytes, flow: Flow) -> None:
        """Note a message that was received, before it is handled."""
        self._note(data, flow, sent=False)

    def _note(self, data: bytes, flow: Flow, *, sent: bool) -> None:
        if self.trace is not None:
            self.trace.add(data, flow, sent=sent)
        if self.hep is not None:
            self.hep.add(data, flow, sent=sent)

    def expect(self, key: str, on_answered: Callable[[RequestAnswered], None]) -> None:
        """Hand the outcome of one request outside any dialog to `on_answered`."""
        self._responses[key] = on_answered

    def refused(self, what: str | Flow) -> None:
        """Tell the agent that the message of a transaction could not be sent, or that a flow is gone."""
        self.agent.send_failed(what, self.now())
        self.pump()

    def pump(self) -> None:
        """Send all messages and dispatch all events of the agent, then set the timer to its next deadline.

        Needed after each command of the agent. A nested call returns at once, since the outer one goes on
        until the agent has nothing left.
        """
        if self._pumping or self._transports is None:
            return
        self._pumping = True
        try:
            while True:
                events = self.agent.take_events()
                outgoing = self.agent.take_outgoing()
                if not events and not outgoing:
                    break
                for message in outgoing:
                    self._send(message)
                for event in events:
                    self._dispatch(event)
        finally:
            self._pumping = False
        self._pumped.set()
        self._schedule()

    @property
    def background_failures(self) -> int:
        """Return the number of look-ups that ended with an exception."""
        return self._resolving.failures

    async def until(self, done: Callable[[], bool], seconds: float) -> None:
        """Return when `done` returns true after a pump, at the latest after some seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not done():
                    self._pumped.clear()
                    await self._pumped.wait()

    def _schedule(self) -> None:
        """Set the timer to the next deadline; one that is set to an earlier time stays as it is."""
        due = math.inf
        for timed in self._timed:
            at = timed.deadline()
            if at is not None and at < due:
                due = at
        if due == math.inf or self._transports is None or (self._timer is not None and self._timer_at <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        wait = max(due - self.now(), 0.0)
        self._timer = asyncio.get_running_loop().call_later(wait, self._elapse)

    def _elapse(self) -> None:
        self._timer = None
        # Datagrams that came in time are read first: a late loop would otherwise retransmit requests whose
        # responses wait in the socket. Where many wait, the agent's time advances only as far as they were
        # read: by `behind` seconds less.
        behind = self._transports.catch_up() if self._transports is not None else 0.0
        now = self.now()
        for timed in tuple(self._timed):
            timed.elapse(now - behind)
        self.pump()

    # --- out --------------------------------------------------------------------------------

    def _send(self, message: Outgoing) -> None:
        if is_address(message.to.host):
            self._transmit(message.data, message.to, message.transaction)
        elif len(self._resolving) < MAX_RESOLVING:
            self._resolving.spawn(self._resolve(message), name="sip resolve")
        else:
            self._failed(message.transaction)

    def _transmit(self, data: bytes, to: Flow, transaction: str) -> None:
        if self._transports is not None:
            self._note(data, to, sent=True)
            self._transports.send(data, to, lambda: self._failed(transaction))

    def _failed(self, transaction: str) -> None:
        # Later: the agent may be in the middle of the method that produced the message.
        asyncio.get_running_loop().call_soon(self.refused, transaction)

    async def _resolve(self, message: Outgoing) -> None:
        """Resolve the host name of a Contact or Route, then send."""
        to = message.to
        transport = to.transport if to.transport in ("tcp", "tls") else "udp"
        try:
            (target, *_) = await self._resolver.resolve(Server(to.host, to.port, transport), PEERS)
        except UnresolvedError as error:
            logger.info(
                "the host of a peer's Contact or Route cannot be resolved", extra={"error": str(error)}
            )
            self._failed(message.transaction)
            return
        if self._transports is not None:
            self._transports.set_server_name(target.host, target.name)
        flow = Flow(to.transport, target.host, target.port, 0, to.local_host, to.local_port)
        self._transmit(message.data, flow, message.transaction)

    # --- in ---------------------------------------------------------------------------------

    def _dispatch(self, event: CallEvent) -> None:
        session = ""
        receiver = self._out_of_session
        try:
            match event:
                case Invited():
                    session = event.session
                    if receiver is not None:
                        receiver.invited(event)
                case RequestReceived():
                    if receiver is not None:
                        receiver.requested(event)
                case RequestAnswered():
                    if on_answered := self._responses.pop(event.key, None):
                        on_answered(event)
                    elif receiver is not None:
                        receiver.answered(event)
                case _:
                    session = event.session
                    if on_event := self._sessions.get(session):
                        on_event(event)
        except Exception:
            # The fault ends this session; all others go on.
            self.failures += 1
            logger.exception(
                "a SIP session failed", extra={"event": type(event).__name__, "session": session}
            )
            if session:
                with suppress(KeyError):
                    self.agent.bye(session, self.now())
        if session and self.on_session is not None:
            self.on_session(session)
