"""The recipients of messages about calls: webhooks of accounts, callbacks of calls, event feeds.

`web` lists, adds and removes them; the switch has every call followed here.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from softswitch.call.interfaces import IncomingCall
from softswitch.errors import RejectedError, UnavailableError
from softswitch.settings import WebhookAccount
from softswitch.store.store import CallRecord, WebhookRecord
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.notify.follower import Follower
from softswitch.switch.notify.notifier import Gathered, Notifier
from softswitch.switch.notify.webhook_sender import OPERATOR, Channel, WebhookSender
from softswitch.switch.resources import Resources

MOST_PER_ACCOUNT = 20

OnMessage = Callable[[bytes], None]


class TooMany(RejectedError):
    """An account has all the webhooks it may have."""

    code = 422


class Feed:
    """An event feed: a socket of an account that gets every message about its calls."""

    def __init__(self, account: str, on_message: OnMessage, *, administers: bool = False) -> None:
        """Listen for an account; ``administers``: and to the calls of the administrator."""
        self.account = account
        self.administers = administers
        self.on_message = on_message


class Webhooks:
    """Follows every call of the switch and sends the messages about it to its recipients."""

    def __init__(self, resources: Resources, sender: WebhookSender, notifier: Notifier) -> None:
        """Start without webhooks; :meth:`start` reads those that are stored.

        Args:
            resources: Settings and store.
            sender: Sends the messages.
            notifier: Words them.
        """
        self._resources = resources
        self._sender = sender
        self._notifier = notifier
        self._records: dict[int, WebhookRecord] = {}
        self._followers: dict[str, Follower] = {}
        self._feeds: list[Feed] = []
        self.new_id: Callable[[], int] = lambda: max(self._records, default=0) + 1
        """Returns the id of the next webhook."""
        self.on_changed: Callable[[], None] = lambda: None
        """Called when webhooks were added or removed here."""
        self.on_feeds: Callable[[], None] = lambda: None
        """Called when a feed was opened or closed here."""
        self.far_feeds: Callable[[], int] = lambda: 0
        """Returns the number of feeds of other nodes."""
        self.on_feed: Callable[[str, bool, bytes], None] = lambda owner, waits, body: None
        """Gets every message about a call, for the feeds of other nodes: account, whether it waits, text."""

    # --- life -----------------------------------------------------------------------------

    async def start(self) -> None:
        """Read the webhooks that are stored."""
        self._records = {record.id: record for record in await self._resources.store.records.webhooks()}

    # --- accounts -------------------------------------------------------------------------

    def of(self, account: str) -> list[WebhookRecord]:
        """Return the webhooks of an account, the oldest first."""
        return [record for record in self._records.values() if record.account == account]

    async def add(self, account: str, url: str, event_type: str) -> WebhookRecord:
        """Add a webhook of an account; return the one that is there where the account has it already.

        Raises:
            TooMany: The account has `MOST_PER_ACCOUNT` webhooks.
            UnavailableError: The store did not take it.
        """
        own = self.of(account)
        for record in own:
            if (record.url, record.event_type) == (url, event_type):
                return record
        if len(own) >= MOST_PER_ACCOUNT:
            raise TooMany(f"At most {MOST_PER_ACCOUNT} webhooks are allowed per account")
        record = WebhookRecord(
            id=self.new_id(),
            account=account,
            url=url,
            event_type=event_type,
            created_at=int(time.time() * 1000),
        )
        self._records[record.id] = record
        if not await self._resources.store.save_webhook(record):
            del self._records[record.id]
            raise UnavailableError("the webhook could not be stored")
        self.on_changed()
        return record

    async def remove(self, account: str, *, event_type: str = "", url: str = "", number: int = 0) -> int:
        """Remove the webhooks of an account that fit, all of them by default; return how many."""
        removed = [
            record
            for record in self.of(account)
            if event_type in ("", record.event_type) and url in ("", record.url) and number in (0, record.id)
        ]
        for record in removed:
            del self._records[record.id]
            await self._resources.store.delete_webhook(record.id)
        if removed:
            self.on_changed()
        return len(removed)

    # --- calls ----------------------------------------------------------------------------

    def follow(self, conversation: Conversation) -> None:
        """Follow a call that was just opened, unless it is a part of another one."""
        if conversation.call.kind.is_inner:
            return
        recipients = _Recipients(self, conversation)
        self._followers[conversation.id] = Follower(conversation, self._notifier, recipients, self._ended)

    def begin(self, call_id: str) -> bool:
        """Send the message that a call is being set up, unless it was sent; False: the call has ended."""
        follower = self._followers.get(call_id)
        if follower is not None:
            follower.begin()
        return follower is not None

    def gather(self, call_id: str, account: str, url: str = "") -> None:
        """Send that digits are being gathered; single attempts are no messages until :meth:`gathered`.

        Args:
            call_id: The call.
            account: Account that asked for the digits.
            url: URL that gets the messages instead of the recipients of the call.
        """
        if follower := self._followers.get(call_id):
            follower.gather(self.channel(url, account, call_id) if url else None)

    def gathered(self, call_id: str, account: str, gathered: Gathered, url: str = "") -> None:
        """Send the result of a collection of digits.

        Args:
            call_id: The call.
            account: Account that asked for the digits.
            gathered: The result.
            url: URL that gets it instead of the recipients of the call.
        """
        if follower := self._followers.get(call_id):
            follower.gathered(gathered, self.channel(url, account, call_id) if url else None)

    def after_call(self, record: CallRecord, body: bytes, url: str = "") -> None:
        """Send a message about a call that has ended.

        Args:
            record: The call.
            body: The message.
            url: URL that gets it; empty: the webhooks that get the records of its account.
        """
        accounts = self._resources.administrators if not record.account else frozenset({record.account})
        urls = {url: record.account} if url else {}
        if not url:
            hooks = [hook for hook in self._records.values() if hook.event_type == "post-call"]
            urls = {hook.url: hook.account for hook in hooks if hook.account in {*accounts, record.account}}
        for target, account in urls.items():
            self.channel(target, account, record.id).post(body)

    def wanted(self) -> bool:
        """Tell whether an incoming call would be announced to an account."""
        return bool(self._feeds or self.far_feeds() or self._written()) or any(
            hook.event_type == "on-call" for hook in self._records.values()
        )

    def _written(self) -> list[WebhookAccount]:
        """Return the accounts with a URL that the operator wrote, where it gets messages in this format."""
        webhook = self._resources.settings.webhook
        return [one for one in webhook.account if one.url] if webhook.format == "wavix" else []

    async def announce(self, call: IncomingCall, conversation: Conversation) -> str:
        """Wait until an incoming call is announced (an ``Announcer``); return what went wrong."""
        follower = self._followers.get(conversation.id)
        if follower is None:
            return "the call is over"
        if follower.feeds:
            return ""
        if not follower.announced:
            return "no webhook of an account is set"
        wrong = await asyncio.gather(*follower.announced)
        return "" if not all(wrong) else wrong[0]

    def _ended(self, follower: Follower) -> None:
        if self._followers.get(follower.conversation.id) is follower:
            del self._followers[follower.conversation.id]

    # --- recipients -------------------------------------------------------------------------

    def channel(self, url: str, account: str, call_id: str, *, trusted: bool = False) -> Channel:
        """Return a channel to a URL for the messages about a call."""
        return self._sender.channel(url, account, call_id=call_id, trusted=trusted)

    def channels(self, conversation: Conversation, event_type: str) -> list[Channel]:
        """Return channels to the webhooks of the accounts that a call concerns."""
        found = [
            self.channel(record.url, record.account, conversation.id)
            for record in self._records.values()
            if record.event_type == event_type
            and self._concerns(record.account, conversation.owner, waits=conversation.awaits_client)
        ]
        if event_type == "on-call":
            found += [
                self.channel(one.url, one.name, conversation.id, trusted=True)
                for one in self._written()
                if self._concerns(one.name, conversation.owner, waits=conversation.awaits_client)
            ]
        return found

    def feed(self, conversation: Conversation, body: bytes) -> int:
        """Send a message to the feeds of the accounts that a call concerns; return their number."""
        owner, waits = conversation.owner, conversation.awaits_client
        self.on_feed(owner, waits, body)
        return self.feed_here(owner, waits=waits, body=body) + self.far_feeds()

    def feed_here(self, owner: str, *, waits: bool, body: bytes) -> int:
        """Send a message about a call of an account to the feeds of this node; return their number."""
        feeds = [
            feed
            for feed in self._feeds
            if self._concerns(feed.account, owner, waits=waits, administers=feed.administers)
        ]
        for feed in feeds:
            feed.on_message(body)
        return len(feeds)

    @property
    def has_feeds(self) -> bool:
        """Return whether there are feeds, of this node or of others."""
        return bool(self._feeds or self.far_feeds())

    @property
    def feeds(self) -> int:
        """Return the number of feeds of this node."""
        return len(self._feeds)

    def listen(self, feed: Feed) -> Callable[[], None]:
        """Add a feed; return what removes it."""
        self._feeds.append(feed)
        self.on_feeds()

        def remove() -> None:
            self._feeds.remove(feed)
            self.on_feeds()

        return remove

    def _concerns(self, account: str, owner: str, *, waits: bool, administers: bool = False) -> bool:
        """Tell whether an account gets messages about a call: its own, or one that waits to be taken.

        A call that waits concerns every account, so that each may take it. A call that a rule of the settings
        connected belongs to the administrator: it concerns the keys with the scope ``admin``.
        """
        if owner or account == owner:
            return account == owner
        return waits or administers or account in self._resources.administrators


class _Recipients:
    """The recipients of one call: its own callback, else the webhooks of its accounts; and the feeds."""

    def __init__(self, webhooks: Webhooks, conversation: Conversation) -> None:
        self._webhooks, self._conversation = webhooks, conversation

    def channels(self) -> Sequence[Channel]:
        """Return the channels of the messages about the call."""
        conversation = self._conversation
        if not conversation.callback:
            return self._webhooks.channels(conversation, "on-call")
        trusted = conversation.callback_trusted
        account = OPERATOR if trusted else conversation.owner
        return [self._webhooks.channel(conversation.callback, account, conversation.id, trusted=trusted)]

    def records(self) -> Sequence[Channel]:
        """Return the channels of the record of the call."""
        return self._webhooks.channels(self._conversation, "post-call")

    def has_feeds(self) -> bool:
        """Tell whether there are feeds."""
        return self._webhooks.has_feeds

    def feed(self, body: bytes) -> int:
        """Send a message to the feeds."""
        return self._webhooks.feed(self._conversation, body)
