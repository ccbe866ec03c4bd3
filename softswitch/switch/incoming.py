"""Calls that come in: by a rule of the settings, else to whoever was told of them and comes first."""

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any

from softswitch.call.commands import Connect
from softswitch.call.events import Answer, Event
from softswitch.call.needs import IncomingCall
from softswitch.errors import NotNowError
from softswitch.switch.announcing import Announcer, CallWebhook, StatusCallback, announce_to_all
from softswitch.switch.bridges import Dialog
from softswitch.switch.conversation import Conversation, Source
from softswitch.switch.rules import REASONS, Announce, Dial, Refuse, plan
from softswitch.switch.switch import Origin, Switch, Taken

logger = logging.getLogger(__name__)

_REPLACES = re.compile(r"\s*([^;\s]+)\s*((?:;[^;]*)*)")


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
        self._tasks: set[asyncio.Task[None]] = set()
        self._recent: deque[float] = deque()

    def __call__(self, call: IncomingCall) -> None:
        """Take a call; what becomes of it is decided at once, or by those who are told."""
        self._spawn(self._take(call), call)

    async def _take(self, call: IncomingCall) -> None:
        try:
            self._switch.check(None, Origin(address=call.address))
            self._count()
        except NotNowError:
            call.reject(503, REASONS[503])
            return
        if replaced := _header(call, "Replaces"):
            await self._replace(call, replaced)
            return
        settings, telephones = self._resources.settings, self._resources.telephones
        registered = telephones.registered if telephones is not None else _nobody
        match plan(settings, call, registered, announced=bool(self._announcers)):
            case Refuse() as refusal:
                call.reject(refusal.code, refusal.reason)
            case Dial() as dial:
                await self._connect(call, dial)
            case Announce() as announce:
                await self._announce(call, announce.url)

    async def _connect(self, call: IncomingCall, dial: Dial) -> None:
        conversation = await self._open(call)
        if dial.status_callback:
            told = StatusCallback(self._resources.door, dial.status_callback, conversation.id)
            conversation.subscribe(told)
            self._spawn(told.run())
        conversation.incoming(call)
        if not conversation.over:
            conversation.command(Connect(callee=dial.callee, caller=dial.caller, trunk=dial.trunk))

    async def _announce(self, call: IncomingCall, url: str) -> None:
        announcers = list(self._announcers)
        if url:
            announcers.append(CallWebhook(self._resources.door, url))
        if not announcers:
            call.reject(480, REASONS[480])
            return
        conversation = await self._open(call, keep_events=True)
        conversation.awaits_client = True
        conversation.incoming(call, accept_s=self._resources.settings.sip.accept_timeout_s)
        if not conversation.over:
            conversation.spawn(announce_to_all(announcers, call, conversation))

    async def _replace(self, call: IncomingCall, replaced: str) -> None:
        """Take a caller who wants somebody's place in a call of ours (RFC 3891)."""
        dialog = read_replaces(replaced)
        found = self._switch.bridges.find_dialog(dialog) if dialog else None
        if found is None:
            call.reject(481, "Call/Transaction Does Not Exist")
            return
        if not self._switch.bridges.replaceable(found[0]):
            call.reject(603, REASONS[603])
            return
        conversation = await self._open(call)
        conversation.subscribe(_Replacement(self._switch, conversation, *found))
        conversation.incoming(call)
        if not conversation.over:
            conversation.command(Connect(callee=""))

    async def _open(self, call: IncomingCall, *, keep_events: bool = False) -> Conversation:
        source = Source(
            "inbound",
            trunk=call.name if call.source == "trunk" else "",
            user=call.name if call.source == "user" else "",
        )
        origin = Origin(address=call.address, source=source)
        try:
            return await self._switch.open(call.id, "sip", call.party, origin, keep_events=keep_events)
        except Taken:
            # A caller may use a Call-ID again, or use one that an application chose as an id.
            return await self._switch.open(None, "sip", call.party, origin, keep_events=keep_events)

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


class _Replacement:
    """Puts a call into the place it asked for as soon as it is answered."""

    def __init__(self, switch: Switch, conversation: Conversation, other: Conversation, leg: str) -> None:
        self._switch = switch
        self._conversation = conversation
        self._other = other
        self._leg = leg

    def event(self, event: Event, seq: int) -> None:
        """Wait for the answer."""
        if not isinstance(event, Answer):
            return
        self._conversation.unsubscribe(self)
        if self._switch.bridges.replaceable(self._other):
            self._switch.bridges.replace(self._conversation, self._other, self._leg)
        else:
            self._conversation.end("error", "system")

    def audio(self, side: int, pcm: bytes) -> None:
        """Leave audio out."""

    def close(self, code: int, reason: str) -> None:
        """Forget it."""


def read_replaces(text: str) -> Dialog | None:
    """Read a header ``Replaces`` (RFC 3891): Call-ID, to-tag (ours) and from-tag; None where it is none."""
    match = _REPLACES.fullmatch(text)
    if match is None:
        return None
    pairs = (part.partition("=") for part in match[2].split(";"))
    parameters = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if not parameters.get("to-tag") or not parameters.get("from-tag"):
        return None
    return match[1], parameters["to-tag"], parameters["from-tag"]


def _header(call: IncomingCall, wanted: str) -> str:
    return next((value for name, value in call.headers.items() if name.lower() == wanted.lower()), "")


def _nobody(user: str) -> bool:
    return False
