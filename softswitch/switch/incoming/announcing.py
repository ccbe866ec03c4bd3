"""Announcement of incoming calls to applications, which then take them by their id."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from softswitch.call.interfaces import IncomingCall
from softswitch.call.state import State
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.notify.webhook_sender import ANNOUNCE_S, Channel

logger = logging.getLogger(__name__)


class Announcer(Protocol):
    """Announces calls to applications. What an application decides comes as commands to the call."""

    def wanted(self) -> bool:
        """Tell whether there is an application that wants to know of calls."""

    async def announce(self, call: IncomingCall, conversation: Conversation) -> str:
        """Announce a call; return what went wrong, or an empty text where an application knows of the call.

        An application that decides in its answer has its command carried out here. The second of two that
        decide finds that the call does not wait any more (``CommandRejected``), which is no failure.
        """


class CallWebhook:
    """A URL of the settings that gets one POST for each incoming call (an `Announcer`)."""

    def __init__(self, channel: Channel, body: bytes, decide: Callable[[bytes, str], str]) -> None:
        """Prepare.

        Args:
            channel: Channel for the call.
            body: Announcement of the call.
            decide: Carries out what an answer, of an account, decides; returns what is wrong with it.
        """
        self._channel, self._body, self._decide = channel, body, decide

    def wanted(self) -> bool:
        """Return True: there is a URL."""
        return True

    async def announce(self, call: IncomingCall, conversation: Conversation) -> str:
        """Post the announcement, which is tried again for at most `ANNOUNCE_S` seconds in all."""
        account = self._channel.account
        return await self._channel.post(self._body, ANNOUNCE_S, lambda body: self._decide(body, account))


async def announce_to_all(
    announcers: Sequence[Announcer], call: IncomingCall, conversation: Conversation
) -> None:
    """Announce a call by all announcers together; end it with 503 where all fail before it is taken."""
    failures = await asyncio.gather(*(announcer.announce(call, conversation) for announcer in announcers))
    if not all(failures):
        return
    logger.warning(
        "an incoming call could not be announced to any application: the caller gets 503",
        extra={"errors": list(failures)},
    )
    if conversation.awaits_client and conversation.call.state is State.PENDING:
        conversation.resources.metrics.calls_refused.labels("webhook").inc()
        conversation.end("error", "system", sip_code=503)
