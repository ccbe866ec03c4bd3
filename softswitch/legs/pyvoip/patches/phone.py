"""pyVoIP's telephone with its faults mended: see the table in this package's docstring."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from threading import Lock
from typing import Any

from pyVoIP import RTP
from pyVoIP.VoIP import CallState, PhoneStatus, VoIPPhone

from softswitch.errors import NotNowError, PeerError, SoftswitchError
from softswitch.legs.pyvoip.account import (
    Account,
    Address,
    CallLink,
    Dial,
    Event,
    Failed,
    Rejected,
    Released,
)
from softswitch.legs.pyvoip.controls import CallControl, Hooks, Refusal
from softswitch.legs.pyvoip.patches.call import Call
from softswitch.legs.pyvoip.patches.client import Client
from softswitch.legs.pyvoip.patches.messages import Message
from softswitch.legs.pyvoip.patches.requests import respond
from softswitch.legs.pyvoip.registration import Standing
from softswitch.legs.pyvoip.terms import CODECS, read_terms, renewed
from softswitch.legs.sip.media.rtp_sockets import RtpPair
from softswitch.sdp import parse
from softswitch.sip.syntax import message
from softswitch.sip.syntax.message import Request, with_body
from softswitch.sip.syntax.uri import parse_uri

logger = logging.getLogger(__name__)

EVENT_TYPE = 101
"""Payload type of telephone events in offers."""

_STATUSES = {
    "registered": PhoneStatus.REGISTERED,
    "registering": PhoneStatus.REGISTERING,
    "failed": PhoneStatus.FAILED,
}


class Phone(VoIPPhone):
    """One account at one server, or the local phone, with all its calls."""

    sip: Client

    def __init__(self, account: Account, hooks: Hooks) -> None:
        """Prepare; `start` comes next.

        Args:
            account: identity and servers.
            hooks: callbacks.
        """
        super().__init__(
            account.domain, 5060, account.username, account.password, myIP=account.own_host,
            callCallback=self._ignore,
        )  # fmt: skip
        self.account = account
        self.hooks = hooks
        self.sip = Client(self, account, hooks.admit)
        self._pairs: dict[int, RtpPair] = {}
        self._sessions = count(1)
        self.by_id: dict[str, Call] = {}
        """The calls by Call-ID; replaces pyVoIP's own table."""
        self.calls = self.by_id  # type: ignore[assignment]
        self.audio_counters: Counter[str] = Counter()
        """Counters of the streams of ended calls."""
        self._counting = Lock()

    # --- life ---------------------------------------------------------------------

    def start(self) -> None:
        """Bind the socket and start the thread, which registers.

        Raises:
            OSError: the address is in use.
        """
        self.sip.start()
        self.NSD = True

    def readdress(self, own_host: str, media_host: str) -> None:
        """Use other local addresses from now on, and register with them; running calls keep the old ones."""

        def move() -> None:
            self.account = replace(self.account, own_host=own_host, media_host=media_host)
            self.myIP = own_host
            self.sip.move(self.account)

        self.sip.post(move)

    def sign_off(self) -> None:
        """Unregister; calls go on."""
        self.sip.post(self.sip.registration.end)

    def stop(self, failed: bool = False) -> None:
        """Start to hang up and unregister; :meth:`join` waits until that is done."""
        self.NSD = False
        self.sip.stop()

    def post(self, task: Callable[[], None]) -> None:
        """Run a function in the thread; raises NotNowError where too many wait."""
        self.sip.post(task)

    def numbers(self) -> dict[str, int]:
        """Return the counters of messages, and of the audio of ended calls."""
        with self._counting:
            return {**self.sip.counters, **self.audio_counters}

    @property
    def own_port(self) -> int:
        """Return the UDP port, after `start`."""
        return int(self.sip.myPort)

    @property
    def target(self) -> Address:
        """Return the server of its registration and calls."""
        return self.sip.registration.target

    def join(self) -> None:
        """Wait until the thread has ended."""
        self.sip.join()

    @property
    def standing(self) -> Standing:
        """Return the state of the registration."""
        return self.sip.registration.standing

    def get_status(self) -> PhoneStatus:
        """Return the state of the registration in pyVoIP's terms."""
        return _STATUSES.get(self.standing.state, PhoneStatus.INACTIVE)

    # --- calls --------------------------------------------------------------------

    def invited(self, request: Request, source: Address) -> None:
        """Accept an INVITE as a new call, or refuse it."""
        trunk = self.hooks.admit(source) or ""
        if not request.body:
            self._refuse(request, source, Refusal(488, "the INVITE has no SDP offer, which pyVoIP needs"))
            return
        try:
            terms = read_terms(request.body, self.account.codecs)
        except PeerError as error:
            self._refuse(request, source, Refusal(488, str(error)))
            return
        if refusal := self.hooks.begin(trunk):
            self._refuse(request, source, refusal)
            return
        session, taken = next(self._sessions), set(self._pairs)
        try:
            wire = Message(request, source, terms)
            call = Call(
                self,
                self.sip,
                self,
                state=CallState.RINGING,
                request=wire,
                line=CallLink(trunk),
                session=session,
            )
        except Exception as error:
            self.hooks.over(trunk)
            for port in set(self._pairs) - taken:
                self.give_back(self.take_pair(port))
            if not isinstance(error, NotNowError):
                self._refuse(request, source, Refusal(500, "internal error of pyVoIP"))
                raise
            self._refuse(request, source, Refusal(503, str(error)))
            return
        self.by_id[request.call_id] = call
        self.hooks.incoming(call, request, source)

    def dial(self, dial: Dial, line: CallLink, on_call: Callable[[CallControl], None]) -> None:
        """Place a call that was counted; `call` of pyVoIP waits for an answer, endlessly after a 407.

        Args:
            dial: parameters of the call.
            line: link to the leg.
            on_call: called with the call before any event.
        """
        try:
            call, invite = self._invitation(dial, line)
        except Exception as error:
            self.hooks.over(line.trunk)
            line.on_event(_failure(error))
            line.on_event(Released())
            if not isinstance(error, SoftswitchError):
                raise
            return
        self.by_id[invite.call_id] = call
        on_call(call)
        if call.caller is not None:
            call.caller.dial(invite, dial, dial.to or self.sip.registration.target)

    def remove(self, call_id: str) -> None:
        """Remove a call that has ended."""
        self.sip.tagLibrary.pop(call_id, None)
        call = self.by_id.pop(call_id, None)
        if call is None:
            return
        self.hooks.over(call.line.trunk)
        if not call.streams:
            # The call ended before its audio started: no stream owns the sockets.
            for port in call.assignedPorts:
                self.give_back(self.take_pair(port))
            call.line.on_event(Released())

    def _invitation(self, dial: Dial, line: CallLink) -> tuple[Call, Request]:
        uri = parse_uri(dial.uri)
        port = self.request_port()
        types: Any = {CODECS[name]: RTP.PayloadType(CODECS[name]) for name in self.account.codecs}
        types[EVENT_TYPE] = RTP.PayloadType.EVENT
        session, call_id = next(self._sessions), self.sip.gen_call_id()
        media: Any = {port: types}
        try:
            text = self.sip.gen_invite(
                "callee", str(session), media, RTP.TransmitType.SENDRECV, "z9hG4bK", call_id
            )
            written = message.parse(text.encode())
            invite = Request("INVITE", uri)
            invite.headers = written.headers.copy()
            self._address(invite, dial)
            with_body(invite, renewed(parse(written.body), 0, self.account.media_host), "application/sdp")
            wire = Message(invite, self.account.bind)
            call = Call(
                self,
                self.sip,
                self,
                state=CallState.DIALING,
                request=wire,
                line=line,
                session=session,
                ms=media,
            )  # fmt: skip
        except BaseException:
            self.give_back(self.take_pair(port))
            raise
        return call, invite

    def _address(self, invite: Request, dial: Dial) -> None:
        """Set the addresses of a call and its further headers; pyVoIP uses the account and the local IP."""
        headers = invite.headers
        headers.remove("Via")
        headers.set("To", f"<{dial.uri}>")
        headers.set("From", f"{dial.from_};tag={self.sip.gen_tag()}")
        headers.set("Contact", f"<{parse_uri(dial.contact)}>" if dial.contact else self.sip.contact())
        headers.set("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO")
        for name, value in dial.headers.items():
            headers.set(name, value)

    def _refuse(self, request: Request, source: Address, refusal: Refusal) -> None:
        logger.info(
            "a pyVoIP call was refused",
            extra={"trunk": self.account.name, "code": refusal.code, "reason": refusal.text},
        )
        headers = {"Retry-After": "10"} if refusal.code == 503 else {}
        respond(self.sip, request, source, code=refusal.code, headers=headers)

    # --- sockets of audio -----------------------------------------------------------

    def request_port(self, blocking: bool = True) -> int:
        """Open sockets, and return their port; pyVoIP returns a number that may be in use, or waits for one.

        Raises:
            NotNowError: no pair is free.
        """
        pair = self.hooks.open_pair()
        self._pairs[pair.port] = pair
        return pair.port

    def take_pair(self, port: int) -> RtpPair:
        """Return the sockets of a port that was requested."""
        return self._pairs.pop(port)

    def give_back(self, pair: RtpPair) -> None:
        """Close sockets; callable in any thread."""
        self.hooks.close_pair(pair)

    def count(self, counters: dict[str, int]) -> None:
        """Add the counters of a stream; callable in any thread."""
        with self._counting:
            self.audio_counters.update(counters)

    def release_ports(self, call: object = None) -> None:
        """Do nothing: streams close their sockets. pyVoIP's own closes those of calls in progress."""

    def _ignore(self, call: object) -> None:
        """Do nothing: pyVoIP calls this a second after each INVITE, in a thread of its own."""


def _failure(error: Exception) -> Event:
    """Return the event for a call that could not be placed."""
    match error:
        case NotNowError():
            return Rejected(error.code, str(error))
        case PeerError():
            return Failed(error.code, str(error))
        case _:
            return Failed(500, "internal error of pyVoIP")
