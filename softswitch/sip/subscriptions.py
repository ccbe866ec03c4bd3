"""Subscriptions of peers to the state of a mailbox (RFC 6665, RFC 3842): accepted, refreshed, told, ended."""

from dataclasses import dataclass

from softswitch.sip.context import AgentContext
from softswitch.sip.dialog.dialog import Dialog, dialog_of_request
from softswitch.sip.dialog.exchange import Exchange
from softswitch.sip.dialog.routing import contact_uri
from softswitch.sip.security.proof import Proof
from softswitch.sip.syntax.message import Request, Response
from softswitch.sip.transaction.alarms import Alarm
from softswitch.sip.transaction.flow import Flow
from softswitch.sip.transaction.machine import Transaction

EVENT = "message-summary"
CONTENT_TYPE = "application/simple-message-summary"
MOST = 20_000
"""Most subscriptions of all peers together."""
MOST_OF_ONE = 10
"""Most subscriptions to one mailbox; a further one takes the place of the oldest."""
LEAST_S, DEFAULT_S, LONGEST_S = 60, 3600, 7200
"""Lifetimes, seconds: shortest, where none is asked for, longest."""


def summary_of(account: str, new: int, old: int) -> bytes:
    """Return the body that tells of messages (RFC 3842 section 5.2).

    Args:
        account: URI of the mailbox.
        new: Messages that were not heard.
        old: Messages that were heard.
    """
    waiting = "yes" if new else "no"
    return (
        f"Messages-Waiting: {waiting}\r\nMessage-Account: {account}\r\nVoice-Message: {new}/{old} (0/0)\r\n"
    ).encode()


@dataclass(slots=True, eq=False)
class _Subscription:
    mailbox: str
    dialog: Dialog
    body: bytes
    ends: float
    """When it ends, monotonic seconds."""
    alarm: Alarm | None = None


class Subscriptions:
    """The subscriptions of one user agent, by dialog."""

    def __init__(self, context: AgentContext) -> None:
        """Begin without subscriptions."""
        self._context = context
        self._by_dialog: dict[tuple[str, str], _Subscription] = {}

    def __len__(self) -> int:
        """Return the number of subscriptions."""
        return len(self._by_dialog)

    def accept(self, transaction: Transaction, flow: Flow, mailbox: str, body: bytes) -> None:
        """Answer a SUBSCRIBE outside a dialog with 200, and send the first NOTIFY.

        Args:
            transaction: Transaction of the request.
            flow: Where it came from.
            mailbox: Name of the mailbox.
            body: State of the mailbox.
        """
        context, request = self._context, transaction.request
        expires = _expires(request)
        if 0 < expires < LEAST_S:
            context.reply(transaction, 423, headers={"Min-Expires": str(LEAST_S)})
            return
        if len(self._by_dialog) >= MOST:
            context.count("subscriptions_full")
            context.reply(transaction, 503, headers={"Retry-After": "60"})
            return
        contact = f"<{contact_uri(flow, '')}>"
        dialog = dialog_of_request(request, flow, transaction.tag, contact)
        subscription = _Subscription(mailbox, dialog, body, 0.0)
        same = [key for key, one in self._by_dialog.items() if one.mailbox == mailbox]
        for key in same[: max(0, len(same) - MOST_OF_ONE + 1)]:
            self._end(key, "deactivated")
        self._by_dialog[dialog.call_id, dialog.local_tag] = subscription
        self._refresh(subscription, transaction, expires)

    def receive(self, call_id: str, tag: str, request: Request, transaction: Transaction) -> bool:
        """Handle a SUBSCRIBE within a dialog; return False where the dialog is no subscription."""
        subscription = self._by_dialog.get((call_id, tag))
        if subscription is None:
            return False
        if not subscription.dialog.accepts(request.cseq.sequence):
            self._context.reply(transaction, 500)
            return True
        subscription.dialog.refresh(request)
        self._refresh(subscription, transaction, _expires(request))
        return True

    def tell(self, mailbox: str, body: bytes) -> None:
        """Send the new state of a mailbox to all who have subscribed to it."""
        for subscription in [one for one in self._by_dialog.values() if one.mailbox == mailbox]:
            if subscription.body != body:
                subscription.body = body
                self._notify(subscription, self._state(subscription))

    # --- inside -----------------------------------------------------------------------

    def _refresh(self, subscription: _Subscription, transaction: Transaction, expires: int) -> None:
        context, dialog = self._context, subscription.dialog
        key = dialog.call_id, dialog.local_tag
        if subscription.alarm is not None:
            subscription.alarm.stop()
        lifetime = min(expires, LONGEST_S)
        response = context.response(transaction, 200, headers={"Expires": str(lifetime)})
        response.headers.set("Contact", dialog.contact)
        transaction.respond(response)
        if lifetime == 0:
            self._end(key, "timeout")
            return
        subscription.ends = context.now + lifetime
        subscription.alarm = context.call_later(float(lifetime), lambda: self._end(key, "timeout"))
        self._notify(subscription, self._state(subscription))

    def _state(self, subscription: _Subscription) -> str:
        return f"active;expires={max(0, round(subscription.ends - self._context.now))}"

    def _end(self, key: tuple[str, str], reason: str) -> None:
        subscription = self._by_dialog.pop(key, None)
        if subscription is None:
            return
        if subscription.alarm is not None:
            subscription.alarm.stop()
        self._notify(subscription, f"terminated;reason={reason}")

    def _notify(self, subscription: _Subscription, state: str) -> None:
        dialog, body = subscription.dialog, subscription.body

        def build(_: object) -> tuple[Request, Flow]:
            request, flow = dialog.request("NOTIFY")
            request.headers.set("Event", EVENT)
            request.headers.set("Subscription-State", state)
            request.headers.set("Contact", dialog.contact)
            request.headers.set("Content-Type", CONTENT_TYPE)
            request.body = body
            return request, flow

        def on_response(_exchange: Exchange, response: Response, _synthetic: bool) -> None:
            if response.code >= 300:
                # RFC 6665 section 4.2.2: the subscription is over for the peer.
                self._context.count("notify_refused")
                lost = self._by_dialog.pop((dialog.call_id, dialog.local_tag), None)
                if lost is not None and lost.alarm is not None:
                    lost.alarm.stop()

        Exchange(self._context, build, on_response, Proof(None, self._context.entropy)).start()


def _expires(request: Request) -> int:
    value = request.expires
    return DEFAULT_S if value is None else max(0, value)
