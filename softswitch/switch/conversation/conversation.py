"""One running call: the state machine with a timer, tasks and subscribers."""

import asyncio
import logging
import time
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from softswitch.call.authority import Principal, Target, act_of, denial
from softswitch.call.call import Call
from softswitch.call.interfaces import EndpointFactory, IncomingCall
from softswitch.call.state import State
from softswitch.call.vocabulary import events, reports
from softswitch.call.vocabulary.commands import (
    Accept,
    Bridge,
    Command,
    Connect,
    Invite,
    Play,
    Refer,
    Supervise,
)
from softswitch.call.vocabulary.effects import CloseCall, Effect
from softswitch.call.vocabulary.events import Event, HungUp
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
from softswitch.call.vocabulary.values import party_of
from softswitch.egress import Asker
from softswitch.flags import Flag
from softswitch.log import call_id
from softswitch.store.quality import LegQuality
from softswitch.switch.conversation.effect_executor import EffectExecutor
from softswitch.switch.conversation.kept_events import KeptEvents
from softswitch.switch.conversation.owner import Bridging, LegSpans, no_call
from softswitch.switch.conversation.track_sources import check_source
from softswitch.switch.origin import Source
from softswitch.switch.resources import Resources

logger = logging.getLogger(__name__)

MAX_ASKERS = 128
"""Bound of the callees whose requesters are remembered; more than commands may wait for the answer."""


class Subscriber(Protocol):
    """Receiver of the events of a call."""

    def event(self, event: Event, seq: int) -> None:
        """Receive an event and its number in the call; must neither block nor raise."""

    def audio(self, side: int, pcm: bytes) -> None:
        """Receive shared audio, PCM16 at 16 kHz; side 0 is what the party hears, 1 what it says."""

    def close(self, code: int, reason: str) -> None:
        """End the subscription with the code and reason of a WebSocket close."""


Kinds = AbstractSet[type[Event]]
"""Kinds of events that a subscriber is given."""

_NOTED: Kinds = frozenset(
    {events.AnsweredBy, events.AsrFinal, events.Error, events.HungUp, events.Metrics, events.Rejected}
)
"""Events that the conversation itself takes note of."""


class Conversation:
    """Shell of one call: it runs the state machine and executes its effects. All methods run on the loop."""

    trace: LegSpans | None = None
    """Spans of the call; None where it is not traced."""
    answered_by: str = ""
    """human or machine, once that was detected."""
    bridging_by: Principal | None = None
    """Client that asked for a bridge last."""
    is_internal: bool = False
    """Whether it is the end of a leg from another node, which no list shows."""
    supervising_by: Principal | None = None
    """Client that asked for a supervision last; None: a rule of the settings did."""
    on_settled: "Callable[[Conversation], None] | None" = None
    """Called after whatever happened to the call, while another one supervises it."""

    def __init__(
        self,
        call: Call,
        resources: Resources,
        party: EndpointFactory | None,
        on_ended: Callable[["Conversation"], None],
        *,
        bridges: Bridging,
        keep_events: bool = False,
        on_changed: Callable[["Conversation"], None] | None = None,
    ) -> None:
        """Prepare; :meth:`run` lives as long as the call.

        Args:
            call: The state machine.
            resources: Objects that all calls share.
            party: Makes the endpoint of the client or caller; None: the party is dialled by its callee.
            on_ended: Called once when the call has ended.
            bridges: Bridges between calls.
            keep_events: Whether events are kept for a client that comes back.
            on_changed: Called after a change of the call's state, except its end.
        """
        self.call = call
        self.id = call.id
        """Session id."""
        self.resources = resources
        self.created_ms = round(call.clock(call.times.created) * 1000)
        """Epoch milliseconds, for lists and records."""
        self.owner = ""
        """Account of the key or token that made the call; empty: the administrator's."""
        self.room = ""
        """Id of the room, if this is the call inside a room."""
        self.address = ""
        """Network address of the client."""
        self.source = Source()
        """Origin of the call."""
        self.tag = ""
        """Text that an application attached to the call."""
        self.callback = ""
        """URL for the status of this call; empty: the webhooks of its account."""
        self.callback_trusted = False
        """Whether that URL is from the settings."""
        self.awaits_client = False
        """Whether the call was announced to applications and may be taken by its id."""
        self.bridged_with: str | None = None
        """Id of the bridged call."""
        self.released, self.recorded = Flag(), Flag()
        """Set when the call has released everything, and when its last record is stored."""
        self.seq = 0
        self._askers: dict[str, Principal] = {}
        """Requesters by callee, the latest last."""
        self._subscribers: list[tuple[Subscriber, Kinds | None]] = []
        """Each with the kinds of events that it is given; None: it gets all."""
        self._kept = KeptEvents(resources.settings.limits, resources.memory, call.id) if keep_events else None
        self._inbox: deque[reports.Report] = deque()
        self._settling = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        """Monotonic time that the timer is set to."""
        self._on_ended = on_ended
        self._on_changed = on_changed
        self._noted = call.state
        """State that `on_changed` was last called for."""
        self.bridges = bridges
        self._warned: set[tuple[str, str]] = set()
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._finished = Flag()
        # A weak reference: an ended call is freed at once, without the garbage collector, whose pauses would
        # delay all other calls.
        self.executor = EffectExecutor(weakref.proxy(self), party)
        self._close_code = 1000
        # Whether the call failed internally, so that its state machine is not used any more; and whether its
        # end was published.
        self._broken = self._hung_up = False

    @property
    def asker(self) -> Asker:
        """Account and id, to which look-ups of names are attributed."""
        return Asker(self.owner, self.id)

    def quality(self) -> list[LegQuality]:
        """Return the quality of the call's legs over time, so far."""
        return [series.shown() for series in self.executor.legs.quality.values()]

    @property
    def direction(self) -> str:
        """inbound, if the party called, or outbound."""
        return self.source.direction

    def parties(self) -> frozenset[str]:
        """Return the users and numbers that take part: who calls and who was called."""
        second = self.call.second
        called = (self.call.option.callee, second.callee if second is not None else "")
        names = (self.source.user, *(name.removeprefix("user:") for name in called))
        return frozenset(filter(None, names))

    @property
    def target(self) -> Target:
        """Target of the call in the table of authority."""
        if self.room:
            return Target(self.owner, "room", self.room)
        waits = self.awaits_client and not self.owner
        return Target(self.owner, "waiting" if waits else "call")

    # --- commands and reports -------------------------------------------------------

    def order(self, command: Command, by: Principal) -> None:
        """Execute a command of a client after its authority was checked, whatever its dialect.

        Args:
            command: The command.
            by: The client.

        Raises:
            CommandRejected: 403 or 404: the client may not; else as :meth:`command`.
        """
        act = act_of(command)
        denied = denial(by, act, self.target)
        if denied is not None:
            self.resources.metrics.commands_denied.labels(act).inc()
            code = 404 if denied.hidden else 403
            raise CommandRejected(denied.reason, code, request_id=command.request_id)
        if isinstance(command, Bridge) and not self._may_bridge(by, act, command):
            self.resources.metrics.commands_denied.labels(act).inc()
            raise no_call(command.other, command.request_id)
        if isinstance(command, Supervise | Invite):
            self.supervising_by = by
        if isinstance(command, Invite):
            # Before the answer: a client that was answered expects a call.
            refused = self.resources.refuse_callee(command.option.callee, by)
            if refused is not None:
                code, reason = refused
                raise CommandRejected(reason, code, request_id=command.request_id, field="callee")
        self._note_asker(command, by)
        self.command(command)

    def requester(self, callee: str) -> Principal | None:
        """Return the client that asked for a callee; None: a rule of the settings did."""
        return self._askers.get(callee)

    def _note_asker(self, command: Command, by: Principal) -> None:
        match command:
            case Invite() | Accept():
                callee = command.option.callee
            case Connect() | Refer():
                callee = command.callee
            case _:
                return
        if callee:
            self._askers.pop(callee, None)
            self._askers[callee] = by
            while len(self._askers) > MAX_ASKERS:
                del self._askers[next(iter(self._askers))]

    def _may_bridge(self, by: Principal, act: str, command: Bridge) -> bool:
        """Whether a client may bridge with a call; a foreign call is treated like one that does not exist."""
        self.bridging_by = by
        other = self.bridges.target(command.other)
        if other is None and self.bridges.reaches_far:
            return True  # its node is asked, and this client's authority is checked with the answer
        return other is not None and denial(by, act, other) is None

    def command(self, command: Command) -> None:
        """Execute a command of the switch itself, without a check; raises CommandRejected."""
        if self._broken:
            raise CommandRejected(Reason.CALL_OVER, 410)
        if isinstance(command, Play):
            check_source(command.url)
        try:
            self.call.command(command, time.monotonic())
        except CommandRejected:
            raise
        except Exception as error:  # noqa: BLE001  (it ends this call alone)
            self._failed(error)
        finally:
            self._settle()

    def incoming(self, call: IncomingCall, accept_s: float | None = None) -> None:
        """Make this a pending incoming call.

        Args:
            call: The incoming call.
            accept_s: Longest time until an application accepts; None: no bound.
        """
        self.call.incoming(
            call.caller, call.callee, call.sdp, call.headers, time.monotonic(), accept_s=accept_s
        )
        self._settle()

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self._finished.is_set()

    def publish(self, event: Event) -> None:
        """Send all subscribers an event that the state machine did not make, numbered like the others."""
        self._publish(event)

    def report(self, report: reports.Report) -> None:
        """Apply a report to the call; never raises. A repeated warning of a provider is dropped."""
        if isinstance(report, reports.SpeechWarned):
            if (report.sender, report.error) in self._warned:
                return
            self._warned.add((report.sender, report.error))
        self._inbox.append(report)
        self._settle()

    def end(self, reason: str, initiator: str, code: int = 1000, *, sip_code: int = 0) -> None:
        """End the call from outside.

        Args:
            reason: Reason of the end.
            initiator: ``user``, ``caller``, ``callee`` or ``system``.
            code: Close code of its WebSockets.
            sip_code: SIP code for a caller that was not answered; 0: the code of the reason.
        """
        if self._broken:
            return
        self._close_code = code
        try:
            self.call.end(reason, initiator, time.monotonic(), code=sip_code)
        except Exception as error:  # noqa: BLE001  (it ends this call alone)
            self._failed(error)
        self._settle()

    def client_stalled(self, stalled: bool) -> None:
        """Note whether the audio of the client does not arrive although its socket seems to live."""
        self.call.client_stalled(stalled, time.monotonic())
        self._settle()

    def client_away(self, since: float) -> None:
        """Note that the client has lost its socket and may come back; it heard nothing from `since` on."""
        self.call.client_away(since, time.monotonic())
        self._settle()

    def client_back(self) -> int:
        """Note that the client has come back; return how much it did not hear, in milliseconds."""
        unheard = self.call.client_back(time.monotonic())
        self._settle()
        return unheard

    # --- subscribers ------------------------------------------------------------------

    def subscribe(self, subscriber: Subscriber, since: int | None = None, kinds: Kinds | None = None) -> None:
        """Add a subscriber.

        Args:
            subscriber: Gets the events.
            since: Send it the kept events after that number first; None: only events from now on.
            kinds: Kinds of events that it is given; None: all.
        """
        if since is not None:
            for seq, event in self._kept.since(since) if self._kept is not None else ():
                if kinds is None or type(event) in kinds:
                    subscriber.event(event, seq)
        self._subscribers.append((subscriber, kinds))

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Remove a subscriber."""
        for place, (one, _) in enumerate(self._subscribers):
            if one == subscriber:
                del self._subscribers[place]
                return

    def share_audio(self, side: int, pcm: bytes) -> None:
        """Send subscribers the audio of one side."""
        for subscriber, _ in self._subscribers:
            subscriber.audio(side, pcm)

    # --- life -------------------------------------------------------------------------

    async def run(self) -> None:
        """Run the call until it has ended and released everything; raises only when cancelled.

        Commands may be given from the moment on that the task of this coroutine has begun.
        """
        call_id.set(self.id)
        try:
            async with asyncio.TaskGroup() as self._group:
                await self._finished.wait()
                await self._release()
        except* Exception as errors:  # noqa: BLE001  (it ends this call alone)
            self._failed(errors)
            await self._release()
        finally:
            self.released.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task of the call: its failure ends the call, and the end of the call cancels it.

        Raises:
            RuntimeError: The call has ended.
        """
        if self._group is None or self._finished.is_set():
            work.close()
            raise RuntimeError("the call is over")
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- inside -----------------------------------------------------------------------

    def _settle(self) -> None:
        """Publish events, execute effects and apply waiting reports until there are none left."""
        if self._settling or self._broken:
            return
        self._settling = True
        try:
            call, outbox, inbox = self.call, self.call.outbox, self._inbox
            while True:
                if outbox.events:
                    for event in call.take_events():
                        self._publish(event)
                if outbox.effects:
                    for effect in call.take_effects():
                        self._carry(effect)
                if inbox:
                    call.report(inbox.popleft(), time.monotonic())
                elif not outbox.events and not outbox.effects:
                    break
            self._schedule()
            if call.state is not self._noted:
                self._note_state()
            if self.on_settled is not None:
                self.on_settled(self)
        except Exception as error:  # noqa: BLE001  (it ends this call alone)
            self._failed(error)
        finally:
            self._settling = False

    def _note_state(self) -> None:
        state = self._noted = self.call.state
        if self._on_changed is not None and state is not State.OVER:
            self._on_changed(self)

    def _carry(self, effect: Effect) -> None:
        if isinstance(effect, CloseCall):
            self._close()
            return
        try:
            self.executor.carry(effect)
        except CommandRejected as refused:
            self._inbox.append(
                reports.Refused(
                    refused.sender,
                    code=refused.code,
                    request_id=refused.request_id,
                    rejection=refused.rejection,
                )
            )

    def _publish(self, event: Event) -> None:
        self.seq = seq = self.seq + 1
        kind = type(event)
        if self._kept is not None:
            self._kept.add(seq, event, self.owner)
        self.resources.metrics.count_event(kind.__name__)
        is_noted = kind in _NOTED
        if is_noted:
            self._note(event)
        for subscriber, kinds in tuple(self._subscribers):
            if kinds is None or kind in kinds:
                subscriber.event(event, seq)
        if is_noted:
            self._log(event)

    def _note(self, event: Event) -> None:
        """Count and keep what the switch wants to know of an event."""
        match event:
            case events.Metrics():
                self.resources.metrics.measure(event.key, event.duration / 1000)
            case events.Error():
                self.resources.metrics.errors.labels(event.sender).inc()
            case events.AnsweredBy() if event.result in ("human", "machine"):
                self.answered_by = event.result
            case events.AsrFinal():
                if self.resources.settings.recording.keeps_transcripts(self.owner):
                    self.executor.transcript.add(event)
            case _:
                pass

    def _log(self, event: Event) -> None:
        """Log the end of a party or of the call, after its subscribers know of it."""
        match event:
            case events.Rejected():
                # A telephone that waits for this party gets the standard phrase of the code alone.
                logger.info("a party was refused", extra={"status": event.code, "reason": event.reason})
            case HungUp():
                self._hung_up = True
                logger.info("call ended", extra={"reason": event.reason, "initiator": event.initiator})
            case _:
                pass

    async def _release(self) -> None:
        await self.executor.release()
        for task in self._tasks:
            task.cancel()

    def _schedule(self) -> None:
        """Set the timer to the next deadline; one that is set to an earlier time stays as it is."""
        due = self.call.deadline()
        if due is None:
            self._unschedule()
        elif self._timer is None or due < self._timer_at:
            self._unschedule()
            self._timer_at = due
            delay = max(0.0, due - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._elapse)

    def _unschedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _elapse(self) -> None:
        self._timer = None
        try:
            self.call.elapse(time.monotonic())
        except Exception as error:  # noqa: BLE001  (it ends this call alone)
            self._failed(error)
        self._settle()

    def _close(self) -> None:
        """End the call for its subscribers and its owner."""
        if self._finished.is_set():
            return
        self._finished.set()
        self._on_ended(self)
        if self._kept is not None:
            self._kept.clear()
        subscribers, self._subscribers = self._subscribers, []
        for subscriber, _ in subscribers:
            subscriber.close(self._close_code, self.call.reason)

    def _failed(self, error: BaseException) -> None:
        """End this call, and no other, after an internal failure."""
        logger.error("a call failed", exc_info=error, extra={"call": self.id})
        if self._broken:
            return
        self._broken = True
        self._unschedule()
        if self.call.state is not State.OVER:
            self._close_code = 1011
            self._end_broken()
        self._close()

    def _end_broken(self) -> None:
        """End the state machine; if that fails, too, publish its last events here."""
        text = "internal error: the call cannot go on"
        try:
            self.call.report(reports.LegFailed("party", "internal", text, 500), time.monotonic())
            for event in self.call.take_events():
                self._publish(event)
        except Exception:
            logger.exception("a call could not end itself", extra={"call": self.id})
        if not self._hung_up:
            self.call.state, self.call.reason, self.call.initiator = State.OVER, "error", "system"
            now = self.call.clock(time.monotonic())
            self._publish(
                events.Error(
                    timestamp=now, subject=party_of(self.id), sender="internal", error=text, code=500
                )
            )
            option = self.call.option
            self._publish(
                HungUp(
                    timestamp=now,
                    subject=party_of(self.id),
                    reason="error",
                    initiator="system",
                    start_time=self.call.clock(self.call.times.created),
                    answer_time=None,
                    hangup_time=now,
                    caller=option.caller,
                    callee=option.callee,
                )
            )
