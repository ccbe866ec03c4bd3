"""The queues as callees: ``queue:<name>`` is a leg whose other end is a call that plays music.

When a user answers, that user's call takes the place of the leg: two telephones then talk with each other
as after any bridge, without the queue between them.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from softswitch.call.authority import Principal
from softswitch.call.interfaces import Endpoint, LegRequest
from softswitch.call.kind import LegKind
from softswitch.call.state import State
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary.events import Answer, Event, Rejected
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.call.vocabulary.reports import Report
from softswitch.errors import NotNowError, RejectedError
from softswitch.legs.local.pair import LocalPair
from softswitch.log.tasks import Tasks
from softswitch.metrics import Reading
from softswitch.settings.queue import Queue
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.inner_call import open_inner_call
from softswitch.switch.origin import Origin, Source
from softswitch.switch.queues.line import Line, Waiting
from softswitch.switch.queues.roster import Roster
from softswitch.switch.queues.whole import NodeLines, Order, Place
from softswitch.switch.switch import Switch

logger = logging.getLogger(__name__)

PREFIX = "queue:"
LOOK_S = 0.5
"""Longest time until a free user is noticed, seconds."""
MUSIC = "music"
ONWARD_S = 60.0
"""How long a callee after the longest wait may ring, seconds."""
_SOUND = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9]{2,5}")
"""A name of a file, as opposed to a text that is spoken."""


class Dispatcher(Protocol):
    """Decides over all nodes which user is rung next, where there are several."""

    def touched(self) -> None:
        """Note that the lines or the users of this node have changed."""

    def ahead(self, queue: str, caller: Waiting | None) -> int:
        """Return how many callers of other nodes wait before a caller of this one; None: how many in all."""

    def is_taken(self, user: str) -> bool:
        """Return whether a user has a call at another node, or is rung by one."""


class _Watch:
    """Wakes the task of a caller whenever something happens to a call (a subscriber)."""

    def __init__(self, changed: asyncio.Event) -> None:
        self.changed = changed
        self.answered = self.refused = False

    def event(self, event: Event, seq: int) -> None:
        """Note an answer or a refusal."""
        if isinstance(event, Answer) and not event.refer:
            self.answered = True
        if isinstance(event, Rejected):
            self.refused = True
        self.changed.set()

    def audio(self, side: int, pcm: bytes) -> None:
        """Ignore audio."""

    def close(self, code: int, reason: str) -> None:
        """Note the end."""
        self.changed.set()


class _Release:
    """Notes when a call of users ends (a subscriber)."""

    def __init__(
        self,
        conversation: Conversation,
        taken: Callable[[frozenset[str]], None],
        released: Callable[[str], None],
    ) -> None:
        self._conversation, self._taken, self._released = conversation, taken, released
        self._users: frozenset[str] = frozenset()

    def event(self, event: Event, seq: int) -> None:
        """Note who takes part; a second party is known only while it is there."""
        parties = self._conversation.parties()
        if not parties <= self._users:
            self._users |= parties
            self._taken(parties)

    def audio(self, side: int, pcm: bytes) -> None:
        """Ignore audio."""

    def close(self, code: int, reason: str) -> None:
        """Release the users."""
        for user in self._users:
            self._released(user)


class Queues:
    """The queues of the settings by name: an ``EndpointFactory``, and who may call which."""

    def __init__(self, switch: Switch) -> None:
        """Follow the calls of a switch; queues are made as callers come."""
        self._switch, self._resources = switch, switch.resources
        self._lines: dict[str, Line] = {}
        self._roster = Roster()
        self._tasks = Tasks("switch")
        self.dispatcher: Dispatcher | None = None
        """Decides over all nodes; None: this process is alone, and decides as callers and users come."""
        switch.followers.append(self._follow)

    def refuse_callee(self, callee: str, by: Principal) -> tuple[int, str] | None:
        """Return code and reason why a client cannot call a queue; None if it can, or it calls none."""
        if not callee.startswith(PREFIX):
            return None
        return self._refusal(callee.removeprefix(PREFIX), by.account)

    def lines(self, account: str | None) -> list[Line]:
        """Return the queues that an account may call; None: all."""
        return [
            self._line(queue)
            for queue in self._resources.settings.queue
            if account is None or not queue.accounts or account in queue.accounts
        ]

    def is_free(self, user: str) -> bool:
        """Whether a user has a device that can be rung, no call, and is not being rung, at any node."""
        telephones = self._resources.telephones
        if telephones is None or not telephones.registered(user):
            return False
        if self.dispatcher is not None and self.dispatcher.is_taken(user):
            return False
        return self._is_idle(user)

    def _is_idle(self, user: str) -> bool:
        """Whether a user has no call at this node, and is not being rung by it."""
        if any(line.is_rung(user) for line in self._lines.values()):
            return False
        calls = self._switch.conversations()
        return not any(user in call.parties() for call in calls if not call.call.kind.is_inner)

    # --- for what decides over all nodes ----------------------------------------------

    @property
    def roster(self) -> Roster:
        """Return what is known of users, by the clock of :meth:`now`."""
        return self._roster

    def now(self) -> float:
        """Return the time for the roster: seconds that all nodes count alike where there are several."""
        return time.monotonic() if self.dispatcher is None else time.time()

    def waits(self) -> bool:
        """Return whether a caller waits here."""
        return any(line.waiting for line in self._lines.values())

    def users(self) -> dict[str, tuple[str, ...]]:
        """Return the users of each queue."""
        return {queue.name: queue.users for queue in self._resources.settings.queue}

    def state(self) -> NodeLines:
        """Return what other nodes have to know of this one."""
        named = frozenset(user for users in self.users().values() for user in users)
        calls = [call for call in self._switch.conversations() if not call.call.kind.is_inner]
        busy = named & frozenset(party for call in calls for party in call.parties())
        callers = {
            name: [Place(one.outer.id, one.joined_ms, one.rung) for one in line.waiting]
            for name, line in self._lines.items()
            if line.waiting
        }
        return NodeLines(callers, sorted(busy), self._roster.known())

    def order(self, order: Order) -> bool:
        """Have a user rung for a caller of this node; return False where that cannot be any more."""
        line = self._lines.get(order.queue)
        caller = next((one for one in line.waiting if one.outer.id == order.caller), None) if line else None
        if caller is None or caller.gone or caller.rung or not self._is_idle(order.user):
            return False
        caller.rung = caller.ordered = order.user
        caller.changed.set()
        return True

    def _touched(self) -> None:
        if self.dispatcher is not None:
            self.dispatcher.touched()

    def place(self, line: Line, caller: Waiting) -> int:
        """Return the place of a caller among those of all nodes, from 1."""
        ahead = self.dispatcher.ahead(line.queue.name, caller) if self.dispatcher is not None else 0
        return line.position(caller) + ahead

    def figures(self) -> Iterator[Reading]:
        """Yield the figures for /metrics."""
        for line in self.lines(None):
            labels = (("queue", line.queue.name),)
            yield Reading("queue_waiting", len(line.waiting), "gauge", labels)
            figures = line.figures
            yield Reading("queue_entered", figures.entered, labels=labels)
            yield Reading("queue_answered", figures.answered, labels=labels)
            yield Reading("queue_abandoned", figures.abandoned, labels=labels)
            yield Reading("queue_timed_out", figures.timed_out, labels=labels)
            yield Reading("queue_refused", figures.refused, labels=labels)
            yield Reading("queue_rings_missed", figures.missed, labels=labels)
            yield Reading("queue_waited_seconds", figures.waited_ms / 1000, labels=labels)

    async def stop(self) -> None:
        """End all waits."""
        await self._tasks.stop()

    # --- a caller comes ---------------------------------------------------------------

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Make the endpoint of a leg to ``queue:<name>``."""
        pair = LocalPair(self._resources.engine, self._resources.routes.frames)
        name = request.callee.removeprefix(PREFIX)

        def answer() -> None:
            refused = self._refusal(name, request.account)
            outer = self._switch.find(request.call)
            queue = self._queue(name)
            if refused is not None or outer is None or queue is None:
                if queue is not None:
                    self._line(queue).figures.refused += 1
                pair.near.refuse(*(refused or (404, f"callee: there is no [[queue]] named {name!r}")))
                return
            work = self._serve(self._line(queue), pair, request, outer)
            self._tasks.spawn(work, name="queue", call=request.call)

        pair.near.on_answer = answer
        return pair.near(request, report)

    def _queue(self, name: str) -> Queue | None:
        return next((one for one in self._resources.settings.queue if one.name == name), None)

    def _line(self, queue: Queue) -> Line:
        """Return the line of a queue, whose settings may have changed."""
        line = self._lines.setdefault(queue.name, Line(queue))
        line.queue = queue
        return line

    def _refusal(self, name: str, account: str) -> tuple[int, str] | None:
        queue = self._queue(name)
        # A queue of other accounts is refused as if there were none.
        if queue is None or (queue.accounts and account and account not in queue.accounts):
            return 404, f"callee: there is no [[queue]] named {name!r}"
        elsewhere = self.dispatcher.ahead(name, None) if self.dispatcher is not None else 0
        if len(self._line(queue).waiting) + elsewhere >= queue.most:
            return 486, f"callee: in the queue {name!r} wait as many callers as may"
        return None

    async def _serve(self, line: Line, pair: LocalPair, request: LegRequest, outer: Conversation) -> None:
        """Open the inner call, and wait with the caller."""
        inner = await open_inner_call(self._switch, LegKind.QUEUE, pair, request.account)
        if inner is None:
            return
        caller = Waiting(outer, request.leg, inner, time.monotonic(), round(time.time() * 1000))
        line.waiting.append(caller)
        line.figures.entered += 1
        self._touched()
        watch = _Watch(caller.changed)
        outer.subscribe(watch)
        inner.subscribe(watch)
        try:
            option = c.CallOption(caller=request.caller, vad=c.VadOption(off=True), waits=True)
            inner.command(c.Invite(option=option))
            await self._attend(line, caller)
        except CommandRejected:
            pass  # The caller left between two steps.
        finally:
            line.waiting.remove(caller)
            self._touched()
            outer.unsubscribe(watch)
            if not inner.over:
                inner.end("callee", "callee")

    # --- while a caller waits ---------------------------------------------------------

    async def _attend(self, line: Line, caller: Waiting) -> None:
        queue = line.queue
        self._begin(queue, caller)
        announced = caller.joined
        while not caller.gone:
            now = time.monotonic()
            queue = line.queue
            if queue.timeout_s and now >= caller.joined + queue.timeout_s:
                await self._time_out(line, caller)
                return
            user = self._next(line, caller)
            if user is not None:
                if await self._ring(line, caller, user):
                    return
                continue
            if queue.position and now >= announced:
                announced = now + queue.position_s
                self._say(caller, queue.position.format(position=self.place(line, caller)), queue)
            await _happens(caller.changed, LOOK_S)
        line.figures.abandoned += 1

    def _begin(self, queue: Queue, caller: Waiting) -> None:
        if queue.music:
            caller.inner.command(c.Play(url=queue.music, play_id=MUSIC, layer=MUSIC, loop=True, gain=0.5))
        if queue.greeting:
            self._say(caller, queue.greeting, queue)

    def _say(self, caller: Waiting, text: str, queue: Queue) -> None:
        if caller.inner.call.state is not State.UP:
            return
        if _SOUND.fullmatch(text):
            caller.inner.command(c.Play(url=text))
        else:
            option = c.TtsOption(voice=queue.voice) if queue.voice else None
            caller.inner.command(c.Say(text=text, option=option))

    def _next(self, line: Line, caller: Waiting) -> str | None:
        """Return the user to ring for a caller: those who came before are served first."""
        if self.dispatcher is not None:
            user, caller.ordered = caller.ordered, ""
            return user or None
        if any(not before.rung for before in line.waiting[: line.waiting.index(caller)]):
            return None
        return self._roster.pick(line.queue.users, self.is_free, self.now())

    async def _ring(self, line: Line, caller: Waiting, user: str) -> bool:
        """Ring a user, and connect the caller with it; return whether the wait is over."""
        caller.rung = user
        self._touched()
        queue, watch = line.queue, _Watch(caller.changed)
        call: Conversation | None = None
        try:
            origin = Origin(caller.outer.owner, source=Source("outbound"))
            call = await self._switch.open(None, LegKind.SIP, None, origin)
            call.subscribe(watch)
            option = c.CallOption(
                caller=caller.outer.call.option.caller,
                callee=f"user:{user}",
                handshake_s=max(1.0, queue.ring_s),
                vad=c.VadOption(off=True),
            )
            call.command(c.Invite(option=option))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(1.0, queue.ring_s) + 1.0):
                    while not (watch.answered or call.over or caller.gone):
                        await _happens(caller.changed, LOOK_S)
            if watch.answered and not call.over and not caller.gone:
                self._switch.bridges.take_place(call, caller.outer, caller.leg, alone=True, other_alone=True)
                line.answered(time.monotonic() - caller.joined)
                call = None
                return True
        except (NotNowError, RejectedError) as error:
            logger.warning("a user of a queue cannot be rung", extra={"user": user, "error": str(error)})
        finally:
            if call is not None and not call.over:
                call.end("no_answer" if not caller.gone else "caller", "system")
            caller.rung = ""
        if not caller.gone:
            line.figures.missed += 1
            self._roster.missed(user, self.now(), queue.rest_s)
        # Not before: until the missed ring is noted, the user must not look idle.
        self._touched()
        return caller.gone and self._left(line)

    def _left(self, line: Line) -> bool:
        line.figures.abandoned += 1
        return True

    async def _time_out(self, line: Line, caller: Waiting) -> None:
        """Connect a caller who has waited for the longest time with the callee of the settings, or end it."""
        line.figures.timed_out += 1
        outer, onward = caller.outer, line.queue.timeout_to
        if not onward:
            outer.end("no_answer", "system")
            return
        outer.command(c.Hangup(refer=True))
        watch = _Watch(asyncio.Event())
        outer.subscribe(watch)
        outer.command(c.Refer(callee=onward, timeout_s=ONWARD_S))
        self._tasks.spawn(_end_refused(outer, watch), name="queue timeout", call=outer.id)

    # --- users ------------------------------------------------------------------------

    def _follow(self, conversation: Conversation) -> None:
        if self._resources.settings.queue:
            conversation.subscribe(_Release(conversation, self._taken, self._released))

    def _taken(self, users: frozenset[str]) -> None:
        if self.dispatcher is not None and self._are_named(users):
            self.dispatcher.touched()

    def _are_named(self, users: frozenset[str]) -> bool:
        return any(not users.isdisjoint(queue.users) for queue in self._resources.settings.queue)

    def _released(self, user: str) -> None:
        if self._are_named(frozenset((user,))):
            self._roster.released(user, self.now())
            self._touched()
            for line in self._lines.values():
                for caller in line.waiting:
                    caller.changed.set()


async def _happens(changed: asyncio.Event, within_s: float) -> None:
    """Wait until something happens, or for some time."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(changed.wait(), within_s)
    changed.clear()


async def _end_refused(outer: Conversation, watch: _Watch) -> None:
    """End a caller's call whose onward callee refuses or does not answer: no application would."""
    changed = watch.changed
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ONWARD_S + 5.0):
            while not (watch.refused or outer.over or _is_up(outer)):
                await _happens(changed, LOOK_S)
    if watch.refused and not outer.over:
        outer.end("no_answer", "system")
    outer.unsubscribe(watch)


def _is_up(outer: Conversation) -> bool:
    second = outer.call.second
    return second is not None and second.up
