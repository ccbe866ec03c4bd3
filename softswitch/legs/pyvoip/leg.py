"""A leg whose SIP and RTP are pyVoIP's: commands go to its thread, events come back by the event loop."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, assert_never

from softswitch.call.interfaces import LegRequest
from softswitch.call.vocabulary.reports import (
    DigitReceived,
    LegAnswered,
    LegEnded,
    LegFailed,
    LegHeld,
    LegRejected,
    LegRinging,
    Report,
)
from softswitch.call.vocabulary.values import Candidate
from softswitch.errors import NotNowError, PeerError
from softswitch.legs.feed_port import FeedEngine, FeedPort, Listen
from softswitch.legs.lifecycle import LegLifecycle
from softswitch.legs.pyvoip.account import (
    Answered,
    CallLink,
    Dial,
    Ended,
    Event,
    Failed,
    Held,
    Pressed,
    Rejected,
    Released,
    Ringing,
)
from softswitch.legs.pyvoip.controls import CallControl, PhoneControl
from softswitch.legs.pyvoip.frames import RATE, Widener, narrow
from softswitch.legs.pyvoip.silence import SilenceWatch
from softswitch.legs.sip.accounts.identity import checked
from softswitch.legs.sip.dial_error import DialError
from softswitch.media import messages as m

BUFFER_MS = 1000
PREBUFFER_MS = 60
MOST_EVENTS = 256
"""Events of one call that may wait for the loop; digits beyond are dropped and counted."""

Prepare = Callable[[LegRequest], tuple[PhoneControl, Dial]]
"""Finds telephone and destination of a request, and counts the call; raises DialError, PeerError or
NotNowError."""


class Tally(Protocol):
    """Counter of the events that were dropped."""

    events_dropped: int


class PyvoipLeg:
    """The endpoint of a pyVoIP leg (:class:`softswitch.call.interfaces.Telephone`)."""

    def __init__(
        self,
        engine: FeedEngine,
        listen: Listen,
        tally: Tally,
        *,
        release: Callable[[str], None],
        loop: asyncio.AbstractEventLoop,
        request: LegRequest | None = None,
        on_report: Callable[[Report], None] | None = None,
        prepare: Prepare | None = None,
    ) -> None:
        """Prepare; an incoming leg gets its request by :meth:`adopt`.

        Args:
            engine: the media engine.
            listen: routes the frames of a port.
            tally: counts dropped events.
            release: ends the count of a call, by trunk, that could not be placed.
            loop: event loop of the commands and reports.
            request: parameters of an outgoing leg.
            on_report: takes the reports of an outgoing leg.
            prepare: finds telephone and destination of an outgoing leg.
        """
        self._port = FeedPort(engine, listen)
        self._tally = tally
        self._release_call = release
        self._life = LegLifecycle("sip", request or LegRequest("", "", 0, 0), on_report, self._release)
        self._prepare = prepare
        self._loop = loop
        self._phone: PhoneControl | None = None
        self._call: CallControl | None = None
        self._widener = Widener()
        self._watch: SilenceWatch | None = None
        self._is_answered = self._is_called = False
        self._early: list[Event] = []
        """Events before the request of an incoming leg came."""
        self._released = asyncio.Event()
        self._waiting = 0
        self._count = threading.Lock()

    @property
    def _request(self) -> LegRequest:
        return self._life.request

    # --- incoming calls -----------------------------------------------------------

    def connect(self, phone: PhoneControl, call: CallControl) -> None:
        """Attach an incoming call; called in the thread of pyVoIP."""
        self._phone, self._call = phone, call
        call.line.on_event, call.line.on_audio = self._post, self._feed

    def adopt(self, request: LegRequest, report: Callable[[Report], None]) -> "PyvoipLeg":
        """Take the request of an incoming call, and a second one with the options of `accept`."""
        self._life.adopt(self._request if self._port.is_open else request, report)
        early, self._early = self._early, []
        for event in early:
            # Later: the call that asks for the leg does not hold it yet.
            self._loop.call_soon(self._take, event)
        return self

    # --- commands of every endpoint -------------------------------------------------

    def ring(self, early_media: bool = False) -> None:
        """Alert the caller: 180, or 183 with a description where audio flows before the answer."""
        call = self._call
        if call is not None and self._prepare is None and not self._is_answered and not self._life.is_over:
            if early_media:
                self._open()
            self._order(lambda: call.ring(early_media))

    def answer(self) -> None:
        """Answer the caller, or call the callee; `LegAnswered`, `LegRejected` or `LegFailed` follows."""
        if self._life.is_over or self._is_called:
            return
        self._is_called = True
        if self._prepare is not None:
            self._dial(self._prepare)
        elif self._call is not None:
            self._order(self._call.answer)

    def offer(self, sdp: str) -> None:
        """Refuse an offer of the application: the media of a SIP leg are negotiated over SIP."""
        self._life.warn("offer", "offer: a SIP leg takes no SDP of the application", 409)

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Refuse ICE candidates of the application, as `offer` does."""
        self._life.warn("candidate", "candidate: a SIP leg takes no ICE candidates of the application", 409)

    def dtmf(self, digits: str) -> None:
        """Send digits: as RFC 4733 events where the peer supports them, else as tones in the audio."""
        call = self._call
        if self._port.is_open and call is not None and not call.press(digits.upper()):
            self._port.send_tones(digits)

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """End the leg with BYE, CANCEL or a refusal, as its state wants; no report follows."""
        if self._life.is_over:
            return
        further = self._further(headers or {})
        self._life.end(None)
        call = self._call
        if call is not None:
            self._order(lambda: call.hang_up(further))
        elif not self._is_called:
            self._released.set()

    async def closed(self) -> None:
        """Return when everything the leg held is released."""
        if self._is_called or self._call is not None:
            await self._released.wait()

    # --- commands of a telephone -----------------------------------------------------

    @property
    def dialog(self) -> tuple[str, str, str]:
        """Return Call-ID, local tag and remote tag; empty before there is a dialog."""
        dialog = self._call.dialog if self._call is not None else None
        return (dialog.call_id, dialog.local_tag, dialog.remote_tag) if dialog is not None else ("", "", "")

    def reject(self, code: int, reason: str) -> None:
        """Refuse an incoming call with a status code and reason phrase."""
        call = self._call
        if self._life.is_over or call is None:
            return
        self._life.end(None)
        self._order(lambda: call.deny(code, reason or "Rejected"))

    def refer(self, target: str, headers: dict[str, str] | None = None) -> None:
        """Refuse: pyVoIP has no REFER."""
        self._life.warn("refer", 'refer: pyVoIP has no REFER; engine = "builtin" has it', 501)

    def message(self, body: str, content_type: str) -> None:
        """Refuse: pyVoIP has no MESSAGE."""
        self._life.warn("message", 'message: pyVoIP has no MESSAGE; engine = "builtin" has it', 501)

    def accept_transfer(self) -> None:
        """Refuse: pyVoIP answers the peer's REFER with 405."""
        self._life.warn("refer", 'transfer: pyVoIP accepts no REFER; engine = "builtin" does', 501)

    def transfer_progress(self, code: int, reason: str) -> None:
        """Do nothing: pyVoIP accepts no REFER that could have progress."""

    # --- events of the call ----------------------------------------------------------

    def _post(self, event: Event) -> None:
        """Hand an event to the loop; called in any thread."""
        with self._count:
            if self._waiting >= MOST_EVENTS and isinstance(event, Pressed):
                self._tally.events_dropped += 1
                return
            self._waiting += 1
        try:
            self._loop.call_soon_threadsafe(self._arrived, event)
        except RuntimeError:
            # The loop is closed: the switch is shutting down.
            self._tally.events_dropped += 1

    def _arrived(self, event: Event) -> None:
        with self._count:
            self._waiting -= 1
        self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, Released):
            self._released.set()
            return
        if not self._life.is_adopted and not self._life.is_over:
            self._early.append(event)
            return
        leg = self._request.leg
        match event:
            case Ringing():
                if event.early_media:
                    self._open()
                self._life.report(LegRinging(leg, event.early_media))
            case Answered():
                self._answered(event)
            case Held():
                if self._watch is not None:
                    self._watch.hold(event.held)
                held = event.held
                self._port.post(lambda port: m.SetHeld(port, held))
                self._life.report(LegHeld(leg, event.held))
            case Pressed():
                self._life.report(
                    DigitReceived(leg, time.monotonic(), event.digit, event.duration_ms, event.method)
                )
            case Rejected():
                self._life.end(LegRejected(leg, event.code, event.reason, from_peer=event.from_peer))
            case Failed():
                self._life.end(LegFailed(leg, "sip", event.error, event.code))
            case Ended():
                remote = "caller" if self._prepare is None else "callee"
                self._life.end(LegEnded(leg, event.reason, remote, event.headers))
            case _ as unreachable:
                assert_never(unreachable)

    def _answered(self, event: Answered) -> None:
        if self._life.is_over or self._is_answered:
            return
        self._is_answered = True
        self._open()
        call = self._call
        if call is not None and not call.takes_events:
            self._port.post(lambda port: m.SetInbandDtmf(port, True))
        if call is not None:
            self._watch = SilenceWatch(
                self._request.leg, lambda: call.heard_at, self._life.report, self._loop
            )
        self._life.report(
            LegAnswered(self._request.leg, codec=event.codec.lower(), sample_rate=RATE, ptime_ms=20)
        )

    def _open(self) -> None:
        """Open the port in the engine, once."""
        if not self._life.is_over:
            self._port.open(
                self._request, "pcm", RATE,
                on_frame=self._say, buffer_ms=BUFFER_MS, prebuffer_ms=PREBUFFER_MS, live=True,
            )  # fmt: skip

    def _release(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        self._port.close()

    # --- commands to the thread of pyVoIP ---------------------------------------------

    def _order(self, task: Callable[[], None]) -> None:
        phone = self._phone
        if phone is not None:
            try:
                phone.post(task)
            except NotNowError as error:
                self._life.end(LegFailed(self._request.leg, "sip", str(error), error.code))

    def _dial(self, prepare: Prepare) -> None:
        try:
            phone, dial = prepare(self._request)
        except (DialError, NotNowError) as error:
            self._released.set()
            self._life.end(LegRejected(self._request.leg, error.code, str(error)))
            return
        except PeerError as error:
            self._released.set()
            self._life.end(LegFailed(self._request.leg, "invite", str(error), error.code))
            return
        line = CallLink(phone.account.name, self._post, self._feed)
        self._phone = phone

        def on_call(call: CallControl) -> None:
            self._call = call
            # The leg may have ended before the call was there.
            if self._life.is_over:
                phone.post(lambda: call.hang_up({}))

        try:
            phone.post(lambda: phone.dial(dial, line, on_call))
        except NotNowError as error:
            self._release_call(line.trunk)
            self._released.set()
            self._life.end(LegRejected(self._request.leg, error.code, str(error)))

    def _further(self, headers: Mapping[str, str]) -> dict[str, str]:
        try:
            return checked(headers)
        except DialError as error:
            self._life.warn("hangup", str(error), error.code)
            return {}

    # --- audio -----------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        """Play 8-bit audio of the peer; called in the thread that receives it."""
        if self._port.is_open:
            self._port.feed(self._widener.widen(data))

    def _say(self, pcm: bytes) -> None:
        """Send a frame that the port hears: 20 ms of PCM16 at 8 kHz."""
        call = self._call
        if call is not None and self._port.is_open:
            call.write_audio(narrow(pcm))
