"""Follows one call and hands the messages of a dialect to those who are told: webhooks and event feeds."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from softswitch.call.vocabulary.events import Collected, Event
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.notify.notifier import CallFacts, Gathered, Message, Notifier
from softswitch.switch.notify.webhook_sender import ANNOUNCE_S, Channel


class Recipients(Protocol):
    """The recipients of the messages about one call."""

    def channels(self) -> Sequence[Channel]:
        """Return the channels of the messages about the call; asked for once, at the first message."""

    def records(self) -> Sequence[Channel]:
        """Return the channels of the record of the call; asked for once, after the call."""

    def has_feeds(self) -> bool:
        """Tell whether there is any event feed."""

    def feed(self, body: bytes) -> int:
        """Send a message to the event feeds that the call concerns; return how many there are."""


class UrlRecipient:
    """One URL that gets every message and no record (a `Recipients`)."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def channels(self) -> Sequence[Channel]:
        """Return the channel of the URL."""
        return (self._channel,)

    def records(self) -> Sequence[Channel]:
        """Return nothing."""
        return ()

    def has_feeds(self) -> bool:
        """Return False: there is no feed."""
        return False

    def feed(self, body: bytes) -> int:
        """Return 0: there is no feed."""
        return 0


class Follower:
    """Follows one call from its opening to its end (a subscriber)."""

    def __init__(
        self,
        conversation: Conversation,
        notifier: Notifier,
        recipients: Recipients,
        on_ended: Callable[["Follower"], None] = lambda _: None,
    ) -> None:
        """Subscribe to the call.

        Args:
            conversation: The call.
            notifier: Words the messages.
            recipients: Get them.
            on_ended: Called once, when the call has ended.
        """
        self.conversation = conversation
        self.gathering = False
        """Whether digits are gathered in several attempts: the result of each attempt is no message."""
        self.announced: list[asyncio.Future[str]] = []
        """What became of the first message: what went wrong, or an empty text, for each webhook."""
        self.feeds = 0
        """Number of event feeds that got the first message."""
        self._recipients = recipients
        self._on_ended = on_ended
        self._messages = notifier.follow(facts_of(conversation))
        self._channels: Sequence[Channel] | None = None
        conversation.subscribe(self, kinds=self._messages.kinds)

    # --- a subscriber -------------------------------------------------------------------

    def event(self, event: Event, seq: int) -> None:
        """Send the messages about an event."""
        messages = self._messages.event(event, seq, self._facts)
        if messages and not (self.gathering and isinstance(event, Collected)):
            self._send(messages)

    def audio(self, side: int, pcm: bytes) -> None:
        """Ignore audio."""

    def close(self, code: int, reason: str) -> None:
        """Send the record of the call."""
        if channels := self._recipients.records():
            record = self._messages.record(self._facts())
            for channel in channels:
                channel.post(record)
        self._on_ended(self)

    # --- messages that are no events ------------------------------------------------------

    def begin(self) -> None:
        """Send the message that the call is being set up, unless it was sent."""
        self._send(self._messages.begin(self._facts()))

    def gather(self, channel: Channel | None = None) -> None:
        """Hold back the results of single attempts from now on; send that digits are being gathered.

        Args:
            channel: Gets the message alone; None: the recipients of the call get it.
        """
        self.gathering = True
        messages = self._messages.gathering(self._facts())
        if channel is None:
            self._send(messages)
            return
        for message in messages:
            channel.post(message.body)

    def gathered(self, gathered: Gathered, channel: Channel | None = None) -> None:
        """Send the result of a collection of digits; ``channel``: to this channel alone."""
        self.gathering = False
        message = self._messages.gathered(gathered, self._facts())
        if channel is not None:
            channel.post(message.body)
        else:
            self._send([message])

    # --- inside -----------------------------------------------------------------------------

    def _facts(self) -> CallFacts:
        return facts_of(self.conversation)

    def _send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if self._channels is None:
                self._channels = self._recipients.channels()
            has_feeds = self._recipients.has_feeds()
            if not (self._channels or has_feeds):
                continue  # no recipient would get the words
            body = message.body
            # A caller waits for the message that announces the call: it has a bounded time in all.
            waits = message.begins and self.conversation.awaits_client
            outcomes = [channel.post(body, ANNOUNCE_S if waits else None) for channel in self._channels]
            feeds = self._recipients.feed(body) if has_feeds else 0
            if message.begins:
                self.announced, self.feeds = outcomes, feeds


def facts_of(conversation: Conversation) -> CallFacts:
    """Return what a dialect may say about a call now."""
    option = conversation.call.option
    return CallFacts(
        id=conversation.id,
        created_ms=conversation.created_ms,
        direction=conversation.source.direction,
        caller=option.caller,
        callee=option.callee,
        tag=conversation.tag,
    )
