"""Incoming calls: connected by a rule of the settings, or announced until an application takes them."""

import time
import uuid
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import assert_never

import msgspec

from softswitch.call.interfaces import IncomingCall
from softswitch.call.vocabulary.commands import (
    Accept,
    CallOption,
    Command,
    Connect,
    RecorderOption,
    Reject,
    StartStream,
    StreamOption,
    Supervise,
    VadOption,
)
from softswitch.errors import NotNowError, PeerError
from softswitch.log.tasks import Tasks
from softswitch.settings import Settings
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.incoming.announcing import Announcer, CallWebhook, announce_to_all
from softswitch.switch.notify.decision import Answer, Decision, Forward, TurnAway
from softswitch.switch.notify.follower import Follower, UrlRecipient
from softswitch.switch.notify.notifier import Notifier
from softswitch.switch.notify.webhook_sender import OPERATOR, Channel, WebhookSender
from softswitch.switch.origin import Origin, Source
from softswitch.switch.rules import REASONS, Announce, Dial, Refuse, Wanted, by_rule, first_of, plan
from softswitch.switch.switch import Switch, Taken


class Incoming:
    """Takes calls from telephones (an ``OnIncoming``)."""

    def __init__(
        self, switch: Switch, sender: WebhookSender, notifier: Notifier, announcers: Sequence[Announcer] = ()
    ) -> None:
        """Take calls for a switch.

        Args:
            switch: Where they go.
            sender: Sends messages to the URLs of the settings.
            notifier: Words these messages, by ``[webhook] format``.
            announcers: Announce every call to others besides the webhook of the settings.
        """
        self._switch = switch
        self._resources = switch.resources
        self._sender, self._notifier = sender, notifier
        self._announcers = tuple(announcers)
        self._tasks = Tasks("switch")
        self._recent: deque[float] = deque()

    def __call__(self, call: IncomingCall) -> None:
        """Take a call: refuse it, connect it, or announce it, in a background task."""
        self._tasks.spawn(
            self._take(call), name="incoming call", call=call.id, on_failure=partial(_failed, call)
        )

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
        conversation.owner = dial.account
        if dial.status_callback and self._notifier.in_steps:
            conversation.callback, conversation.callback_trusted = dial.status_callback, True
        elif dial.status_callback:
            channel = self._channel(dial.status_callback, conversation)
            Follower(conversation, self._notifier, UrlRecipient(channel))
        conversation.incoming(call)
        kind, _, argument = dial.callee.partition(":")
        if conversation.over:
            return
        if kind == "stream":
            # No callee is dialled: the caller is answered, and a service gets the audio.
            option = StreamOption(argument, two_way=True, hangup_on_close=True, protocol=dial.protocol)
            conversation.command(Accept())
            conversation.command(StartStream(stream=str(uuid.uuid4()), option=option))
            return
        if kind == "supervise":
            conversation.command(Accept(option=CallOption(vad=VadOption(off=True))))
            conversation.command(Supervise(other=argument, auto_hangup=True))
            return
        conversation.command(_connecting(call, dial))

    async def _announce(self, call: IncomingCall, url: str) -> None:
        in_steps = bool(url) and self._notifier.in_steps
        announcers = [announcer for announcer in self._announcers if in_steps or announcer.wanted()]
        accounts = [] if in_steps else [one for one in self._settings.webhook.account if one.url]
        if not announcers and not url and not accounts:
            call.reject(480, REASONS[480])
            return
        conversation = await self._open(call, keep_events=True)
        for one in accounts:
            body = self._notifier.announcement(call, conversation.id, conversation.created_ms)
            channel = self._sender.channel(one.url, one.name, call_id=conversation.id, trusted=True)
            announcers.append(CallWebhook(channel, body, partial(self._decide, call, conversation)))
        if url and not in_steps:
            body = self._notifier.announcement(call, conversation.id, conversation.created_ms)
            decide = partial(self._decide, call, conversation)
            announcers.append(CallWebhook(self._channel(url, conversation), body, decide))
        conversation.awaits_client = True
        if in_steps:
            conversation.callback, conversation.callback_trusted = url, True
        conversation.incoming(call, accept_s=self._resources.settings.sip.accept_timeout_s)
        if not conversation.over:
            conversation.spawn(announce_to_all(announcers, call, conversation))

    def _decide(self, call: IncomingCall, conversation: Conversation, body: bytes, account: str) -> str:
        """Carry out what the answer of an application decides; return what is wrong with it."""
        try:
            decision = self._notifier.decision(body)
            if decision is None or not conversation.awaits_client or conversation.over:
                return ""
            self._carry_out(call, conversation, decision, account)
        except PeerError as error:
            return f"the webhook answered with a decision that is not possible: {error}"
        return ""

    def _carry_out(
        self, call: IncomingCall, conversation: Conversation, decision: Decision, account: str
    ) -> None:
        match decision:
            case TurnAway(code, reason):
                conversation.command(Reject(code=code, reason=reason or REASONS.get(code, "")))
                return
            case Answer(option, agent=agent) if agent:
                # The agent answers by a leg of its own, which has its own speech.
                taken: list[Command] = [_connecting(call, Dial(f"agent:{agent}"), option.recorder)]
            case Answer(option, stream):
                taken = [Accept(option=option)]
                if stream is not None:
                    taken.append(StartStream(stream=str(uuid.uuid4()), option=stream))
            case Forward():
                taken = [self._connection(call, decision)]
            case _:
                assert_never(decision)
        conversation.awaits_client, conversation.owner = False, account
        for command in taken:
            conversation.command(command)

    def _connection(self, call: IncomingCall, forward: Forward) -> Command:
        """Return the command for the targets of a decision, by the rules of routes."""
        wanted = Wanted(call.callee, call.caller, call.source, call.name)
        found = [by_rule(self._settings, route, wanted) for route in forward.targets]
        match first_of(found, forward.strategy, forward.timeout_s):
            case Dial() as dial:
                return _connecting(call, dial, RecorderOption() if forward.record else None)
            case Refuse() as refusal:
                return Reject(code=refusal.code)
            case Announce():
                return Reject(code=480)

    async def _open(self, call: IncomingCall, *, keep_events: bool = False) -> Conversation:
        origin = _origin(call)
        try:
            return await self._switch.open(call.id, "sip", call.party, origin, keep_events=keep_events)
        except Taken:
            # A caller may use a Call-ID again, or use one that an application chose as an id.
            return await self._switch.open(None, "sip", call.party, origin, keep_events=keep_events)

    def _channel(self, url: str, conversation: Conversation) -> Channel:
        """Return a channel to a URL of the settings, which may be private."""
        return self._sender.channel(url, OPERATOR, call_id=conversation.id, trusted=True)

    def _announced(self) -> bool:
        return any(one.url for one in self._settings.webhook.account) or any(
            announcer.wanted() for announcer in self._announcers
        )

    @property
    def _settings(self) -> Settings:
        """Return the settings that count now."""
        return self._resources.settings

    def _count(self) -> None:
        """Count a call; raise NotNowError where `[sip] calls_per_second` is exceeded."""
        bound, now = self._resources.settings.sip.calls_per_second, time.monotonic()
        while self._recent and now - self._recent[0] >= 1.0:
            self._recent.popleft()
        if bound and len(self._recent) >= bound:
            self._resources.metrics.calls_refused.labels("calls_per_second").inc()
            raise NotNowError("[sip] calls_per_second is reached")
        if bound:
            self._recent.append(now)


def _connecting(call: IncomingCall, dial: Dial, recorder: RecorderOption | None = None) -> Connect:
    """Return the command that connects a caller with one callee or several."""
    targets = [
        Connect(
            callee=one.callee,
            caller=one.caller,
            trunk=one.trunk,
            timeout_s=dial.ring_s,
            may_transfer=call.source != "trunk",
            recorder=recorder,
        )
        for one in (dial, *dial.further)
    ]
    return msgspec.structs.replace(targets[0], further=tuple(targets[1:]), strategy=dial.strategy)


def _failed(call: IncomingCall, error: BaseException) -> None:
    """Answer a caller whose call could not be taken because of a fault of the switch."""
    call.reject(500, "Server Internal Error")


def _origin(call: IncomingCall) -> Origin:
    """Return the origin of a call; the address of a trunk is left out, as all its callers share it."""
    if call.source == "trunk":
        return Origin(source=Source("inbound", trunk=call.name))
    return Origin(address=call.address, source=Source("inbound", user=call.name))


def _nobody(user: str) -> bool:
    return False
