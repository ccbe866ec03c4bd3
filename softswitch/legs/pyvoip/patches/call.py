"""pyVoIP's call with its faults mended: see the table in this package's docstring."""

from typing import Any

from pyVoIP import RTP
from pyVoIP.SIP import SIPMessage
from pyVoIP.VoIP import CallState, VoIPCall, VoIPPhone

from softswitch.errors import PeerError
from softswitch.legs.pyvoip.account import (
    Address,
    Answered,
    CallLink,
    Ended,
    Held,
    Pressed,
    Released,
)
from softswitch.legs.pyvoip.dialog import Dialog, as_callee
from softswitch.legs.pyvoip.frames import FRAME
from softswitch.legs.pyvoip.patches.caller import Caller
from softswitch.legs.pyvoip.patches.client import Client
from softswitch.legs.pyvoip.patches.messages import Message
from softswitch.legs.pyvoip.patches.requests import respond
from softswitch.legs.pyvoip.patches.roles import AudioRole
from softswitch.legs.pyvoip.patches.rtp import Stream, StreamEvents
from softswitch.legs.pyvoip.terms import Terms, read_terms
from softswitch.legs.sip.media.rtp_sockets import RtpPair
from softswitch.sip.syntax import message
from softswitch.sip.syntax.message import Request, Response, copy_for_reply, with_body

_PASSED_ON = "x-"
"""Prefix of the BYE headers that applications see; they see Reason, too."""


class Call(VoIPCall):
    """One call; everything but the audio belongs to the thread of its client."""

    sip: Client
    request: Message

    def __init__(
        self,
        phone: VoIPPhone,
        client: Client,
        telephone: AudioRole,
        *,
        state: CallState,
        request: Message,
        line: CallLink,
        session: int,
        ms: Any = None,
    ) -> None:
        """Start a call from an INVITE, received or sent.

        Args:
            phone: the telephone, as pyVoIP knows it.
            client: its SIP client.
            telephone: the same telephone, as this package knows it.
            state: RINGING of an incoming call, DIALING of an outgoing one.
            request: the INVITE; an incoming one with its terms.
            line: link to the leg.
            session: session id of the description.
            ms: payload types by local port, of an outgoing call.
        """
        # Before pyVoIP's own constructor, which opens the streams.
        self.line = line
        self.terms = request.terms
        received = request.wire if state is CallState.RINGING else None
        self.invite = received if isinstance(received, Request) else None
        """The caller's INVITE, until it is answered."""
        self._telephone = telephone
        self.tag = client.gen_tag()
        self.dialog: Dialog | None = None
        self.held = False
        self._source = request.source
        self._version = 0
        self._is_over = False
        self.streams: list[Stream] = []
        super().__init__(phone, state, request, session, phone.myIP, ms=ms, sendmode="sendrecv")
        self.caller = Caller(self) if state is CallState.DIALING else None
        if self.invite is not None:
            self.dialog = as_callee(self.invite, self.tag, request.source)

    def create_rtp_clients(
        self,
        codecs: dict[int, RTP.PayloadType],
        ip: str,
        port: int,
        request: SIPMessage,
        baseport: int,
    ) -> None:
        """Make the one stream, on the sockets that were opened for it."""
        events = StreamEvents(self._heard, self._pressed, self._released)
        target = (request.body["c"][0]["address"], baseport)
        self.streams.append(Stream(codecs, self._telephone.take_pair(port), target, events))
        self.RTPClients[:] = self.streams

    # --- incoming -----------------------------------------------------------------

    def ring(self, early_media: bool) -> None:
        """Send 180, or 183 with a description; once more does no harm."""
        if self.invite is None or self._is_over:
            return
        text = self.sip.gen_ringing(self.request)
        if early_media:
            text = self._written()
        self._reply(text, 183 if early_media else 180, "Session Progress" if early_media else "Ringing")

    def answer(self) -> None:
        """Send 200; a BYE follows where its ACK does not come."""
        if self.invite is None or self.state is not CallState.RINGING or self.terms is None:
            return
        self._reply(self._written(), 200, "OK")
        self.invite = None
        self.state = CallState.ANSWERED
        self.line.on_event(Answered(self.terms.codec))
        self._apply(self.terms)

    def deny(self, code: int = 486, reason: str = "Busy Here") -> None:
        """Refuse the call; pyVoIP has 486 only."""
        if self.invite is not None:
            invite, self.invite = self.invite, None
            self._final(copy_for_reply(invite, code, reason, self.tag), invite)
            self.over()

    def cancelled(self) -> None:
        """Answer the INVITE of a cancelled call with 487, which pyVoIP omits."""
        if self.invite is not None:
            self.deny(487, "Request Terminated")
            self.line.on_event(Ended("caller"))

    # --- either -------------------------------------------------------------------

    def offered(self, request: Request, source: Address) -> None:
        """Answer a later offer: hold or a new address; pyVoIP says `sendrecv` and starts two more threads."""
        if self.state is not CallState.ANSWERED or self.dialog is None:
            respond(self.sip, request, source, code=491)
            return
        terms = self.terms
        if request.body:
            try:
                terms = read_terms(request.body, [self.codec])
            except PeerError as error:
                respond(self.sip, request, source, code=error.code)
                return
        if terms is None:
            respond(self.sip, request, source, code=488)
            return
        if request.contact:
            self.dialog.target = str(request.contact[0].uri)
        self.dialog.peer = source
        self.terms, self._version = terms, self._version + 1
        response = copy_for_reply(request, 200, "OK")
        response.headers.set("Contact", self.sip.contact())
        body = terms.answer(self._body(), self._version, self.sip.account.media_host)
        self._final(with_body(response, body, "application/sdp"), request, source)
        self._apply(terms)

    def ended(self, request: Request) -> None:
        """Handle a BYE of the peer."""
        if self.invite is not None:
            self.cancelled()
            return
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower().startswith(_PASSED_ON) or name.lower() == "reason"
        }
        self.over()
        self.line.on_event(Ended("callee" if self.caller else "caller", headers))

    def hang_up(self, headers: dict[str, str]) -> None:
        """End the call as its state wants: BYE, CANCEL or a refusal."""
        if self._is_over:
            return
        if self.caller is not None and self.state is CallState.DIALING:
            self.caller.give_up()
            return
        if self.invite is not None:
            self.deny(480, "Temporarily Unavailable")
            return
        self.farewell(headers)

    def farewell(self, headers: dict[str, str]) -> None:
        """Send the BYE of an answered call, with both tags and its route, and drop the call."""
        dialog = self.dialog
        if dialog is None or self._is_over:
            return
        request = dialog.begin("BYE")
        for name, value in headers.items():
            request.headers.set(name, value)

        def answered(response: Response, source: Address) -> None:
            again = self.sip.prove(request, response) if response.code in (401, 407) else None
            if again is not None:
                self.sip.ask(again, source, lambda response, source: None, lambda: None)

        self.sip.ask(request, dialog.peer, answered, lambda: None)
        self.over()

    def over(self) -> None:
        """Stop the audio and drop the call, once."""
        if self._is_over:
            return
        self._is_over = True
        self.state = CallState.ENDED
        for stream in self.streams:
            stream.stop()
        self._telephone.remove(self.call_id)

    def press(self, digits: str) -> bool:
        """Send digits as events; False where the peer supports none. Callable in any thread."""
        for stream in self.streams:
            stream.press(digits)
        return self.takes_events

    @property
    def takes_events(self) -> bool:
        """Tell whether the peer supports digits as events (RFC 4733)."""
        return any(stream.event_type is not None for stream in self.streams)

    @property
    def heard_at(self) -> float:
        """Return when the last audio packet came, in monotonic seconds; 0: never."""
        return max((stream.heard_at for stream in self.streams), default=0.0)

    def hangup(self) -> None:
        """End the call; pyVoIP raises where it is not answered."""
        self.hang_up({})

    def bye(self) -> None:
        """Drop the call; called by pyVoIP."""
        self.over()

    def answered(self, request: SIPMessage) -> None:
        """Handle the callee's 200; pyVoIP opens a second stream where early media has one already."""
        if isinstance(request, Message):
            self.open(request)
        self.state = CallState.ANSWERED

    def open(self, request: Message) -> None:
        """Start the audio of an outgoing call, or move it: early media first, then the answer."""
        terms = request.terms
        if terms is None:
            return
        if not self.streams:
            for section in request.body["m"]:
                types = {int(key): self._type(section, key) for key in section["methods"]}
                self.create_rtp_clients(types, self.myIP, self.port, request, section["port"])
        self.terms = terms
        self.gen_ms()
        self._apply(terms)

    @property
    def codec(self) -> str:
        """Return the codec that was agreed on."""
        return self.terms.codec if self.terms is not None else "PCMU"

    @property
    def is_over(self) -> bool:
        """Tell whether it has ended."""
        return self._is_over

    def fork(self, response: Response, source: Address) -> None:
        """Answer a further 200 of another branch with ACK and BYE (RFC 3261 §13.2.2.4)."""
        if self.caller is not None:
            self.caller.fork(response, source)

    def _type(self, section: dict[str, object], key: str) -> RTP.PayloadType:
        return RTP.PayloadType(int(key)) if int(key) in (0, 8) else RTP.PayloadType.EVENT

    def _apply(self, terms: Terms) -> None:
        """Apply a description to the stream."""
        for stream in self.streams:
            stream.sending = not terms.agreement.on_hold
            if terms.target[0] != "0.0.0.0":  # noqa: S104  (compared, not bound: the hold of RFC 2543)
                stream.retarget(terms.target)
        if terms.agreement.on_hold != self.held:
            self.held = terms.agreement.on_hold
            self.line.on_event(Held(self.held))

    def _body(self) -> bytes:
        return message.parse(self._written().encode()).body

    def _written(self) -> str:
        """Return pyVoIP's answer; writing it starts the streams."""
        self.sip.tagLibrary.setdefault(self.call_id, self.tag)
        return str(self.sip.gen_answer(self.request, self.session_id, self.gen_ms(), self.sendmode))

    def _reply(self, text: str, code: int, reason: str) -> None:
        """Send a response of pyVoIP with the headers that the caller needs: Via, Record-Route, its tags."""
        invite, written = self.invite, message.parse(text.encode())
        if invite is None:
            return
        response = copy_for_reply(invite, code, reason, self.tag)
        response.headers.set("Contact", self.sip.contact())
        if written.body and self.terms is not None:
            host = self.sip.account.media_host
            with_body(response, self.terms.answer(written.body, self._version, host), "application/sdp")
        if code < 200:
            self.sip.reply(response, invite, self._source)
        else:
            self._final(response, invite)

    def _final(self, response: Response, request: Request, source: Address | None = None) -> None:
        lost = self._unacknowledged if response.code < 300 else (lambda: None)
        self.sip.reply_surely(response, request, source or self._source, lost)

    def _unacknowledged(self) -> None:
        if not self._is_over:
            self.farewell({})
            self.line.on_event(Ended("error"))

    # --- in the thread that receives RTP --------------------------------------------

    def _heard(self, stream: Stream) -> None:
        while stream.arriving.waiting >= FRAME:
            self.line.on_audio(self.read_audio(FRAME, blocking=False))

    def _released(self, pair: RtpPair) -> None:
        for stream in self.streams:
            self._telephone.count(stream.counters | {"audio_dropped_bytes": stream.dropped})
        self._telephone.give_back(pair)
        self.line.on_event(Released())

    def _pressed(self, key: str, duration_ms: int) -> None:
        self.dtmf_callback(key)
        self.get_dtmf()  # Empties the list of pyVoIP, which would grow.
        self.line.on_event(Pressed(key, duration_ms, "rfc4733"))
