"""One call as it is told in Wavix's words: to its callback or its accounts' webhooks, and to the feeds."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from softswitch.call.events import Event
from softswitch.dialects.wavix.responses import Happening, body
from softswitch.dialects.wavix.story import Step, Story
from softswitch.switch.conversation import Conversation
from softswitch.switch.courier import Courier


class Audience(Protocol):
    """Who wants to know of calls."""

    def callback(self, url: str, *, trusted: bool) -> Courier:
        """Return somebody who brings messages to a URL of one call."""

    def couriers(self, conversation: Conversation, event_type: str) -> Sequence[Courier]:
        """Return who brings messages to the webhooks of the accounts that a call concerns."""

    def tell_feeds(self, conversation: Conversation, message: bytes) -> int:
        """Tell those who listen on a socket; return how many they are."""


class Follower:
    """Follows one call from its opening to its end (a subscriber)."""

    def __init__(
        self, conversation: Conversation, audience: Audience, over: Callable[["Follower"], None]
    ) -> None:
        """Begin to follow.

        Args:
            conversation: The call.
            audience: Who wants to know.
            over: Told once when the call is over.
        """
        self.conversation = conversation
        direction = conversation.source.direction
        self.story = Story(
            conversation.id,
            "inbound" if direction == "inbound" else "outbound",
            started_ms=conversation.created_ms,
        )
        self.gathering = False
        """Whether keys are gathered in several attempts: what each brings is not told."""
        self.first: list[asyncio.Future[str]] = []
        """What becomes of the first message, by webhook."""
        self.feeds = 0
        """How many sockets were told of the call's beginning."""
        self._audience = audience
        self._over = over
        self._couriers: list[Courier] | None = None
        conversation.subscribe(self)

    # --- a subscriber -------------------------------------------------------------------

    def event(self, event: Event, seq: int) -> None:
        """Tell what there is to tell of an event."""
        self.refresh()
        for step in self.story.take(event):
            if not (self.gathering and step[1] is not None and step[1].type == "collect"):
                self._tell(step)

    def audio(self, side: int, pcm: bytes) -> None:
        """Leave audio out."""

    def close(self, code: int, reason: str) -> None:
        """Tell the record of the call, and end behind it."""
        record = body(self.story.record())
        for courier in self._audience.couriers(self.conversation, "post-call"):
            courier.post(record)
            courier.finish()
        for courier in self._couriers or ():
            courier.finish()
        self._over(self)

    # --- others tell ----------------------------------------------------------------------

    def begin(self) -> None:
        """Tell that the call is being set up, unless that was told."""
        self.refresh()
        for step in self.story.begin():
            self._tell(step)

    def happened(self, happening: Happening, callback: str | None = None) -> None:
        """Tell something that is no event of the call; ``callback``: to this URL alone."""
        message = body(self.story.call(("on_call_event", happening)))
        if callback is None:
            self._post(message)
            return
        courier = self._audience.callback(callback, trusted=False)
        courier.post(message)
        courier.finish()

    # --- inside -----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Take over what the call knows by now."""
        option = self.conversation.call.option
        self.story.tag = self.conversation.tag
        self.story.caller = option.caller or self.story.caller
        self.story.callee = option.callee or self.story.callee

    def _tell(self, step: Step) -> None:
        self._post(body(self.story.call(step)), first=step[0] == "call_setup")

    def _post(self, message: bytes, *, first: bool = False) -> None:
        outcomes = [courier.post(message) for courier in self._listeners()]
        told = self._audience.tell_feeds(self.conversation, message)
        if first:
            self.first, self.feeds = outcomes, told

    def _listeners(self) -> list[Courier]:
        """Return the webhooks of the call: its own, else its accounts'; the first event settles it."""
        if self._couriers is None:
            conversation = self.conversation
            if conversation.callback:
                trusted = conversation.callback_trusted
                self._couriers = [self._audience.callback(conversation.callback, trusted=trusted)]
            else:
                self._couriers = list(self._audience.couriers(conversation, "on-call"))
        return self._couriers
