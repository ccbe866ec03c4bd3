"""pyVoIP's telephone, mended: see the table in this package's docstring."""

from collections import Counter
from collections.abc import Callable
from itertools import count
from threading import Lock
from typing import Any

from pyVoIP import RTP
from pyVoIP.VoIP import CallState, PhoneStatus, VoIPPhone

from softswitch.endpoints.pyvoip.account import (
    Account,
    Address,
    Dial,
    Event,
    Failed,
    Line,
    Rejected,
    Released,
)
from softswitch.endpoints.pyvoip.controls import CallControl, Hooks, Refusal
from softswitch.endpoints.pyvoip.patches.call import Call
from softswitch.endpoints.pyvoip.patches.client import Client
from softswitch.endpoints.pyvoip.patches.messages import Message
from softswitch.endpoints.pyvoip.patches.requests import respond
from softswitch.endpoints.pyvoip.registration import Standing
from softswitch.endpoints.pyvoip.terms import CODECS, read_terms, renewed
from softswitch.endpoints.sip.rtp_sockets import RtpPair
from softswitch.errors import NotNowError, PeerError, SoftswitchError
from softswitch.sdp import parse
from softswitch.sip import message
from softswitch.sip.message import Request, with_body
from softswitch.sip.uri import parse_uri

EVENT_TYPE = 101

_STATUSES = {
    "registered": PhoneStatus.REGISTERED,
    "registering": PhoneStatus.REGISTERING,
    "failed": PhoneStatus.FAILED,
}


class Phone(VoIPPhone):
    """One account at one server, or the local phone; it places and takes calls, and sends each to its leg."""

    sip: Client

    def __init__(self, account: Account, hooks: Hooks) -> None:
        """Prepare.

        Args:
            account: who it is.
            hooks: whom it asks and tells.
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
        """The calls by Call-ID: pyVoIP's own table, with our calls in it."""
        self.calls = self.by_id  # type: ignore[assignment]
        self.audio_counters: Counter[str] = Counter()
        """What the streams of ended calls counted."""
        self._counting = Lock()

    # --- life ---------------------------------------------------------------------

    def start(self) -> None:
        """Bind and begin; registration goes on by itself.

        Raises:
            OSError: the address is taken.
        """
        self.sip.start()
        self.NSD = True

    def sign_off(self) -> None:
        """Un-register; calls go on."""
        self.sip.post(self.sip.registration.end)

    def stop(self, failed: bool = False) -> None:
        """Hang up and un-register; :meth:`join` waits until that is done."""
        self.NSD = False
        self.sip.stop()

    def post(self, task: Callable[[], None]) -> None:
        """Let the thread do something; raises NotNowError where too much waits."""
        self.sip.post(task)

    def numbers(self) -> dict[str, int]:
        """Return what was counted: messages, and the audio of calls that are over."""
        with self._counting:
            return {**self.sip.counters, **self.audio_counters}

    @property
    def own_port(self) -> int:
        """Return the UDP port, once it has begun."""
        return int(self.sip.myPort)

    @property
    def target(self) -> Address:
        """Return the server that it registers at, or sends calls to."""
        return self.sip.registration.target

    def join(self) -> None:
        """Wait for the end."""
        self.sip.join()

    @property
    def standing(self) -> Standing:
        """Return how the registration stands."""
        return self.sip.registration.standing

    def get_status(self) -> PhoneStatus:
        """Return the same in pyVoIP's words."""
        return _STATUSES.get(self.standing.state, PhoneStatus.INACTIVE)

    # --- calls --------------------------------------------------------------------

    def invited(self, request: Request, source: Address) -> None:
        """Take an INVITE, or refuse it."""
        whose = self.hooks.admit(source) or ""
        if not request.body:
            self._refuse(request, source, Refusal(488, "Not Acceptable Here", "pyVoIP wants an offer"))
            return
        try:
            terms = read_terms(request.body, self.account.codecs)
        except PeerError as error:
            self._refuse(request, source, Refusal(488, "Not Acceptable Here", str(error)))
            return
        if refusal := self.hooks.begin(whose):
            self._refuse(request, source, refusal)
            return
        session, taken = next(self._sessions), set(self._pairs)
        try:
            wire = Message(request, source, terms)
            call = Call(
                self, self.sip, self, state=CallState.RINGING, request=wire, line=Line(whose), session=session
            )
        except Exception as error:
            self.hooks.over(whose)
            for port in set(self._pairs) - taken:
                self.give_back(self.take_pair(port))
            if not isinstance(error, NotNowError):
                self._refuse(request, source, Refusal(500, "Server Internal Error", "pyVoIP failed"))
                raise
            self._refuse(request, source, Refusal(503, "Service Unavailable", str(error)))
            return
        self.by_id[request.call_id] = call
        self.hooks.incoming(call, request, source)

    def dial(self, dial: Dial, line: Line, joined: Callable[[CallControl], None]) -> None:
        """Place a call that has room; pyVoIP's `call` waits for an answer, for ever where it is a 407.

        Args:
            dial: whom to call, and how.
            line: the leg's end.
            joined: told the call before anything else is.
        """
        try:
            call, invite = self._invitation(dial, line)
        except Exception as error:
            self.hooks.over(line.whose)
            line.tell(_failure(error))
            line.tell(Released())
            if not isinstance(error, SoftswitchError):
                raise
            return
        self.by_id[invite.call_id] = call
        joined(call)
        if call.caller is not None:
            call.caller.dial(invite, dial, dial.to or self.sip.registration.target)

    def forget(self, call_id: str) -> None:
        """Let a call go that is over."""
        self.sip.tagLibrary.pop(call_id, None)
        call = self.by_id.pop(call_id, None)
        if call is None:
            return
        self.hooks.over(call.line.whose)
        if not call.streams:
            # It never came to audio: its sockets were never taken.
            for port in call.assignedPorts:
                self.give_back(self.take_pair(port))
            call.line.tell(Released())

    def _invitation(self, dial: Dial, line: Line) -> tuple[Call, Request]:
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
        """Put the addresses of a call and its further headers in; pyVoIP shows the account and our IP."""
        headers = invite.headers
        headers.remove("Via")
        headers.set("To", f"<{dial.uri}>")
        headers.set("From", f"{dial.from_};tag={self.sip.gen_tag()}")
        headers.set("Contact", f"<{parse_uri(dial.contact)}>" if dial.contact else self.sip.contact())
        headers.set("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO")
        for name, value in dial.headers.items():
            headers.set(name, value)

    def _refuse(self, request: Request, source: Address, refusal: Refusal) -> None:
        text = refusal.text.replace('"', "'").replace("\\", "/")
        headers = {"Warning": f'399 {self.account.own_host} "{text}"'}
        if refusal.code == 503:
            headers["Retry-After"] = "10"
        respond(self.sip, request, source, refusal.code, refusal.reason, headers)

    # --- sockets of audio -----------------------------------------------------------

    def request_port(self, blocking: bool = True) -> int:
        """Take sockets, and return their port; pyVoIP gives a number that may be taken, and waits for others.

        Raises:
            NotNowError: none is free.
        """
        pair = self.hooks.open_pair()
        self._pairs[pair.port] = pair
        return pair.port

    def take_pair(self, port: int) -> RtpPair:
        """Return the sockets of a port that was requested."""
        return self._pairs.pop(port)

    def give_back(self, pair: RtpPair) -> None:
        """Close sockets; from any thread."""
        self.hooks.close_pair(pair)

    def count(self, counters: dict[str, int]) -> None:
        """Add what a stream has counted; from any thread."""
        with self._counting:
            self.audio_counters.update(counters)

    def release_ports(self, call: object = None) -> None:
        """Do nothing: streams give their sockets back. pyVoIP's own takes away those of calls in progress."""

    def _ignore(self, call: object) -> None:
        """Stand for the callback that pyVoIP calls a second after each INVITE, in a thread of its own."""


def _failure(error: Exception) -> Event:
    """Return what a leg is told of a call that could not be placed."""
    match error:
        case NotNowError():
            return Rejected(error.code, str(error))
        case PeerError():
            return Failed(error.code, str(error))
        case _:
            return Failed(500, "pyVoIP failed")
