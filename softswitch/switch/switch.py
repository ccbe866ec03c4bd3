"""The table of all calls of this process: they are opened, found, bridged, ended and recorded here."""

import asyncio
import contextlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

from softswitch.call.call import Call
from softswitch.call.interfaces import EndpointFactory
from softswitch.call.kind import LegKind
from softswitch.call.lifetime import CallLimits
from softswitch.call.state import State
from softswitch.errors import ForbiddenError, NotNowError, RejectedError
from softswitch.log.tasks import Tasks
from softswitch.store.store import CallRecord
from softswitch.switch.conversation.bridges import Bridges
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.origin import Origin
from softswitch.switch.records import CallRecords
from softswitch.switch.resources import Resources
from softswitch.switch.resume_tokens import ResumeTokens
from softswitch.switch.supervision.supervisions import Supervisions

logger = logging.getLogger(__name__)


END_AT_ONCE = 16
"""Calls that are ended in one turn when the switch goes down."""
BREATH_S = 0.02
"""Time between two such turns, seconds."""
MOST_BREATHS = 10
"""Longest wait for a loop that stays late, in turns."""


class Taken(RejectedError):
    """The session id belongs to a call that is live."""


class Switch:
    """The calls of this process, and what concerns all of them. Everything belongs to the event loop."""

    def __init__(self, resources: Resources) -> None:
        """Start without calls."""
        self.resources = resources
        self.draining = False
        self._calls: dict[str, Conversation] = {}
        self._addresses: Counter[str] = Counter()
        """Number of calls of each client's address."""
        self.bridges = Bridges(resources, self._calls)
        self.supervisions = Supervisions(resources, self._calls, self.bridges)
        self.bridges.supervise = self.supervisions.carry
        self.followers: list[Callable[[Conversation], None]] = []
        """Called with each call as it is opened, before its first command."""
        self.tell: Callable[[str], Awaitable[None]] | None = None
        """Waits until other nodes can find a call with this id; None: there are none."""
        self._reserved: set[str] = set()
        self._tokens = ResumeTokens()
        self.elsewhere: Callable[[str], int] = lambda key: 0
        """Returns how many calls an account (``owner:<name>``) or address (``address:<ip>``) has on other
        nodes, or how many (``calls``) the other workers of this machine have."""
        self._tasks = Tasks("switch")
        self.records = CallRecords(resources, self._tasks)
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        """Return how many calls are live."""
        return len(self._calls)

    # --- opening ----------------------------------------------------------------------

    async def open(
        self,
        call_id: str | None,
        kind: str,
        party: EndpointFactory | None,
        origin: Origin,
        *,
        resumable: bool = False,
        keep_events: bool = False,
    ) -> Conversation:
        """Open a call that waits for its first command.

        Args:
            call_id: Session id; None makes one.
            kind: Value of a :class:`softswitch.call.kind.LegKind`.
            party: Makes the endpoint of the client's leg, or the caller's; None: the callee is the party.
            origin: Opens the call.
            resumable: Whether the client may come back after its socket was lost.
            keep_events: Whether events are kept for subscribers that come later.

        Raises:
            Taken: A live call has this id.
            NotNowError: The switch is going down or full.
        """
        call_id = call_id or str(uuid.uuid4())
        self._reserved.discard(call_id)
        self.check(call_id, origin)
        token = self._tokens.issue(call_id) if resumable else None
        call = self._call(call_id, kind, token)
        conversation = Conversation(
            call,
            self.resources,
            party,
            self._on_ended,
            bridges=self.bridges,
            keep_events=resumable or keep_events,
            on_changed=self.records.change,
        )
        conversation.owner, conversation.address = origin.owner, origin.address
        conversation.source = origin.source
        self._calls[call_id] = conversation
        self._addresses[origin.address] += 1
        for follow in self.followers:
            follow(conversation)
        self._empty.clear()
        self.resources.metrics.call_started(kind)
        self._tasks.spawn(self._run(conversation), name=f"call {call_id}", call=call_id)
        await asyncio.sleep(0)  # The task begins, and the call takes commands from then on.
        if self.tell is not None:
            await self.tell(call_id)
        return conversation

    async def _run(self, conversation: Conversation) -> None:
        """Run a call to its end, and write its last record."""
        await conversation.run()
        await self.records.write(conversation)

    def _call(self, call_id: str, kind: str, token: str | None) -> Call:
        limits = self.resources.settings.limits
        return Call(
            call_id,
            LegKind(kind),
            time.monotonic(),
            epoch_offset=time.time() - time.monotonic(),
            limits=CallLimits(
                setup_s=LegKind(kind).setup_s,
                max_duration_s=limits.max_duration_s,
                media_start_s=limits.media_timeout_start_s,
                media_s=limits.media_timeout_s,
                hold_music=self.resources.settings.media.hold_music != "off",
            ),
            resume_token=token,
        )

    def check(self, call_id: str | None, origin: Origin) -> None:
        """Raise what :meth:`open` would raise."""
        if call_id is not None and (call_id in self._calls or call_id in self._reserved):
            raise Taken(f"id: a call {call_id!r} is live", field="id")
        self._admit(origin)

    def admit(self) -> None:
        """Decide on a new call that a client asks for, before any work.

        Calls of telephones were decided on where they came in.

        Raises:
            NotNowError: The switch is overloaded.
        """
        try:
            self.resources.pressure.check()
        except NotNowError:
            self.resources.metrics.calls_refused.labels("overload").inc()
            raise

    @contextlib.contextmanager
    def reserved(self, call_id: str | None) -> Iterator[None]:
        """Keep an id for a client that is connecting, until it opens its call or disconnects."""
        if call_id is None:
            yield
            return
        self._reserved.add(call_id)
        try:
            yield
        finally:
            self._reserved.discard(call_id)

    def _admit(self, origin: Origin) -> None:
        limits = self.resources.settings.limits
        most = self.resources.calls_per_account.get(origin.owner, limits.calls_per_key)
        refused = ""
        if self.draining:
            refused = "draining"
        elif limits.calls > 0 and len(self._calls) + self.elsewhere("calls") >= limits.calls:
            refused = "calls"
        elif (
            limits.calls_per_ip > 0
            and origin.address
            and self._addresses[origin.address] + self.elsewhere(f"address:{origin.address}")
            >= limits.calls_per_ip
        ):
            refused = "calls_per_ip"
        elif most > 0 and origin.owner and self._count_owned(origin.owner) >= most:
            refused = "calls_per_key"
        elif self.resources.memory.is_full:
            refused = "memory_mb"
        if refused:
            self.resources.metrics.calls_refused.labels(refused).inc()
            wait = 30.0 if refused == "draining" else 5.0
            reason = "the switch is going down" if refused == "draining" else f"[limits] {refused} is reached"
            raise NotNowError(reason, retry_after_s=wait)

    def _count_owned(self, owner: str) -> int:
        here = sum(conversation.owner == owner for conversation in self._calls.values())
        return here + self.elsewhere(f"owner:{owner}")

    def _forget_address(self, address: str) -> None:
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]

    # --- finding ----------------------------------------------------------------------

    def find(self, call_id: str) -> Conversation | None:
        """Return a live call."""
        return self._calls.get(call_id)

    def conversations(self) -> list[Conversation]:
        """Return the live calls, oldest first."""
        return list(self._calls.values())

    def reattach(self, call_id: str, token: str, origin: Origin) -> tuple[Conversation, str]:
        """Return the call a client comes back to, and its next token.

        Raises:
            ForbiddenError: No call waits for this token.
        """
        conversation = self._calls.get(call_id)
        if conversation is not None and conversation.owner == origin.owner:
            successor = self._tokens.use(call_id, token)
            if successor is not None:
                return conversation, successor
        raise ForbiddenError("resume: no call waits for this token", field="resume")

    def pending(self, call_id: str | None) -> Conversation | None:
        """Return a call that has come in and waits for an application to take it."""
        conversation = self._calls.get(call_id or "")
        if conversation is None or not conversation.awaits_client:
            return None
        return conversation if conversation.call.state is State.PENDING else None

    def take(self, conversation: Conversation, origin: Origin, *, resumable: bool = False) -> None:
        """Give a pending call to the application that has come for it."""
        conversation.awaits_client = False
        if conversation.id in self._calls:
            self._forget_address(conversation.address)
            self._addresses[origin.address] += 1
        conversation.owner, conversation.address = origin.owner, origin.address
        if resumable:
            conversation.call.resume_token = self._tokens.issue(conversation.id)

    # --- ending -----------------------------------------------------------------------

    def kill(self, call_id: str) -> bool:
        """End a call by order of an administrator; return False where no such call is live."""
        conversation = self._calls.get(call_id)
        if conversation is None:
            return False
        conversation.end("killed", "system")
        return True

    async def drain(self, seconds: float) -> None:
        """Refuse new calls; wait at most ``seconds`` for the running ones, then end them."""
        self.draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            logger.warning("calls are ended: [limits] drain_s is over", extra={"calls": len(self._calls)})
        await self.end_all()
        await self._tasks.join(6.0)

    async def idle(self) -> None:
        """Wait until no call is live; new ones are taken meanwhile."""
        await self._empty.wait()

    async def end_all(self) -> None:
        """End every call because the switch goes down, a few at a time.

        Each end takes some milliseconds and sends a BYE. If all were sent at once, the answers would be read
        after the last one was sent, and each BYE older than 500 ms (T1 of RFC 3261) would be sent again.
        """
        waiting = list(self._calls.values())
        for start in range(0, len(waiting), END_AT_ONCE):
            if start:
                await self._breathe()
            for conversation in waiting[start : start + END_AT_ONCE]:
                if conversation.id in self._calls:
                    conversation.end("server_shutdown", "system", 1001)

    async def _breathe(self) -> None:
        """Let the loop work off what is due until it is on time again, for at most `MOST_BREATHS` turns."""
        loop = asyncio.get_running_loop()
        for _ in range(MOST_BREATHS):
            before = loop.time()
            await asyncio.sleep(BREATH_S)
            if loop.time() - before < 2 * BREATH_S:
                return

    def _on_ended(self, conversation: Conversation) -> None:
        call = conversation.call
        if self._calls.pop(call.id, None) is not None:
            self._forget_address(conversation.address)
        self.supervisions.ended(conversation)
        self._tokens.forget(call.id)
        if not self._calls:
            self._empty.set()
        ended = call.times.ended if call.times.ended is not None else time.monotonic()
        answered = call.times.answered
        self.resources.metrics.call_ended(
            call.kind,
            call.reason,
            ended - answered if answered is not None else None,
            answered - call.times.created if answered is not None else 0.0,
        )
        self.records.end(conversation, ended)

    def ended(self, call_id: str) -> CallRecord | None:
        """Return the record of a call that has ended and whose record is not stored yet, else None.

        A webhook says that a call is over before everything is released, and clients ask for it at once.
        """
        return self.records.ended(call_id)
