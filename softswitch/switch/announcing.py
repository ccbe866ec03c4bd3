"""Telling applications of calls that come in: the webhook of ``/call/sip`` and whoever else wants to know."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

import msgspec

from softswitch.call import events
from softswitch.call.events import Event
from softswitch.call.needs import IncomingCall
from softswitch.call.state import State
from softswitch.dialects.rustpbx import render, render_announcement
from softswitch.egress.errors import EgressError
from softswitch.egress.http import Door
from softswitch.switch.conversation import Conversation

logger = logging.getLogger(__name__)

JSON = {"Content-Type": "application/json"}


class Announcer(Protocol):
    """Tells an application of a call. What that decides comes as commands to the conversation."""

    def wanted(self) -> bool:
        """Whether there is an application to be told."""

    async def announce(self, call: IncomingCall, conversation: Conversation) -> str:
        """Tell it; return what went wrong, or an empty text where the application knows of the call.

        An application that decides in its answer has its command carried out here; whoever comes second
        finds that the call waits no more (``CommandRejected``), which is no failure.
        """


class CallWebhook:
    """The webhook of the settings, or of a rule: a POST, and the application comes to ``/call/sip?id=``."""

    def __init__(self, door: Door, url: str) -> None:
        """Take the URL, which an operator wrote into the settings: it may be private."""
        self._door = door
        self._url = url

    def wanted(self) -> bool:
        """Whether there is a URL: there is."""
        return True

    async def announce(self, call: IncomingCall, conversation: Conversation) -> str:
        """Post the call; anything but 2xx is a failure."""
        body = render_announcement(call, conversation.id, conversation.created_ms)
        try:
            answer = await self._door.fetch(self._url, method="POST", headers=JSON, body=body, trusted=True)
        except EgressError as error:
            return str(error)
        return "" if 200 <= answer.status < 300 else f"the webhook answered {answer.status}"


async def announce_to_all(
    announcers: Sequence[Announcer], call: IncomingCall, conversation: Conversation
) -> None:
    """Tell all of them together; where all fail before somebody took the call, it ends with 503."""
    failures = await asyncio.gather(*(announcer.announce(call, conversation) for announcer in announcers))
    if not all(failures):
        return
    logger.warning("nobody could be told of a call", extra={"errors": list(failures)})
    if conversation.awaits_client and conversation.call.state is State.PENDING:
        conversation.resources.metrics.calls_refused.labels("webhook").inc()
        conversation.end("error", "system", sip_code=503)


_TOLD = events.Ringing | events.Answer | events.Rejected | events.HungUp


class StatusCallback:
    """Posts how a call goes that a rule connected: ringing, answer, reject, hangup, one after the other."""

    def __init__(self, door: Door, url: str, call_id: str) -> None:
        """Prepare; :meth:`run` posts."""
        self._door = door
        self._url = url
        self._call_id = call_id
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(32)

    def event(self, event: Event, seq: int) -> None:
        """Queue what concerns the URL; where that is too slow, the oldest is lost."""
        if isinstance(event, _TOLD):
            fields = msgspec.json.decode(render(event, seq))
            self._put(msgspec.json.encode({"dialogId": self._call_id, **fields}))

    def audio(self, side: int, pcm: bytes) -> None:
        """Leave audio out."""

    def close(self, code: int, reason: str) -> None:
        """Stop behind what waits."""
        self._put(None)

    async def run(self) -> None:
        """Post until the call is over; what cannot be posted is logged and lost."""
        while (body := await self._waiting.get()) is not None:
            try:
                await self._door.fetch(self._url, method="POST", headers=JSON, body=body, trusted=True)
            except EgressError as error:
                logger.warning("a status could not be posted", extra={"error": str(error)})

    def _put(self, body: bytes | None) -> None:
        if self._waiting.full():
            self._waiting.get_nowait()
            logger.warning("a status was dropped: the URL is too slow")
        self._waiting.put_nowait(body)
