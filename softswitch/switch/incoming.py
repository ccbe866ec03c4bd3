"""Calls that come in: by a rule of the settings, else to whoever was told of them and comes first."""

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any

from softswitch.call.commands import Accept, Connect, StartStream, StreamOption
from softswitch.call.needs import IncomingCall
from softswitch.errors import NotNowError
from softswitch.switch.announcing import Announcer, CallWebhook, StatusCallback, announce_to_all
from softswitch.switch.conversation import Conversation, Source
from softswitch.switch.rules import REASONS, Announce, Dial, Refuse, Wanted, plan
from softswitch.switch.switch import Origin, Switch, Taken

logger = logging.getLogger(__name__)


class Incoming:
    """Takes calls from telephones (an ``OnIncoming``)."""

    def __init__(self, switch: Switch, announcers: Sequence[Announcer] = ()) -> None:
        """Take calls for a switch.

        Args:
            switch: Where they go.
            announcers: Who is told of every announced call besides the webhook.
        """
        self._switch = switch
        self._resources = switch.resources
        self._announcers = tuple(announcers)
        self._in_steps = self._resources.settings.webhook.format == "wavix"
        """Whether the operator's URLs are told each step of a call by whoever follows it."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._recent: deque[float] = deque()

    def __call__(self, call: IncomingCall) -> None:
        """Take a call; what becomes of it is decided at once, or by those who are told."""
        self._spawn(self._take(call), call)

    async def _take(self, call: IncomingCall) -> None:
        try:
            self._switch.check(None, _origin(call))
            self._count()
        except NotNowError:
            call.reject(503, REASONS[503])
            return
        settings, telephones = self._resources.settings, self._resources.telephones
        registered = telephones.registered if telephones is not None else _nobody
        wanted = Wanted(call.callee, call.caller, call.source, call.name)
        match plan(settings, wanted, registered, announced=self._announced()):
            case Refuse() as refusal:
                call.reject(refusal.code, refusal.reason)
            case Dial() as dial:
                await self._connect(call, dial)
            case Announce() as announce:
                await self._announce(call, announce.url)

    async def _connect(self, call: IncomingCall, dial: Dial) -> None:
        conversation = await self._open(call)
        if dial.status_callback and self._in_steps:
            conversation.callback, conversation.callback_trusted = dial.status_callback, True
        elif dial.status_callback:
            told = StatusCallback(self._resources.door, dial.status_callback, conversation.id)
            conversation.subscribe(told)
            self._spawn(told.run())
        conversation.incoming(call)
        kind, _, url = dial.callee.partition(":")
        if conversation.over:
            return
        if kind == "stream":
            # Nobody is dialled: the caller is answered, and what he says goes to a service.
            option = StreamOption(url, two_way=True, hangup_on_close=True)
            conversation.command(Accept())
            conversation.command(StartStream(stream=str(uuid.uuid4()), option=option))
            return
        conversation.command(
            Connect(
                callee=dial.callee,
                caller=dial.caller,
                trunk=dial.trunk,
                may_transfer=call.source != "trunk",
            )
        )

    async def _announce(self, call: IncomingCall, url: str) -> None:
        in_steps = bool(url) and self._in_steps
        announcers = [announcer for announcer in self._announcers if in_steps or announcer.wanted()]
        if url and not in_steps:
            announcers.append(CallWebhook(self._resources.door, url))
        if not announcers:
            call.reject(480, REASONS[480])
            return
        conversation = await self._open(call, keep_events=True)
        conversation.awaits_client = True
        if in_steps:
            conversation.callback, conversation.callback_trusted = url, True
        conversation.incoming(call, accept_s=self._resources.settings.sip.accept_timeout_s)
        if not conversation.over:
            conversation.spawn(announce_to_all(announcers, call, conversation))

    async def _open(self, call: IncomingCall, *, keep_events: bool = False) -> Conversation:
        origin = _origin(call)
        try:
            return await self._switch.open(call.id, "sip", call.party, origin, keep_events=keep_events)
        except Taken:
            # A caller may use a Call-ID again, or use one that an application chose as an id.
            return await self._switch.open(None, "sip", call.party, origin, keep_events=keep_events)

    def _announced(self) -> bool:
        return any(announcer.wanted() for announcer in self._announcers)

    def _count(self) -> None:
        """Refuse a call beyond those of one second."""
        bound, now = self._resources.settings.sip.calls_per_second, time.monotonic()
        while self._recent and now - self._recent[0] >= 1.0:
            self._recent.popleft()
        if bound and len(self._recent) >= bound:
            self._resources.metrics.calls_refused.labels("calls_per_second").inc()
            raise NotNowError("[sip] calls_per_second is reached")
        if bound:
            self._recent.append(now)

    def _spawn(self, work: Coroutine[Any, Any, None], call: IncomingCall | None = None) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._done(done, call))

    def _done(self, task: asyncio.Task[None], call: IncomingCall | None) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        logger.error("a call that came in could not be taken", exc_info=error)
        if call is not None:
            call.reject(500, "Server Internal Error")


def _origin(call: IncomingCall) -> Origin:
    """Return who calls; the calls of a trunk all come from one address, which is no person's."""
    if call.source == "trunk":
        return Origin(source=Source("inbound", trunk=call.name))
    return Origin(address=call.address, source=Source("inbound", user=call.name))


def _nobody(user: str) -> bool:
    return False
