"""The one sender of webhooks: signs, tries again, bounds. Every POST about a call goes through it.

A `Channel` brings the messages about one call to one URL in order. The sender of the process counts the
messages that wait for each account, so that the slow server of one account costs no other account memory.
"""

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec

from softswitch.egress.errors import EgressError, EgressRefused
from softswitch.egress.http import EgressClient
from softswitch.egress.names import SWITCH, Asker
from softswitch.egress.signature import EVENT_ID, HEADER, webhook_signature
from softswitch.log.tasks import Tasks
from softswitch.settings import Webhook
from softswitch.switch.tracing import Traces, Value

logger = logging.getLogger(__name__)

MOST_WAITING = 64
"""Messages that wait in one channel; beyond it the oldest is dropped and counted."""
MOST_ANSWER = 65_536
"""Longest body of an answer that is looked at, in bytes."""
MOST_BYTES = 8_000_000
"""Bytes of the messages that wait for the webhooks of one account."""
PAUSES_S = (1.0, 3.0, 5.0, 5.0)
"""Pauses between the tries of one message, in seconds; the last one repeats."""
PAUSES_SOON_S = (0.5, 1.0)
"""The same for a message that a caller waits for."""
ANNOUNCE_S = 3.0
"""Longest time in all for the message that announces an incoming call, in seconds."""
CLOSE_S = 5.0
"""Time for the messages that wait when the switch goes down, in seconds."""
_FINAL = frozenset({404, 410})
"""Statuses after which a message is not sent again: the receiver says that nothing is there."""

OPERATOR = ""
"""The account of URLs that the operator wrote into the settings."""


@dataclass(slots=True)
class WebhookCounters:
    """Counts of all channels of the process, for metrics."""

    delivered: int = 0
    """Messages answered with 2xx."""
    failed: int = 0
    """Messages given up."""
    retried: int = 0
    """Tries after the first."""
    dropped: int = 0
    """Messages dropped because too many waited."""
    redirected: int = 0
    """Answers that redirect; no redirect is followed."""


@dataclass(frozen=True, slots=True)
class WebhookTerms:
    """How messages are signed and sent."""

    secrets: Mapping[str, str] = field(default_factory=dict)
    """Secret by account; the operator's is that of `OPERATOR`."""
    timeout_s: float = 5.0
    """Longest wait for one answer, in seconds."""
    tries: int = 3
    queue: int = 1000
    """Messages that may wait for the URLs of one account."""

    @classmethod
    def of(cls, settings: Webhook, administrators: Collection[str] = ()) -> "WebhookTerms":
        """Return the terms of the settings; accounts of administrators share the operator's secret."""
        operators = [OPERATOR, *administrators] if settings.secret else []
        secrets = dict.fromkeys(operators, settings.secret)
        secrets |= {account.name: account.secret for account in settings.account}
        return cls(secrets, settings.timeout_s, settings.tries, settings.queue)


class _Message(msgspec.Struct, frozen=True):
    """A message on its way."""

    id: str
    body: bytes
    outcome: "asyncio.Future[str]"
    on_answer: Callable[[bytes], str] | None
    """Takes the body of the answer, and returns what is wrong with it; None: it is not looked at."""
    due: float | None
    """Time of the loop after which it is given up; None: after the last try."""


class WebhookSender:
    """Sends the webhooks of this process."""

    def __init__(
        self, egress: EgressClient, terms: WebhookTerms, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Prepare.

        Args:
            egress: Sends the requests; private addresses need `[egress] allow` or a trusted URL.
            terms: How messages are signed and sent.
            clock: Seconds since the epoch, for signatures.
        """
        self._egress, self._terms, self._clock = egress, terms, clock
        self.counters = WebhookCounters()
        self._waiting: dict[str, list[int]] = {}
        """Number and bytes of the messages that wait or are being sent, by account."""
        self._tasks = Tasks("webhooks")
        self._unsigned: set[str] = set()
        self.traces: Traces | None = None
        """Traces of calls, whose spans messages have; None: there are none."""

    def use(self, terms: WebhookTerms) -> None:
        """Take other terms; a message that is being sent keeps its signature."""
        self._terms = terms
        self._unsigned.clear()

    def channel(
        self, url: str, account: str = OPERATOR, *, call_id: str = "", trusted: bool = False
    ) -> "Channel":
        """Return a channel to a URL.

        Args:
            url: URL that gets the messages.
            account: Account whose secret signs them and whose bounds count.
            call_id: Call that they are about, for the log.
            trusted: Whether the operator wrote the URL: then it may be private.
        """
        return Channel(self, url, account, call_id=call_id, trusted=trusted)

    async def close(self) -> None:
        """Give the messages that wait a bounded time, then drop them."""
        await self._tasks.join(CLOSE_S)
        self._tasks.cancel()

    @property
    def waiting(self) -> int:
        """Return how many messages wait or are being sent."""
        return sum(number for number, _ in self._waiting.values())

    def numbers(self) -> dict[str, float]:
        """Return what was counted, for metrics."""
        return {name: float(getattr(self.counters, name)) for name in WebhookCounters.__slots__}

    # --- for channels ---------------------------------------------------------------------

    def reserve(self, account: str, size: int) -> bool:
        """Count a message of an account; return False where the account has all it may have."""
        number, octets = self._waiting.get(account, (0, 0))
        if number >= self._terms.queue or octets + size > MOST_BYTES:
            return False
        self._waiting[account] = [number + 1, octets + size]
        return True

    def release(self, account: str, size: int) -> None:
        """Take a message out of the count."""
        entry = self._waiting[account]
        entry[0] -= 1
        entry[1] -= size
        if not entry[0]:
            del self._waiting[account]

    def start(self, channel: "Channel") -> None:
        """Send what waits in a channel, in the background."""
        self._tasks.spawn(channel.run(), name="webhook", call=channel.call_id)

    async def bring(self, channel: "Channel", message: _Message) -> str:
        """Send a message until it is taken or given up; return what went wrong, or an empty text."""
        if self.traces is None:
            return await self._bring(channel, message, "")
        attributes: dict[str, Value] = {
            "webhook.id": message.id,
            "server.address": urlsplit(channel.url).hostname or "",
        }
        span = self.traces.webhook(channel.call_id, self._clock(), attributes)
        wrong = "the switch is going down"
        try:
            wrong = await self._bring(channel, message, span.traceparent if span is not None else "")
        finally:
            if span is not None:
                span.end(self._clock(), {"webhook.delivered": not wrong}, wrong)
        return wrong

    async def _bring(self, channel: "Channel", message: _Message, traceparent: str) -> str:
        now = asyncio.get_running_loop().time
        wrong, final = "its time was over before it could be sent", False
        for number in range(self._terms.tries):
            if number:
                pauses = PAUSES_S if message.due is None else PAUSES_SOON_S
                pause = pauses[min(number, len(pauses)) - 1]
                if message.due is not None and now() + pause >= message.due:
                    break
                await asyncio.sleep(pause)
                self.counters.retried += 1
            patience_s = self._terms.timeout_s
            if message.due is not None:
                patience_s = min(patience_s, message.due - now())
                if patience_s <= 0:
                    break
            wrong, final = await self._try(channel, message, patience_s, traceparent)
            if not wrong:
                self.counters.delivered += 1
                return ""
            if final:
                break
        self.counters.failed += 1
        logger.warning(
            "a webhook was not delivered",
            extra={"error": wrong, "call": channel.call_id, "event": message.id},
        )
        return wrong

    async def _try(
        self, channel: "Channel", message: _Message, patience_s: float, traceparent: str
    ) -> tuple[str, bool]:
        """Send a message once; return what went wrong, and whether trying again is in vain."""
        try:
            async with asyncio.timeout(patience_s):
                answer = await self._egress.fetch(
                    channel.url,
                    method="POST",
                    headers=self._headers(channel.account, message) | _trace(traceparent),
                    body=message.body,
                    trusted=channel.trusted,
                    # A URL that a client named has a share of its own in the questions to DNS.
                    asker=SWITCH if channel.trusted else Asker(channel.account, f"webhook {channel.url}"),
                    redirects=False,
                )
        except EgressRefused as error:
            return str(error), True
        except EgressError as error:
            return str(error), False
        except TimeoutError:
            return f"the webhook did not answer within {patience_s:.3g} s", False
        if 200 <= answer.status < 300:
            if message.on_answer is None or not answer.body or len(answer.body) > MOST_ANSWER:
                return "", True
            return message.on_answer(answer.body), True
        if 300 <= answer.status < 400:
            self.counters.redirected += 1
            place = answer.headers.get("Location", "")[:200]
            return f"the webhook answered {answer.status} to {place!r}: redirects are not followed", True
        return f"the webhook answered {answer.status}", answer.status in _FINAL

    def _headers(self, account: str, message: _Message) -> dict[str, str]:
        headers = {"Content-Type": "application/json", EVENT_ID: message.id}
        secret = self._terms.secrets.get(account, "")
        if secret:
            headers[HEADER] = webhook_signature(secret, int(self._clock()), message.id, message.body)
        elif self._terms.secrets and account not in self._unsigned:
            self._unsigned.add(account)
            logger.warning(
                "webhooks of an account are not signed: it has no [[webhook.account]] secret",
                extra={"account": account},
            )
        return headers


def _trace(traceparent: str) -> dict[str, str]:
    """Return the header of a trace (W3C Trace Context); none without one."""
    return {"traceparent": traceparent} if traceparent else {}


class Channel:
    """The messages about one call to one URL, in order. Nothing waits for a channel."""

    def __init__(self, sender: WebhookSender, url: str, account: str, *, call_id: str, trusted: bool) -> None:
        self.url, self.account, self.call_id, self.trusted = url, account, call_id, trusted
        self._sender = sender
        self._waiting: deque[_Message] = deque()
        self._running = False

    def post(
        self,
        body: bytes,
        within_s: float | None = None,
        on_answer: Callable[[bytes], str] | None = None,
    ) -> "asyncio.Future[str]":
        """Queue a JSON body; return a future of what went wrong, an empty text where it was delivered.

        Args:
            body: Body of the request.
            within_s: Longest time in all, in seconds; None: as long as the tries take.
            on_answer: Takes the body of the answer once, and returns what is wrong with it.
        """
        loop = asyncio.get_running_loop()
        due = None if within_s is None else loop.time() + within_s
        message = _Message(str(uuid.uuid4()), body, loop.create_future(), on_answer, due)
        if len(self._waiting) >= MOST_WAITING:
            self._drop(self._waiting.popleft())
        while not self._sender.reserve(self.account, len(body)):
            if not self._waiting:
                self._refuse(message)
                return message.outcome
            self._drop(self._waiting.popleft())
        self._waiting.append(message)
        if not self._running:
            self._running = True
            self._sender.start(self)
        return message.outcome

    async def run(self) -> None:
        """Send what waits, one message after the other."""
        try:
            while self._waiting:
                message, wrong = self._waiting.popleft(), "the switch is going down"
                try:
                    wrong = await self._sender.bring(self, message)
                finally:
                    self._sender.release(self.account, len(message.body))
                    if not message.outcome.done():
                        message.outcome.set_result(wrong)
        finally:
            self._running = False
            while self._waiting:
                self._drop(self._waiting.popleft())

    def _drop(self, message: _Message) -> None:
        self._sender.release(self.account, len(message.body))
        self._refuse(message)

    def _refuse(self, message: _Message) -> None:
        self._sender.counters.dropped += 1
        if not message.outcome.done():
            message.outcome.set_result("too many messages waited")
