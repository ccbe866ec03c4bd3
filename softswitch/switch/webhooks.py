"""Who is told of calls: the webhooks of accounts, the callbacks of calls, the sockets of the event feed."""

import asyncio
import time
from collections.abc import Callable

from softswitch.call.needs import IncomingCall
from softswitch.errors import RejectedError, UnavailableError
from softswitch.store.store import WebhookRecord
from softswitch.switch.conversation import Conversation
from softswitch.switch.courier import Courier, CourierCounters, CourierTerms
from softswitch.switch.following import Follower
from softswitch.switch.resources import Resources

MOST_PER_ACCOUNT = 20
CLOSE_S = 5.0
"""What still has to be told when the switch goes down has this long."""

INNER = "local"
"""Kind of a call that only stands in a room for another call: nobody is told of it."""

OnMessage = Callable[[bytes], None]


class TooMany(RejectedError):
    """An account has all the webhooks it may have."""

    code = 422


class Feed:
    """A socket of an account that is told every event of its calls."""

    def __init__(self, account: str, tell: OnMessage) -> None:
        """Listen for an account."""
        self.account = account
        self.tell = tell


class Webhooks:
    """Follows every call of the switch and tells those whom it concerns."""

    def __init__(self, resources: Resources) -> None:
        """Know nobody yet."""
        settings = resources.settings.webhook
        self._resources = resources
        self._terms = CourierTerms(settings.secret, settings.timeout_s, settings.tries)
        self.counters = CourierCounters()
        self._records: dict[int, WebhookRecord] = {}
        self._followers: dict[str, Follower] = {}
        self._feeds: list[Feed] = []
        self._tasks: set[asyncio.Task[None]] = set()

    # --- life -----------------------------------------------------------------------------

    async def start(self) -> None:
        """Read the webhooks that are kept."""
        self._records = {record.id: record for record in await self._resources.store.webhooks()}

    async def close(self) -> None:
        """Give what still has to be told a little time, then end."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_S)
        for task in self._tasks:
            task.cancel()

    def numbers(self) -> dict[str, float]:
        """Return what was counted, for metrics."""
        return {name: float(getattr(self.counters, name)) for name in CourierCounters.__slots__}

    # --- accounts -------------------------------------------------------------------------

    def of(self, account: str) -> list[WebhookRecord]:
        """Return the webhooks of an account, the oldest first."""
        return [record for record in self._records.values() if record.account == account]

    async def add(self, account: str, url: str, event_type: str) -> WebhookRecord:
        """Have a URL told of an account's calls; one that is there already stays as it is.

        Raises:
            TooMany: the account has all it may have.
            UnavailableError: it could not be kept.
        """
        own = self.of(account)
        for record in own:
            if (record.url, record.event_type) == (url, event_type):
                return record
        if len(own) >= MOST_PER_ACCOUNT:
            raise TooMany(f"At most {MOST_PER_ACCOUNT} webhooks are allowed per account")
        record = WebhookRecord(
            id=max(self._records, default=0) + 1,
            account=account,
            url=url,
            event_type=event_type,
            created_at=int(time.time() * 1000),
        )
        self._records[record.id] = record
        if not await self._resources.store.save_webhook(record):
            del self._records[record.id]
            raise UnavailableError("the webhook could not be kept")
        return record

    async def remove(self, account: str, *, event_type: str = "", url: str = "", number: int = 0) -> int:
        """Forget webhooks of an account, all of them where nothing is named; return how many."""
        gone = [
            record
            for record in self.of(account)
            if event_type in ("", record.event_type) and url in ("", record.url) and number in (0, record.id)
        ]
        for record in gone:
            del self._records[record.id]
            await self._resources.store.delete_webhook(record.id)
        return len(gone)

    # --- calls ----------------------------------------------------------------------------

    def follow(self, conversation: Conversation) -> None:
        """Follow a call that was just opened, unless it is but a part of another one."""
        if conversation.call.kind == INNER:
            return
        self._followers[conversation.id] = Follower(conversation, self, self._over)

    def follower(self, call_id: str) -> Follower | None:
        """Return who follows a live call."""
        return self._followers.get(call_id)

    def wanted(self) -> bool:
        """Whether somebody would be told of a call that came in."""
        return bool(self._feeds) or any(hook.event_type == "on-call" for hook in self._records.values())

    async def announce(self, call: IncomingCall, conversation: Conversation) -> str:
        """Return what went wrong with telling of a call that came in (an ``Announcer``)."""
        follower = self._followers.get(conversation.id)
        if follower is None:
            return "the call is over"
        if follower.feeds:
            return ""
        if not follower.first:
            return "no webhook of an account is set"
        wrong = await asyncio.gather(*follower.first)
        return "" if not all(wrong) else wrong[0]

    def _over(self, follower: Follower) -> None:
        if self._followers.get(follower.conversation.id) is follower:
            del self._followers[follower.conversation.id]

    # --- an audience ------------------------------------------------------------------------

    def callback(self, url: str, *, trusted: bool) -> Courier:
        """Return somebody who brings messages to a URL of one call."""
        courier = Courier(self._resources.door, url, self._terms, self.counters, trusted=trusted)
        task = asyncio.get_running_loop().create_task(courier.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return courier

    def couriers(self, conversation: Conversation, event_type: str) -> list[Courier]:
        """Return who brings messages to the webhooks of the accounts that a call concerns."""
        return [
            self.callback(record.url, trusted=False)
            for record in self._records.values()
            if record.event_type == event_type and concerns(record.account, conversation)
        ]

    def tell_feeds(self, conversation: Conversation, message: bytes) -> int:
        """Tell the sockets of the accounts that a call concerns; return how many they are."""
        feeds = [feed for feed in self._feeds if concerns(feed.account, conversation)]
        for feed in feeds:
            feed.tell(message)
        return len(feeds)

    def listen(self, feed: Feed) -> Callable[[], None]:
        """Tell a socket from now on; return what ends it."""
        self._feeds.append(feed)
        return lambda: self._feeds.remove(feed)


def concerns(account: str, conversation: Conversation) -> bool:
    """Whether a call is an account's: made with its key, or not taken by anybody yet."""
    return conversation.owner in ("", account)
