"""Voicemail as a callee: ``voicemail:<user>`` is a leg whose other end is a call that records a message."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from softswitch.call.authority import OPERATOR, Principal
from softswitch.call.interfaces import Endpoint, LegRequest
from softswitch.call.kind import LegKind
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary.events import Dtmf, Event, TrackEnd
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.call.vocabulary.reports import Report
from softswitch.legs.local.pair import LocalPair
from softswitch.log.tasks import Tasks
from softswitch.metrics import Reading
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.inner_call import open_inner_call
from softswitch.switch.notify.webhook_sender import OPERATOR as OPERATOR_ACCOUNT
from softswitch.switch.notify.webhook_sender import WebhookSender
from softswitch.switch.switch import Switch
from softswitch.switch.voicemail.mailboxes import PREFIX, Mailboxes, VoiceMessage

logger = logging.getLogger(__name__)

GREETING = "greeting"
MOST_LISTED = 1000
"""Most messages in one list."""
LEAST_MS = 1000
"""Shortest message that is kept, milliseconds."""
RATE = 16000
Tell = Callable[[str, int, int, bool], None]
"""User, new and heard messages, and whether phones without a subscription are told as well."""
STORED_S = 10.0
"""Longest wait for the record of a message, seconds."""


def beep() -> bytes:
    """Return the tone that ends the greeting: 1000 Hz for 0.4 s, PCM16 at `RATE`, with soft ends."""
    samples = np.arange(int(0.4 * RATE))
    tone = 8000 * np.sin(2 * np.pi * 1000 * samples / RATE)
    edge = np.minimum(1.0, np.minimum(samples, samples[::-1]) / (0.01 * RATE))
    pcm: bytes = np.rint(tone * edge).astype("<i2").tobytes()
    return pcm


class _Caller:
    """Follows the inner call: end of the greeting, key that ends a message, end (a subscriber)."""

    def __init__(self) -> None:
        self.greeted, self.done = asyncio.Event(), asyncio.Event()

    def event(self, event: Event, seq: int) -> None:
        """Note the end of the greeting, and #."""
        match event:
            case TrackEnd() if event.play_id == GREETING:
                self.greeted.set()
            case Dtmf() if event.digit == "#":
                self.done.set()
            case _:
                pass

    def audio(self, side: int, pcm: bytes) -> None:
        """Ignore audio."""

    def close(self, code: int, reason: str) -> None:
        """Note the end of the call."""
        self.greeted.set()
        self.done.set()


class Voicemail:
    """Records messages for the users of the settings: an ``EndpointFactory``, and who may call it."""

    def __init__(self, switch: Switch, sender: WebhookSender) -> None:
        """Take the calls, and what sends webhooks."""
        self._switch, self._resources, self._sender = switch, switch.resources, sender
        self.mailboxes = Mailboxes(self._resources.store, MOST_LISTED)
        self.tell: Tell = lambda user, new, old, registered: None
        """Tells the phones of a user how many messages are new and how many were heard."""
        self.on_changed: Callable[[str], None] = lambda user: None
        """Called with the user of each change, to tell other processes."""
        self.on_message: Callable[[VoiceMessage], None] = lambda message: None
        """Called with each new message, to send it to its user."""
        self._tasks = Tasks("switch")
        self._counts: Counter[str] = Counter()
        self._beep = beep()

    def refuse_callee(self, callee: str, by: Principal) -> tuple[int, str] | None:
        """Return code and reason why a callee is no mailbox; None if it is one, or no voicemail at all."""
        user = callee.removeprefix(PREFIX)
        if not callee.startswith(PREFIX) or any(one.name == user for one in self._resources.settings.user):
            return None
        return 404, f"callee: there is no [[user]] named {user!r}"

    async def changed(self, user: str) -> None:
        """Tell the phones of a user that messages were left, heard or deleted."""
        self.tell(user, *await self.mailboxes.count(user), True)
        self.on_changed(user)

    async def told(self, user: str) -> None:
        """Tell the phones that subscribed here of a change in another process, which tells all others."""
        self.tell(user, *await self.mailboxes.count(user), False)

    def figures(self) -> Iterator[Reading]:
        """Yield the figures for /metrics."""
        for name in ("left", "empty", "refused"):
            yield Reading(f"voicemail_messages_{name}", self._counts[name])

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Make the endpoint of a leg to ``voicemail:<user>``."""
        pair = LocalPair(self._resources.engine, self._resources.routes.frames)

        def answer() -> None:
            self._tasks.spawn(self._serve(pair, request), name="voicemail", call=request.call)

        pair.near.on_answer = answer
        return pair.near(request, report)

    # --- one message ------------------------------------------------------------------

    async def _serve(self, pair: LocalPair, request: LegRequest) -> None:
        user = request.callee.removeprefix(PREFIX)
        refused = self.refuse_callee(request.callee, OPERATOR)
        most = self._resources.settings.voicemail.most
        if refused is None and sum(await self.mailboxes.count(user)) >= most:
            refused = 486, f"callee: the mailbox of {user!r} is full"
        if refused is not None:
            self._counts["refused"] += 1
            pair.near.refuse(*refused)
            return
        inner = await open_inner_call(self._switch, LegKind.VOICEMAIL, pair, request.account)
        if inner is None:
            return
        records = False
        try:
            records = await self._take(inner, user, request.caller)
        except CommandRejected:
            pass  # The caller left between two steps.
        finally:
            if not inner.over:
                inner.end("callee", "callee")
        if records:
            await self._keep(inner, user)

    async def _take(self, inner: Conversation, user: str, caller: str) -> bool:
        """Greet, beep and record until the caller hangs up, is silent, presses # or has spoken for long.

        Returns:
            Whether a recording began.
        """
        settings = self._resources.settings.voicemail
        follower = _Caller()
        inner.subscribe(follower)
        option = c.CallOption(
            caller=caller, inband_dtmf=True, inactivity_s=settings.silence_s, max_duration_s=None
        )
        inner.command(c.Invite(option=option))
        own = f"voicemail-{user}.wav"
        if (self._resources.sounds / own).is_file():
            inner.command(c.Play(url=own, play_id=GREETING))
            await follower.greeted.wait()
            follower.greeted.clear()
        elif settings.greeting:
            voice = c.TtsOption(voice=settings.voice) if settings.voice else None
            inner.command(c.Say(text=settings.greeting, play_id=GREETING, option=voice))
        inner.command(c.Say(pcm=self._beep, play_id=GREETING))
        await follower.greeted.wait()
        if inner.over:
            return False
        inner.command(c.Record(action="start", option=c.RecorderOption(sample_rate=8000)))
        try:
            async with asyncio.timeout(settings.max_s):
                await follower.done.wait()
        except TimeoutError:
            pass  # The longest message has ended.
        return True

    async def _keep(self, inner: Conversation, user: str) -> None:
        """Wait for the record of a message; delete one that says nothing, tell of the others."""
        try:
            async with asyncio.timeout(STORED_S):
                await inner.recorded.wait()
        except TimeoutError:
            logger.warning("the record of a message is late", extra={"call": inner.id})
        await self._resources.store.settled()
        message = await self.mailboxes.take(user, inner.id, LEAST_MS)
        if message is None:
            self._counts["empty"] += 1
            return
        self._counts["left"] += 1
        self.on_message(message)
        await self.changed(user)
        if url := self._resources.settings.voicemail.url:
            channel = self._sender.channel(url, OPERATOR_ACCOUNT, call_id=inner.id, trusted=True)
            channel.post(_told(message))


def _told(message: VoiceMessage) -> bytes:
    """Return the body of the webhook."""
    return msgspec.json.encode(
        {
            "event": "voicemail",
            "id": message.id,
            "user": message.user,
            "caller": message.caller,
            "account": message.account,
            "createdMs": message.created_ms,
            "durationMs": message.duration_ms,
            "path": f"/voicemail/{message.user}/{message.id}",
        }
    )
