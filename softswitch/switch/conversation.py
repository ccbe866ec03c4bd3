"""One running call: its core, its clock, its tasks and its subscribers."""

import asyncio
import logging
import time
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import msgspec

from softswitch.call import events, reports
from softswitch.call.call import Call
from softswitch.call.commands import Command, CommandRejected
from softswitch.call.effects import CloseCall, Effect
from softswitch.call.events import Event, HungUp
from softswitch.call.needs import EndpointFactory, IncomingCall
from softswitch.call.state import State
from softswitch.log import call_id
from softswitch.switch.carrier import Carrier
from softswitch.switch.owner import Bridging
from softswitch.switch.resources import Resources

logger = logging.getLogger(__name__)


class Subscriber(Protocol):
    """Somebody who is told the events of a call."""

    def event(self, event: Event, seq: int) -> None:
        """Take an event; never blocks, never raises."""

    def audio(self, side: int, pcm: bytes) -> None:
        """Take shared audio: side 0 is ours, 1 the party's; PCM16 at 16 kHz."""

    def close(self, code: int, reason: str) -> None:
        """Nothing more comes."""


class Source(msgspec.Struct, frozen=True):
    """Where a call came from, for lists and records."""

    direction: str = "inbound"
    """inbound: the party came to us; outbound: we called it."""
    trunk: str = ""
    user: str = ""


class Conversation:
    """Runs one call. All methods belong to the event loop."""

    def __init__(
        self,
        call: Call,
        resources: Resources,
        party: EndpointFactory | None,
        over: Callable[["Conversation"], None],
        *,
        bridges: Bridging,
        keep_events: bool = False,
    ) -> None:
        """Prepare; :meth:`run` lives as long as the call.

        Args:
            call: The core.
            resources: What all calls share.
            party: Makes the endpoint of the client's own leg, or the caller's; None: whom the client calls.
            over: Told once when the call has ended and is to be forgotten.
            bridges: Joins calls with each other.
            keep_events: Whether events are kept for a client that comes back.
        """
        self.call = call
        self.resources = resources
        self.created_ms = call.epoch_ms(call.times.created)
        self.owner = ""
        """Name of the key or token the call was made with."""
        self.address = ""
        """Network address of the client."""
        self.source = Source()
        """Where the call came from and went to."""
        self.tag = ""
        """What an application wrote on the call."""
        self.callback = ""
        """URL that is told how this call goes; empty: the webhooks of its account are."""
        self.callback_trusted = False
        """Whether the operator wrote that URL."""
        self.awaits_client = False
        """Whether an application was told of the call and may take it by its id."""
        self.bridged_with: str | None = None
        """Id of the call this one is joined with."""
        self.started = asyncio.Event()
        """Set when the call can be given its first command."""
        self.released = asyncio.Event()
        """Set when everything the call held was given back."""
        self.seq = 0
        self._subscribers: list[Subscriber] = []
        self._kept: deque[tuple[int, Event]] = deque(
            maxlen=resources.settings.limits.events_kept if keep_events else 0
        )
        self._inbox: deque[reports.Report] = deque()
        self._settling = False
        self._timer: asyncio.TimerHandle | None = None
        self._over = over
        self.bridges = bridges
        self._warned: set[tuple[str, str]] = set()
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._finished = asyncio.Event()
        # Weakly: a call that is over goes at once, and does not wait for the garbage collector, which holds
        # all others up when it has many to find.
        self.carrier = Carrier(weakref.proxy(self), party)
        self._close_code = 1000
        self._broken = False
        """Something in the call failed: its core is asked nothing any more."""
        self._hung_up = False

    @property
    def id(self) -> str:
        """Return the session id."""
        return self.call.id

    @property
    def direction(self) -> str:
        """Return inbound, where somebody called us, or outbound."""
        return self.source.direction

    # --- telling it -----------------------------------------------------------------

    def command(self, command: Command) -> None:
        """Carry out a command; raises CommandRejected."""
        if self._broken:
            raise CommandRejected("the call is over", 410)
        try:
            self.call.command(command, time.monotonic())
        except CommandRejected:
            raise
        except Exception as error:  # noqa: BLE001  (it ends this call alone)
            self._failed(error)
        finally:
            self._settle()

    def incoming(self, call: IncomingCall, accept_s: float | None = None) -> None:
        """Make this the pending call of somebody who rang; ``accept_s``: how long he waits for an answer."""
        self.call.incoming(
            call.caller, call.callee, call.sdp, call.headers, time.monotonic(), accept_s=accept_s
        )
        self._settle()

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self._finished.is_set()

    def publish(self, event: Event) -> None:
        """Tell everybody an event that is not the call's own decision, with its number in the sequence."""
        self._publish(event)

    def report(self, report: reports.Report) -> None:
        """Take a report from anywhere below; never raises."""
        if isinstance(report, reports.SpeechWarned):
            if (report.sender, report.error) in self._warned:
                return
            self._warned.add((report.sender, report.error))
        self._inbox.append(report)
        self._settle()

    def end(self, reason: str, initiator: str, code: int = 1000, *, sip_code: int = 0) -> None:
        """End the call from outside.

        Args:
            reason: Why.
            initiator: Who wants it.
            code: What its sockets close with.
            sip_code: What a caller is told who was not answered; 0: what the reason says.
        """
        if self._broken:
            return
        self._close_code = code
        try:
            self.call.end(reason, initiator, time.monotonic(), code=sip_code)
        except Exception as error:  # noqa: BLE001  (it ends this call alone)
            self._failed(error)
        self._settle()

    # --- subscribers ------------------------------------------------------------------

    def subscribe(self, subscriber: Subscriber, since: int | None = None) -> None:
        """Tell somebody the events from now on; ``since``: and first those after that number."""
        if since is not None:
            for seq, event in self._kept:
                if seq > since:
                    subscriber.event(event, seq)
        self._subscribers.append(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Tell somebody nothing more."""
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)

    def share_audio(self, side: int, pcm: bytes) -> None:
        """Give subscribers the audio of one side."""
        for subscriber in self._subscribers:
            subscriber.audio(side, pcm)

    # --- life -------------------------------------------------------------------------

    async def run(self) -> None:
        """Live until the call is over and everything it held is released; never raises but when cancelled."""
        call_id.set(self.id)
        try:
            async with asyncio.TaskGroup() as self._group:
                self.started.set()
                await self._finished.wait()
                await self._release()
        except* Exception as errors:  # noqa: BLE001  (it ends this call alone)
            self._failed(errors)
            await self._release()
        finally:
            self.released.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something as part of the call: its failure ends this call, and its end cancels it."""
        if self._group is None or self._finished.is_set():
            work.close()
            raise RuntimeError("the call is over")
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- inside -----------------------------------------------------------------------

    def _settle(self) -> None:
        """Carry out everything that was decided, in order; reports that come meanwhile are taken in turn."""
        if self._settling or self._broken:
            return
        self._settling = True
        try:
            while True:
                for event in self.call.take_events():
                    self._publish(event)
                effects = self.call.take_effects()
                for effect in effects:
                    self._carry(effect)
                if self._inbox:
                    self.call.report(self._inbox.popleft(), time.monotonic())
                elif not effects:
                    break
            self._schedule()
        except Exception as error:  # noqa: BLE001  (it ends this call alone)
            self._failed(error)
        finally:
            self._settling = False

    def _carry(self, effect: Effect) -> None:
        if isinstance(effect, CloseCall):
            self._close()
            return
        try:
            self.carrier.carry(effect)
        except CommandRejected as refused:
            self._inbox.append(
                reports.Refused(refused.sender, refused.error, refused.code, refused.request_id)
            )

    def _publish(self, event: Event) -> None:
        self.seq += 1
        if self._kept.maxlen:
            self._kept.append((self.seq, event))
        self._count(event)
        for subscriber in list(self._subscribers):
            subscriber.event(event, self.seq)
        if isinstance(event, HungUp):
            self._hung_up = True
            logger.info("call ended", extra={"reason": event.reason, "initiator": event.initiator})

    def _count(self, event: Event) -> None:
        metrics = self.resources.metrics
        metrics.events.labels(type(event).__name__).inc()
        match event:
            case events.Metrics():
                metrics.measure(event.key, event.duration / 1000)
            case events.Error():
                metrics.errors.labels(event.sender).inc()

    async def _release(self) -> None:
        await self.carrier.release()
        for task in self._tasks:
            task.cancel()

    def _schedule(self) -> None:
        self._unschedule()
        due = self.call.deadline()
        if due is not None:
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
        """Let go of everybody: the call is over."""
        if self._finished.is_set():
            return
        self._finished.set()
        self._over(self)
        subscribers, self._subscribers = self._subscribers, []
        for subscriber in subscribers:
            subscriber.close(self._close_code, self.call.reason)

    def _failed(self, error: BaseException) -> None:
        """End this call alone because something in it broke."""
        logger.error("a call failed", exc_info=error, extra={"call_id": self.id})
        if self._broken:
            return
        self._broken = True
        self._unschedule()
        if self.call.state is not State.OVER:
            self._close_code = 1011
            self._end_broken()
        self._close()

    def _end_broken(self) -> None:
        """Let the call end itself, or end it in its place where it cannot even do that."""
        text = "internal error: the call cannot go on"
        try:
            self.call.report(reports.LegFailed("party", "internal", text, 500), time.monotonic())
            for event in self.call.take_events():
                self._publish(event)
        except Exception:
            logger.exception("a call could not end itself", extra={"call_id": self.id})
        if not self._hung_up:
            self.call.state, self.call.reason, self.call.initiator = State.OVER, "error", "system"
            now_ms = self.call.epoch_ms(time.monotonic())
            self._publish(
                events.Error(timestamp=now_ms, track_id=self.id, sender="internal", error=text, code=500)
            )
            option = self.call.option
            self._publish(
                HungUp(
                    timestamp=now_ms,
                    track_id=self.id,
                    reason="error",
                    initiator="system",
                    start_time=self.created_ms,
                    answer_time=None,
                    hangup_time=now_ms,
                    caller=option.caller,
                    callee=option.callee,
                )
            )
