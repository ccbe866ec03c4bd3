"""All calls of this process: open, find, list, kill, bridge, drain."""

import asyncio
import contextlib
import json
import logging
import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from softswitch.call.call import Call
from softswitch.call.lifetime import CallLimits
from softswitch.call.needs import EndpointFactory
from softswitch.call.state import State
from softswitch.errors import ForbiddenError, NotNowError, RejectedError
from softswitch.metrics import reason_label
from softswitch.store.store import CallRecord
from softswitch.switch.bridges import Bridges
from softswitch.switch.conversation import Conversation, Source
from softswitch.switch.resources import Resources

logger = logging.getLogger(__name__)


RING_S = 90.0
"""How long a telephone may ring where the invite says nothing."""


class Taken(RejectedError):
    """The session id belongs to a call that is live."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who opens a call."""

    owner: str = ""
    """Name of the API key or subject of the token; empty where nobody has to prove anything."""
    address: str = ""
    source: Source = field(default_factory=Source)


@dataclass(frozen=True, slots=True)
class CallView:
    """One line of the list of calls."""

    id: str
    kind: str
    created_ms: int
    option: dict[str, object]
    state: str
    caller: str
    callee: str
    duration_ms: int
    source: Source


class Switch:
    """The table of calls and what is done with all of them."""

    def __init__(self, resources: Resources) -> None:
        """Start without calls."""
        self.resources = resources
        self.draining = False
        self._calls: dict[str, Conversation] = {}
        self.bridges = Bridges(resources, self._calls)
        self.followers: list[Callable[[Conversation], None]] = []
        """Told of each call as it is opened, before its first command."""
        self._reserved: set[str] = set()
        self._tokens: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
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
            kind: ``websocket``, ``webrtc`` or ``sip``.
            party: Makes the endpoint of the client's leg, or the caller's; None: whom the client calls.
            origin: Who opens it.
            resumable: Whether the client may come back after its socket was lost.
            keep_events: Whether somebody who comes later is told everything from the beginning.

        Raises:
            Taken: A live call has this id.
            NotNowError: The switch is going down or full.
        """
        call_id = call_id or str(uuid.uuid4())
        self._reserved.discard(call_id)
        self.check(call_id, origin)
        token = secrets.token_urlsafe(24) if resumable else None
        call = self._call(call_id, kind, token)
        conversation = Conversation(
            call,
            self.resources,
            party,
            self._over,
            bridges=self.bridges,
            keep_events=resumable or keep_events,
        )
        conversation.owner, conversation.address = origin.owner, origin.address
        conversation.source = origin.source
        self._calls[call_id] = conversation
        if token is not None:
            self._tokens[call_id] = token
        for follow in self.followers:
            follow(conversation)
        self._empty.clear()
        self.resources.metrics.calls_started.labels(kind).inc()
        self.resources.metrics.calls_active.labels(kind).inc()
        task = asyncio.get_running_loop().create_task(conversation.run(), name=f"call {call_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await conversation.started.wait()
        return conversation

    def _call(self, call_id: str, kind: str, token: str | None) -> Call:
        limits = self.resources.settings.limits
        return Call(
            call_id,
            kind,
            time.monotonic(),
            epoch_offset=time.time() - time.monotonic(),
            limits=CallLimits(
                setup_s=RING_S if kind == "sip" else 30.0,
                max_duration_s=limits.max_duration_s,
                media_start_s=limits.media_timeout_start_s,
                media_s=limits.media_timeout_s,
            ),
            resume_token=token,
        )

    def check(self, call_id: str | None, origin: Origin) -> None:
        """Raise what :meth:`open` would raise."""
        if call_id is not None and (call_id in self._calls or call_id in self._reserved):
            raise Taken(f"id: a call {call_id!r} is live", field="id")
        self._admit(origin)

    @contextlib.contextmanager
    def reserved(self, call_id: str | None) -> Iterator[None]:
        """Keep an id for a client that is connecting, until it opens its call or goes away."""
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
        refused = ""
        if self.draining:
            refused = "draining"
        elif limits.calls and len(self._calls) >= limits.calls:
            refused = "calls"
        elif (
            limits.calls_per_ip
            and origin.address
            and self._count("address", origin.address) >= limits.calls_per_ip
        ):
            refused = "calls_per_ip"
        elif (
            limits.calls_per_key
            and origin.owner
            and self._count("owner", origin.owner) >= limits.calls_per_key
        ):
            refused = "calls_per_key"
        if refused:
            self.resources.metrics.calls_refused.labels(refused).inc()
            wait = 30.0 if refused == "draining" else 5.0
            words = "the switch is going down" if refused == "draining" else f"[limits] {refused} is reached"
            raise NotNowError(words, retry_after_s=wait)

    def _count(self, attribute: str, value: str) -> int:
        return sum(getattr(conversation, attribute) == value for conversation in self._calls.values())

    # --- finding ----------------------------------------------------------------------

    def find(self, call_id: str) -> Conversation | None:
        """Return a live call."""
        return self._calls.get(call_id)

    def conversations(self) -> list[Conversation]:
        """Return the live calls, oldest first."""
        return list(self._calls.values())

    def reattach(self, call_id: str, token: str, origin: Origin) -> Conversation:
        """Return the call a client comes back to, using its token up.

        Raises:
            ForbiddenError: No call waits for this token.
        """
        expected = self._tokens.get(call_id, "")
        conversation = self._calls.get(call_id)
        right = secrets.compare_digest(expected.encode(), token.encode())
        if conversation is None or not right or conversation.owner != origin.owner:
            raise ForbiddenError("resume: no call waits for this token", field="resume")
        self._tokens[call_id] = conversation.call.resume_token = secrets.token_urlsafe(24)
        return conversation

    def pending(self, call_id: str | None) -> Conversation | None:
        """Return a call that has come in and waits for an application to take it."""
        conversation = self._calls.get(call_id or "")
        if conversation is None or not conversation.awaits_client:
            return None
        return conversation if conversation.call.state is State.PENDING else None

    def take(self, conversation: Conversation, origin: Origin, *, resumable: bool = False) -> None:
        """Give a pending call to the application that has come for it."""
        conversation.awaits_client = False
        conversation.owner, conversation.address = origin.owner, origin.address
        if resumable:
            token = secrets.token_urlsafe(24)
            self._tokens[conversation.id] = conversation.call.resume_token = token

    def views(self) -> list[CallView]:
        """Return the live calls, oldest first."""
        now = time.monotonic()
        return [self.view(conversation, now) for conversation in self._calls.values()]

    def view(self, conversation: Conversation, now: float | None = None) -> CallView:
        """Return one call as a line of the list."""
        call = conversation.call
        now = time.monotonic() if now is None else now
        return CallView(
            id=call.id,
            kind=call.kind,
            created_ms=conversation.created_ms,
            option=call.option.shown,
            state=call.state.value,
            caller=call.option.caller,
            callee=call.option.callee,
            duration_ms=int((now - call.times.answered) * 1000) if call.times.answered is not None else 0,
            source=conversation.source,
        )

    # --- ending -----------------------------------------------------------------------

    def kill(self, call_id: str) -> bool:
        """End a call by order of an administrator; False where there is none."""
        conversation = self._calls.get(call_id)
        if conversation is None:
            return False
        conversation.end("killed", "system")
        return True

    async def drain(self, seconds: float) -> None:
        """Take no new calls; let those that run go on for at most ``seconds``, then end them."""
        self.draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            logger.warning("calls outlived the time to drain", extra={"calls": len(self._calls)})
        self.end_all()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=6.0)

    def end_all(self) -> None:
        """End every call because the switch goes down."""
        for conversation in list(self._calls.values()):
            conversation.end("server_shutdown", "system", 1001)

    def _over(self, conversation: Conversation) -> None:
        call = conversation.call
        self._calls.pop(call.id, None)
        self._tokens.pop(call.id, None)
        if not self._calls:
            self._empty.set()
        metrics = self.resources.metrics
        metrics.calls_active.labels(call.kind).dec()
        metrics.calls_ended.labels(call.kind, reason_label(call.reason)).inc()
        ended = call.times.ended if call.times.ended is not None else time.monotonic()
        if call.times.answered is not None:
            metrics.call_seconds.labels(call.kind).observe(ended - call.times.answered)
            metrics.answer_seconds.labels(call.kind).observe(call.times.answered - call.times.created)
        task = asyncio.get_running_loop().create_task(self._keep(conversation, ended))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, conversation: Conversation, ended: float) -> None:
        """Store the record of a call once its last figures are in."""
        await conversation.released.wait()
        call = conversation.call
        answered = call.times.answered
        await self.resources.store.save_call(
            CallRecord(
                id=call.id,
                kind=call.kind,
                created_at=conversation.created_ms,
                caller=call.option.caller,
                callee=call.option.callee,
                answered_at=call.epoch_ms(answered) if answered is not None else None,
                ended_at=call.epoch_ms(ended),
                reason=call.reason,
                initiator=call.initiator,
                duration_ms=int((ended - answered) * 1000) if answered is not None else 0,
                codec=call.codec,
                recording=conversation.carrier.recording.name,
                option_json=json.dumps(call.option.shown, default=str),
                statistics_json=json.dumps(conversation.carrier.legs.statistics),
                direction=conversation.source.direction,
                trunk=conversation.source.trunk or call.trunk,
                user=conversation.source.user,
                tag=conversation.tag,
                account=conversation.owner,
                code=call.code,
            )
        )
