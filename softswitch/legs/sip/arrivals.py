"""Calls, registrations and subscriptions that arrive outside of sessions; calls go to the switch."""

import re
import uuid
from collections.abc import Callable

from softswitch.call.interfaces import IncomingCall, LegRequest, OnIncoming
from softswitch.legs.sip.accounts.mailbox_lights import MailboxLights
from softswitch.legs.sip.accounts.phones import Phones
from softswitch.legs.sip.accounts.trunks import Trunks
from softswitch.legs.sip.leg.incoming import PendingCall
from softswitch.legs.sip.leg.leg import SipLeg
from softswitch.legs.sip.leg.leg_shared import LegShared
from softswitch.legs.sip.media.shared import MediaOptions
from softswitch.legs.sip.routing.dialplan import Dialplan
from softswitch.legs.sip.routing.request_filter import Entry
from softswitch.sip.events import Invited, RequestAnswered, RequestReceived
from softswitch.sip.subscriptions import EVENT
from softswitch.sip.syntax.message import Request
from softswitch.sip.syntax.uri import number_of
from softswitch.sip.transaction.flow import Flow

SECRET_HEADERS = {"authorization", "proxy-authorization"}
"""Headers that applications never see, lower case."""

_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.@:-]{0,127}")
"""Call-IDs that are used as call ids; a call with any other gets a random id."""


class Arrivals:
    """Receiver of what belongs to no session (:class:`softswitch.legs.sip.driver.OutOfSession`)."""

    def __init__(
        self,
        shared: LegShared,
        legs: set[SipLeg],
        admitted: Callable[[Request], Entry],
        on_incoming: OnIncoming,
        *,
        trunks: Trunks,
        phones: Phones,
        mailboxes: MailboxLights,
        dialplan: Dialplan,
    ) -> None:
        """Prepare.

        Args:
            shared: what all legs share.
            legs: those of the running calls; legs of incoming calls are added and removed.
            admitted: returns how the policy admitted a request.
            on_incoming: called with every incoming call.
            trunks: trunks that send calls, and whose registrations are answered.
            phones: registrar of the users.
            mailboxes: notifier of phones that subscribe to their messages.
            dialplan: rules for the media of a call.
        """
        self._shared, self._legs, self._admitted, self._on_incoming = shared, legs, admitted, on_incoming
        self._driver, self._counters = shared.driver, shared.counters
        self._trunks, self._phones, self._mailboxes, self._dialplan = trunks, phones, mailboxes, dialplan

    def invited(self, invited: Invited) -> None:
        """Announce an incoming call to the switch."""
        entry = self._admitted(invited.request)
        if invited.replaced:
            self._replace(invited, entry)
            return
        self._set_credentials(invited.session, entry)
        if user := self._phones.user(entry.admitted.name) if entry.admitted.source == "user" else None:
            self._driver.agent.set_nat(invited.session, user.nat)
        self._counters.calls_received += 1
        pending = PendingCall(
            self._shared,
            invited,
            lambda request: self._media_options(request, entry, invited.flow),
            on_leg=self._legs.add,
            on_ended=self._legs.discard,
            release=entry.release,
        )
        self._on_incoming(self._incoming_call(invited, entry, pending))

    def requested(self, received: RequestReceived) -> None:
        """Answer a request outside any dialog."""
        entry = self._admitted(received.request)
        now = self._driver.now()
        match received.request.method:
            case "REGISTER" if entry.admitted.source == "user":
                self._phones.register(received, entry.admitted.name, entry.admitted.seconds_left)
            case "SUBSCRIBE" if entry.admitted.source == "user" and _is_of_mailbox(received.request):
                self._mailboxes.subscribed(received, entry.admitted.name)
            case "SUBSCRIBE":
                self._driver.agent.respond(received.key, 489, now, headers={"Allow-Events": EVENT})
            case _:
                self._driver.agent.respond(
                    received.key, 405, now, headers={"Allow": "INVITE, OPTIONS, REGISTER"}
                )

    def answered(self, answered: RequestAnswered) -> None:
        """Hand the outcome of a REGISTER to its trunk."""
        self._trunks.answered(answered)
        self._trunks.forget_gone(self._driver)

    def _set_credentials(self, session: str, entry: Entry) -> None:
        """Give a session its trunk's credentials: some trunks challenge BYE and re-INVITE, too."""
        trunk = self._trunks.get(entry.admitted.name) if entry.admitted.source == "trunk" else None
        if trunk is not None and trunk.credentials is not None:
            self._driver.agent.set_credentials(session, trunk.credentials)

    def _incoming_call(self, invited: Invited, entry: Entry, pending: PendingCall) -> IncomingCall:
        request, admitted = invited.request, entry.admitted
        call_id = request.call_id
        return IncomingCall(
            id=call_id if _ID.fullmatch(call_id) else str(uuid.uuid4()),
            caller=admitted.name if admitted.source == "user" else number_of(request.from_address.uri),
            callee=self._callee(request, entry),
            headers=_headers(request),
            sdp=invited.offer or "",
            source=admitted.source,
            name=admitted.name,
            address=invited.flow.host,
            party=pending.party,
            reject=pending.reject,
        )

    def _callee(self, request: Request, entry: Entry) -> str:
        """Return the number or name dialled: some trunks put it into To, and the account into the URI."""
        dialled, to = number_of(request.uri), number_of(request.to_address.uri)
        trunk = self._trunks.get(entry.admitted.name) if entry.admitted.source == "trunk" else None
        account = trunk.settings.username if trunk is not None else ""
        return to if to and dialled in ("", account) else dialled

    def _media_options(self, request: LegRequest, entry: Entry, flow: Flow) -> MediaOptions:
        trunk = self._trunks.get(entry.admitted.name) if entry.admitted.source == "trunk" else None
        if trunk is not None:
            return self._dialplan.trunk_media_options(trunk, request, flow.host)
        return self._dialplan.media_options(request, flow.host, is_browser=flow.transport in ("ws", "wss"))

    def _replace(self, invited: Invited, entry: Entry) -> None:
        """Replace a leg's dialog by that of another phone (RFC 3891); the call goes on."""
        entry.release()
        leg = next((leg for leg in self._legs if leg.session == invited.replaced), None)
        if leg is None:
            self._driver.agent.reject(invited.session, 481, self._driver.now())
        else:
            leg.take_over(invited)


def _headers(request: Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        if name.lower() not in SECRET_HEADERS:
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _is_of_mailbox(request: Request) -> bool:
    """Whether a SUBSCRIBE is for messages (RFC 3842)."""
    return (request.headers.get("Event") or "").partition(";")[0].strip().lower() == EVENT
