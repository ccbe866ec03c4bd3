"""A leg whose SIP and RTP are pyVoIP's: verbs go to its thread, events come back by the event loop."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from softswitch.call.needs import Candidate, LegRequest
from softswitch.call.reports import (
    DigitReceived,
    LegAnswered,
    LegEnded,
    LegFailed,
    LegHeld,
    LegRejected,
    LegRinging,
    LegWarned,
    Report,
)
from softswitch.endpoints.pyvoip.account import (
    Answered,
    Dial,
    Ended,
    Event,
    Failed,
    Held,
    Line,
    Pressed,
    Rejected,
    Released,
    Ringing,
)
from softswitch.endpoints.pyvoip.controls import CallControl, PhoneControl
from softswitch.endpoints.pyvoip.frames import RATE, Widener, narrow
from softswitch.endpoints.pyvoip.silence import SilenceWatch
from softswitch.endpoints.sip.identity import checked
from softswitch.endpoints.sip.outgoing import DialError
from softswitch.endpoints.websocket import Media
from softswitch.errors import NotNowError, PeerError
from softswitch.media import messages as m

BUFFER_MS = 1000
PREBUFFER_MS = 60
MOST_EVENTS = 256
"""Events of one call that may wait for the loop: keys that come faster than they can be told are dropped."""
FAR_ENDS = ("caller", "callee")

Hear = Callable[[int, Callable[[bytes], None]], None]
Prepare = Callable[[LegRequest], tuple[PhoneControl, Dial]]
"""Finds out whom a request calls, and takes room for it; raises DialError, PeerError or NotNowError."""


class Tally(Protocol):
    """Where events that found no room are counted."""

    events_dropped: int


class PyvoipLeg:
    """The endpoint of a telephone (:class:`softswitch.call.needs.Telephone`) on pyVoIP."""

    def __init__(
        self,
        engine: Media,
        hear: Hear,
        tally: Tally,
        leave: Callable[[str], None],
        loop: asyncio.AbstractEventLoop,
        *,
        request: LegRequest | None = None,
        report: Callable[[Report], None] | None = None,
        prepare: Prepare | None = None,
    ) -> None:
        """Make a leg that does nothing yet.

        Args:
            engine: where its port is opened, and its audio goes.
            hear: routes the frames of a port.
            tally: counts what is dropped.
            leave: gives the room of a call back that could not be placed.
            loop: where verbs are called and reports are made.
            request: what is asked of it; an incoming one gets it by :meth:`adopt`.
            report: takes what came of it.
            prepare: of an outgoing leg: finds out whom to call.
        """
        self._engine = engine
        self._hear = hear
        self._tally = tally
        self._leave = leave
        self._request = request or LegRequest("", "", 0, 0)
        self._report = report
        self._prepare = prepare
        self._loop = loop
        self._phone: PhoneControl | None = None
        self._call: CallControl | None = None
        self._widener = Widener()
        self._watch: SilenceWatch | None = None
        self._is_open = self._is_answered = self._is_called = False
        self._is_over = False
        self._early: list[Event] = []
        """What happened before anybody asked for the leg of an incoming call."""
        self._released = asyncio.Event()
        self._waiting = 0
        self._count = threading.Lock()

    # --- joining ------------------------------------------------------------------

    def connect(self, phone: PhoneControl, call: CallControl) -> None:
        """Join an incoming call; in the thread of pyVoIP."""
        self._phone, self._call = phone, call
        call.line.tell, call.line.audio = self._post, self._feed

    def adopt(self, request: LegRequest, report: Callable[[Report], None]) -> "PyvoipLeg":
        """Take the request of an incoming call; again at `accept`, with the wishes of the option."""
        if not self._is_open:
            self._request = request
        self._report = report
        early, self._early = self._early, []
        for event in early:
            # Not before the caller of this has the leg in hand.
            self._loop.call_soon(self._take, event)
        return self

    # --- verbs of every endpoint ----------------------------------------------------

    def ring(self, early_media: bool = False) -> None:
        """Alert the caller: 180, or 183 with a description where audio shall flow already."""
        call = self._call
        if call is not None and self._prepare is None and not self._is_answered and not self._is_over:
            if early_media:
                self._open()
            self._order(lambda: call.ring(early_media))

    def answer(self) -> None:
        """Answer the caller, or call; `LegAnswered`, `LegRejected` or `LegFailed` follows."""
        if self._is_over or self._is_called:
            return
        self._is_called = True
        if self._prepare is not None:
            self._dial(self._prepare)
        elif self._call is not None:
            self._order(self._call.answer)

    def offer(self, sdp: str) -> None:
        """Refuse: the media of a telephone are negotiated with the telephone."""
        self._warn("offer", "a telephone's leg takes no offers of the application", 409)

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Refuse, as `offer` does."""
        self._warn("candidate", "a telephone's leg takes no candidates of the application", 409)

    def dtmf(self, digits: str) -> None:
        """Send digits: as RFC 4733 events where the far end takes them, else as tones in the audio."""
        call = self._call
        if self._is_open and not self._is_over and call is not None and not call.press(digits.upper()):
            self._engine.post(m.SendDigits(self._request.port, digits))

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Close the leg: BYE, CANCEL or a refusal, as its state wants; nothing is reported any more."""
        if self._is_over:
            return
        self._end(None)
        call = self._call
        if call is not None:
            further = self._further(headers or {})
            self._order(lambda: call.leave(further))
        elif not self._is_called:
            self._released.set()

    async def closed(self) -> None:
        """Return when everything the leg held is released."""
        if self._is_called or self._call is not None:
            await self._released.wait()

    # --- verbs of a telephone --------------------------------------------------------

    @property
    def dialog(self) -> tuple[str, str, str]:
        """Return Call-ID, local tag and remote tag; empty before there is a dialog."""
        dialog = self._call.dialog if self._call is not None else None
        return (dialog.call_id, dialog.local_tag, dialog.remote_tag) if dialog is not None else ("", "", "")

    def reject(self, code: int, reason: str) -> None:
        """Refuse an incoming call for good."""
        call = self._call
        if self._is_over or call is None:
            return
        self._end(None)
        self._order(lambda: call.deny(code, reason or "Rejected"))

    def refer(self, target: str, headers: dict[str, str] | None = None) -> None:
        """Refuse: pyVoIP knows no REFER."""
        self._warn("refer", "pyVoIP cannot ask the far end to call somebody else (REFER)", 501)

    def message(self, body: str, content_type: str) -> None:
        """Refuse: pyVoIP knows no MESSAGE."""
        self._warn("message", "pyVoIP sends no texts (MESSAGE)", 501)

    def accept_transfer(self) -> None:
        """Refuse: no far end can have asked for one, its REFER was answered with 405."""
        self._warn("refer", "pyVoIP takes no transfers of the far end", 501)

    def transfer_progress(self, code: int, reason: str) -> None:
        """Do nothing: nobody waits for it."""

    # --- what came of it -------------------------------------------------------------

    def _post(self, event: Event) -> None:
        """Hand an event to the loop; from any thread."""
        with self._count:
            if self._waiting >= MOST_EVENTS and isinstance(event, Pressed):
                self._tally.events_dropped += 1
                return
            self._waiting += 1
        try:
            self._loop.call_soon_threadsafe(self._arrived, event)
        except RuntimeError:
            # The loop is closed: nobody is left to be told.
            self._tally.events_dropped += 1

    def _arrived(self, event: Event) -> None:
        with self._count:
            self._waiting -= 1
        self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, Released):
            self._released.set()
            return
        if self._report is None and not self._is_over:
            self._early.append(event)
            return
        leg = self._request.leg
        match event:
            case Ringing():
                if event.early_media:
                    self._open()
                self._tell(LegRinging(leg, event.early_media))
            case Answered():
                self._answered(event)
            case Held():
                if self._watch is not None:
                    self._watch.hold(event.held)
                if self._is_open:
                    self._engine.post(m.SetHeld(self._request.port, event.held))
                self._tell(LegHeld(leg, event.held))
            case Pressed():
                self._tell(DigitReceived(leg, event.digit, event.duration_ms, event.method))
            case Rejected():
                self._end(LegRejected(leg, event.code, event.reason))
            case Failed():
                self._end(LegFailed(leg, "sip", event.error, event.code))
            case Ended():
                far_end = FAR_ENDS[self._prepare is not None]
                self._end(LegEnded(leg, event.reason, far_end, event.headers))

    def _answered(self, event: Answered) -> None:
        if self._is_over or self._is_answered:
            return
        self._is_answered = True
        self._open()
        call = self._call
        if call is not None and not call.takes_events:
            self._engine.post(m.SetInbandDtmf(self._request.port, True))
        if call is not None:
            self._watch = SilenceWatch(self._request.leg, lambda: call.heard_at, self._tell, self._loop)
        self._tell(LegAnswered(self._request.leg, codec=event.codec.lower(), sample_rate=RATE, ptime_ms=20))

    def _open(self) -> None:
        """Open the port in the engine; once."""
        if self._is_open or self._is_over:
            return
        self._engine.post(
            m.AddFeedPort(
                self._request.port, self._request.mix, "pcm", RATE,
                buffer_ms=BUFFER_MS, prebuffer_ms=PREBUFFER_MS,
            )
        )  # fmt: skip
        self._is_open = True
        self._hear(self._request.port, self._say)

    def _end(self, report: Report | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._watch is not None:
            self._watch.stop()
        if self._is_open:
            self._is_open = False
            self._engine.post(m.RemovePort(self._request.port))
        if report is not None and self._report is not None:
            self._report(report)

    def _tell(self, report: Report) -> None:
        if self._report is not None and not self._is_over:
            self._report(report)

    def _warn(self, sender: str, error: str, code: int) -> None:
        self._tell(LegWarned(self._request.leg, sender, error, code))

    # --- orders ----------------------------------------------------------------------

    def _order(self, task: Callable[[], None]) -> None:
        phone = self._phone
        if phone is not None:
            try:
                phone.post(task)
            except NotNowError as error:
                self._end(LegFailed(self._request.leg, "sip", str(error), error.code))

    def _dial(self, prepare: Prepare) -> None:
        try:
            phone, dial = prepare(self._request)
        except (DialError, NotNowError) as error:
            self._released.set()
            self._end(LegRejected(self._request.leg, error.code, str(error)))
            return
        except PeerError as error:
            self._released.set()
            self._end(LegFailed(self._request.leg, "invite", str(error), error.code))
            return
        line = Line(phone.account.name, self._post, self._feed)
        self._phone = phone

        def joined(call: CallControl) -> None:
            self._call = call
            # The leg may have been hung up before the call was there.
            if self._is_over:
                phone.post(lambda: call.leave({}))

        try:
            phone.post(lambda: phone.dial(dial, line, joined))
        except NotNowError as error:
            self._leave(line.whose)
            self._released.set()
            self._end(LegRejected(self._request.leg, error.code, str(error)))

    def _further(self, headers: Mapping[str, str]) -> dict[str, str]:
        try:
            return checked(headers)
        except DialError as error:
            if self._report is not None:
                self._report(LegWarned(self._request.leg, "hangup", str(error), error.code))
            return {}

    # --- audio -----------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        """Take 8-bit audio of the far end; in the thread that receives it."""
        if self._is_open:
            self._engine.feed(self._request.port, self._widener.widen(data))

    def _say(self, pcm: bytes) -> None:
        """Take what the port hears, 20 ms of PCM16 at 8 kHz."""
        call = self._call
        if call is not None and self._is_open:
            call.write_audio(narrow(pcm))
