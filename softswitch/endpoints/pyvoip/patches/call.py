"""pyVoIP's call, mended: see the table in this package's docstring."""

from typing import Any

from pyVoIP import RTP
from pyVoIP.SIP import SIPMessage
from pyVoIP.VoIP import CallState, VoIPCall, VoIPPhone

from softswitch.endpoints.pyvoip.account import (
    Address,
    Answered,
    Ended,
    Held,
    Line,
    Pressed,
    Released,
)
from softswitch.endpoints.pyvoip.dialog import Dialog, as_callee
from softswitch.endpoints.pyvoip.frames import FRAME
from softswitch.endpoints.pyvoip.patches.caller import Caller
from softswitch.endpoints.pyvoip.patches.client import Client
from softswitch.endpoints.pyvoip.patches.messages import Message
from softswitch.endpoints.pyvoip.patches.requests import respond
from softswitch.endpoints.pyvoip.patches.roles import DeskRole
from softswitch.endpoints.pyvoip.patches.rtp import Ears, Stream
from softswitch.endpoints.pyvoip.terms import Terms, read_terms
from softswitch.endpoints.sip.rtp_sockets import RtpPair
from softswitch.errors import PeerError
from softswitch.sip import message
from softswitch.sip.message import Request, Response, copy_for_reply, with_body

_PASSED_ON = "x-"
"""Headers of a BYE that applications get to see begin so; Reason does, too."""


class Call(VoIPCall):
    """One call; everything but the audio belongs to the thread of its client."""

    sip: Client
    request: Message

    def __init__(
        self,
        phone: VoIPPhone,
        client: Client,
        desk: DeskRole,
        *,
        state: CallState,
        request: Message,
        line: Line,
        session: int,
        ms: Any = None,
    ) -> None:
        """Take an INVITE, theirs or ours.

        Args:
            phone: whose call it is, in pyVoIP's eyes.
            client: what it speaks by.
            desk: the same telephone as `phone`, in ours.
            state: RINGING of an incoming call, DIALING of an outgoing one.
            request: the INVITE, an incoming one with its terms.
            line: the leg.
            session: number of the description.
            ms: payload types by our port, of an outgoing call.
        """
        # pyVoIP's own constructor opens the streams.
        self.line = line
        self.terms = request.terms
        theirs = request.wire if state is CallState.RINGING else None
        self.invite = theirs if isinstance(theirs, Request) else None
        """The far end's, until it is answered."""
        self._desk = desk
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
        """Make the one stream, on the sockets that were taken for it."""
        ears = Ears(self._heard, self._pressed, self._released)
        target = (request.body["c"][0]["address"], baseport)
        self.streams.append(Stream(codecs, self._desk.take_pair(port), target, ears))
        self.RTPClients[:] = self.streams

    # --- incoming -----------------------------------------------------------------

    def ring(self, early_media: bool) -> None:
        """Tell the caller that somebody is alerted; once more does no harm."""
        if self.invite is None or self._is_over:
            return
        text = self.sip.gen_ringing(self.request)
        if early_media:
            text = self._written()
        self._reply(text, 183 if early_media else 180, "Session Progress" if early_media else "Ringing")

    def answer(self) -> None:
        """Answer with 200; a BYE follows where its ACK does not come."""
        if self.invite is None or self.state is not CallState.RINGING or self.terms is None:
            return
        self._reply(self._written(), 200, "OK")
        self.invite = None
        self.state = CallState.ANSWERED
        self.line.tell(Answered(self.terms.codec))
        self._apply(self.terms)

    def deny(self, code: int = 486, reason: str = "Busy Here") -> None:
        """Refuse; pyVoIP knows 486 alone."""
        if self.invite is not None:
            invite, self.invite = self.invite, None
            self._final(copy_for_reply(invite, code, reason, self.tag), invite)
            self.over()

    def cancelled(self) -> None:
        """The caller gave up: its INVITE gets the 487 that pyVoIP forgets."""
        if self.invite is not None:
            self.deny(487, "Request Terminated")
            self.line.tell(Ended("caller"))

    # --- either -------------------------------------------------------------------

    def offered(self, request: Request, source: Address) -> None:
        """Answer a later offer: hold, other address; pyVoIP says `sendrecv` and starts two more threads."""
        if self.state is not CallState.ANSWERED or self.dialog is None:
            respond(self.sip, request, source, 491, "Request Pending")
            return
        terms = self.terms
        if request.body:
            try:
                terms = read_terms(request.body, [self.codec])
            except PeerError as error:
                respond(self.sip, request, source, error.code, "Not Acceptable Here")
                return
        if terms is None:
            respond(self.sip, request, source, 488, "Not Acceptable Here")
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
        """The far end hung up."""
        if self.invite is not None:
            self.cancelled()
            return
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower().startswith(_PASSED_ON) or name.lower() == "reason"
        }
        self.over()
        self.line.tell(Ended("callee" if self.caller else "caller", headers))

    def leave(self, headers: dict[str, str]) -> None:
        """End the call from our side, whatever its state."""
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
        """Send the BYE of an answered call, with both tags and its route, and forget the call."""
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
        """Stop the audio and forget the call; once."""
        if self._is_over:
            return
        self._is_over = True
        self.state = CallState.ENDED
        for stream in self.streams:
            stream.stop()
        self._desk.forget(self.call_id)

    def press(self, digits: str) -> bool:
        """Send digits as events; False where the far end knows none. From any thread."""
        for stream in self.streams:
            stream.press(digits)
        return self.takes_events

    @property
    def takes_events(self) -> bool:
        """Tell whether the far end knows keys as events (RFC 4733)."""
        return any(stream.event_type is not None for stream in self.streams)

    @property
    def heard_at(self) -> float:
        """Return when the last packet of audio came, in monotonic seconds; 0 for never."""
        return max((stream.heard_at for stream in self.streams), default=0.0)

    def hangup(self) -> None:
        """End the call; pyVoIP refuses where it is not answered."""
        self.leave({})

    def bye(self) -> None:
        """Forget the call; pyVoIP does, whatever becomes of its audio."""
        self.over()

    def answered(self, request: SIPMessage) -> None:
        """Take the 200 of the callee; pyVoIP opens streams for what early media has opened already."""
        if isinstance(request, Message):
            self.open(request)
        self.state = CallState.ANSWERED

    def open(self, request: Message) -> None:
        """Begin the audio of a call of ours, or move it: early media first, then the answer."""
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
        """Take a second 200 of another callee: ACK and BYE (RFC 3261 §13.2.2.4)."""
        if self.caller is not None:
            self.caller.fork(response, source)

    def _type(self, section: dict[str, object], key: str) -> RTP.PayloadType:
        return RTP.PayloadType(int(key)) if int(key) in (0, 8) else RTP.PayloadType.EVENT

    def _apply(self, terms: Terms) -> None:
        """Let the stream follow a description."""
        for stream in self.streams:
            stream.sending = not terms.agreement.on_hold
            if terms.target[0] != "0.0.0.0":  # noqa: S104  (compared, not bound: the hold of RFC 2543)
                stream.retarget(terms.target)
        if terms.agreement.on_hold != self.held:
            self.held = terms.agreement.on_hold
            self.line.tell(Held(self.held))

    def _body(self) -> bytes:
        return message.parse(self._written().encode()).body

    def _written(self) -> str:
        """Return pyVoIP's answer; the streams start with it."""
        self.sip.tagLibrary.setdefault(self.call_id, self.tag)
        return str(self.sip.gen_answer(self.request, self.session_id, self.gen_ms(), self.sendmode))

    def _reply(self, text: str, code: int, reason: str) -> None:
        """Send what pyVoIP wrote, with the headers that the caller needs: Via, Record-Route, its own tags."""
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
            self.line.tell(Ended("error"))

    # --- in the thread that receives RTP --------------------------------------------

    def _heard(self, stream: Stream) -> None:
        while stream.arriving.waiting >= FRAME:
            self.line.audio(self.read_audio(FRAME, blocking=False))

    def _released(self, pair: RtpPair) -> None:
        for stream in self.streams:
            self._desk.count(stream.counters | {"audio_dropped_bytes": stream.dropped})
        self._desk.give_back(pair)
        self.line.tell(Released())

    def _pressed(self, key: str, duration_ms: int) -> None:
        self.dtmf_callback(key)
        self.get_dtmf()  # Nobody else reads what pyVoIP collects.
        self.line.tell(Pressed(key, duration_ms, "rfc4733"))
