"""One telephone leg: a session of the agent, media, and the verbs of the switch."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Protocol

from softswitch.call.needs import Candidate, LegRequest
from softswitch.call.reports import (
    LegAnswered,
    LegEnded,
    LegFailed,
    LegHeld,
    LegRejected,
    LegRinging,
    LegWarned,
    Report,
    TextReceived,
)
from softswitch.endpoints.rtp_parameters import audio_rate
from softswitch.endpoints.sip.keys import Keys
from softswitch.endpoints.sip.leg_shared import LegShared
from softswitch.endpoints.sip.media import SipMedia
from softswitch.endpoints.sip.renegotiation import negotiate, take_over
from softswitch.endpoints.sip.transfer import Transfers
from softswitch.errors import NotNowError, PeerError
from softswitch.sip import happenings as hp
from softswitch.sip.happenings import Happening

logger = logging.getLogger(__name__)

ROUTINE = frozenset(
    {
        "via",
        "from",
        "to",
        "call-id",
        "cseq",
        "max-forwards",
        "content-length",
        "contact",
        "route",
        "record-route",
    }
    | {"content-type", "supported", "allow", "user-agent", "authorization", "proxy-authorization"}
)
"""Headers of every request, which tell an application nothing."""
MAX_JOBS = 64
"""Things of one leg that may wait for their turn."""

Job = Callable[[], Coroutine[None, None, None]]


class Side(Protocol):
    """How a leg is set up: as the called or as the calling one."""

    far_end: str
    """caller or callee: who the far end of this leg is."""

    def ring(self, early_media: bool) -> None:
        """Alert the far end."""

    async def set_up(self) -> None:
        """Do what `answer` asks for."""

    async def take(self, happening: Happening) -> None:
        """Take what happened before the leg was answered, and what confirms that it was."""

    def withdraw(self, headers: Mapping[str, str]) -> None:
        """Give up whatever of the setup is not over: CANCEL, a refusal, BYE."""

    def left(self) -> None:
        """Give back what was held for the time of the call."""


class SipLeg:
    """The endpoint of a telephone (:class:`softswitch.call.needs.Telephone`).

    What needs to wait goes through one queue, so that offers, answers and verbs keep their order; whatever
    ends the leg goes through `end`, which reports once and cancels the task that works the queue off.

    Its parts know it weakly: none outlives it, and so it goes as soon as it is over.
    """

    def __init__(
        self,
        shared: LegShared,
        request: LegRequest,
        report: Callable[[Report], None],
        forget: Callable[["SipLeg"], None],
    ) -> None:
        """Make a leg that does nothing yet; `side` is given before the first verb.

        Args:
            shared: what it has in common with all others.
            request: what is asked of it.
            report: takes what came of it.
            forget: told once when nothing of it is left.
        """
        self.shared = shared
        self.request = request
        self.port = request.port
        self.session = ""
        """Its session of the agent, once there is just one."""
        self.media: SipMedia | None = None
        self.answered = False
        self.trunk = ""
        """Name of the trunk that it was dialled over."""
        self.side: Side
        self.transfers = Transfers(self)
        self._agent = shared.driver.agent
        self._report: Callable[[Report], None] | None = report
        self._forget = forget
        self._jobs: asyncio.Queue[Job] = asyncio.Queue(MAX_JOBS)
        self._task: asyncio.Task[None] | None = None
        self._keys = Keys(self)

    def adopt(self, request: LegRequest, report: Callable[[Report], None]) -> None:
        """Take later wishes, and whom to tell from now on: a call that was pending is accepted."""
        self.request = request
        if self.media is None:
            self.port = request.port
        if self._report is not None:
            self._report = report

    # --- verbs of every endpoint ------------------------------------------------------------

    def ring(self, early_media: bool = False) -> None:
        """Alert the caller: 180, or 183 with a description where audio shall flow already."""
        if self._report is not None and not self.answered:
            self.side.ring(early_media)

    def answer(self) -> None:
        """Answer the caller, or call: `LegAnswered`, `LegRejected` or `LegFailed` follows."""
        self.enqueue(self.side.set_up)

    def offer(self, sdp: str) -> None:
        """Refuse: the media of a telephone are negotiated with the telephone."""
        self.warn("offer", "a telephone's leg takes no offers of the application", 409)

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Refuse, as `offer` does."""
        self.warn("candidate", "a telephone's leg takes no candidates of the application", 409)

    def dtmf(self, digits: str) -> None:
        """Send digits, by whichever way the far end takes them."""
        self._keys.send(digits)

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Close the leg: BYE, CANCEL or a refusal, as its state wants; nothing is reported any more."""
        self.end(None, headers or {})

    async def closed(self) -> None:
        """Return when everything the leg held is released."""
        if self._task is not None:
            await asyncio.wait([self._task])
        if self.media is not None:
            await self.media.closed()

    # --- verbs of a telephone ---------------------------------------------------------------

    @property
    def dialog(self) -> tuple[str, str, str]:
        """Return Call-ID, local tag and remote tag; empty before there is a dialog."""
        return self._agent.dialog(self.session) or ("", "", "")

    def reject(self, code: int, reason: str) -> None:
        """Refuse an incoming call for good."""
        if self._report is None:
            return
        if not self.answered and self.side.far_end == "caller" and self.session:
            self.shared.driver.forget(self.session)
            self._agent.reject(self.session, code, self.now(), reason=reason)
        self.end(None)

    def refer(self, target: str, headers: dict[str, str] | None = None) -> None:
        """Ask the far end to call `target`; `LegReferred` follows."""
        self.transfers.ask(target, headers or {})

    def message(self, body: str, content_type: str) -> None:
        """Send a text; `LegWarned` follows where that cannot be."""
        if not self._agent.message(self.session, body, content_type, self.now()):
            self.warn("message", "the far end takes no messages now", 409)
        self.shared.driver.pump()

    def accept_transfer(self) -> None:
        """Answer the far end's REFER with 202 and a first NOTIFY."""
        self.transfers.accept()

    def transfer_progress(self, code: int, reason: str) -> None:
        """Tell the far end how its transfer goes; a final code ends it."""
        self.transfers.progress(code, reason)

    # --- for the sides ----------------------------------------------------------------------

    def now(self) -> float:
        """Return monotonic seconds."""
        return self.shared.driver.now()

    @property
    def over(self) -> bool:
        """Tell whether the leg has ended."""
        return self._report is None

    def tell(self, report: Report) -> None:
        """Report, unless the leg has ended."""
        if self._report is not None:
            self._report(report)

    def warn(self, sender: str, error: str, code: int = 400) -> None:
        """Report what went wrong while the leg lives on."""
        self.tell(LegWarned(self.request.leg, sender, error, code))

    def ringing(self, early_media: bool) -> None:
        """Report that the far end is alerted."""
        self.tell(LegRinging(self.request.leg, early_media))

    def stands(self) -> None:
        """Report that both sides may speak."""
        agreement = self.media.agreement if self.media is not None else None
        if self.answered or agreement is None:
            return
        self.answered = True
        codec = agreement.codec.name
        self.tell(
            LegAnswered(
                self.request.leg,
                codec=codec.lower(),
                sample_rate=audio_rate(codec),
                ptime_ms=agreement.ptime_ms,
                tones_only=not agreement.events,
                trunk=self.trunk,
            )
        )

    def rejected(self, code: int, reason: str) -> None:
        """End the leg since the far end refused it."""
        self.end(LegRejected(self.request.leg, code, reason))

    def failed(self, sender: str, error: PeerError | NotNowError) -> None:
        """End the leg since something is wrong with what was asked for or sent."""
        self.end(LegFailed(self.request.leg, sender, str(error), error.code))

    def enqueue(self, job: Job) -> None:
        """Do something after all that waits already."""
        if self._report is None:
            return
        try:
            self._jobs.put_nowait(job)
        except asyncio.QueueFull:
            self.end(LegFailed(self.request.leg, "sip", "too much is waiting for this leg", 500))
            return
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._live(), name=f"sip {self.port}")
            self._task.add_done_callback(self._died)

    def take(self, happening: Happening) -> None:
        """Take what happened to one of its sessions."""
        leg = self.request.leg
        match happening:
            case hp.Ended() if happening.session == self.session:
                self.shared.driver.forget(happening.session)
                reason = self.side.far_end if happening.reason == "bye" else "error"
                self.end(LegEnded(leg, reason, self.side.far_end, further(happening.headers)))
            case hp.Cancelled():
                self.shared.driver.forget(happening.session)
                self.end(LegEnded(leg, "caller", "caller", further(happening.headers)))
            case hp.InfoReceived():
                self._keys.take(happening)
            case hp.TextReceived():
                self.tell(TextReceived(leg, happening.body, happening.content_type))
            case hp.ReferReceived() | hp.ReferProgressed():
                self.transfers.take(happening)
            case hp.Offered() | hp.OfferAnswered() | hp.OfferRefused():
                self.enqueue(partial(negotiate, self, happening))
            case _:
                self.enqueue(partial(self.side.take, happening))

    def end(self, report: Report | None, headers: Mapping[str, str] | None = None) -> None:
        """Stop everything, and say why unless the call knows; only the first time counts."""
        tell, self._report = self._report, None
        if tell is None:
            return
        self.side.withdraw(headers or {})
        if self.media is not None:
            self.media.close()
        self._keys.stop()
        if self._task is not None:
            self._task.cancel()
        self.side.left()
        self._forget(self)
        if report is not None:
            tell(report)
        self.shared.driver.pump()

    def replace(self, invited: hp.Invited) -> None:
        """Let another phone take the far end's place (RFC 3891)."""
        self.enqueue(partial(take_over, self, invited))

    # --- what the media tell ----------------------------------------------------------------

    def media_held(self, on_hold: bool) -> None:
        """Report that the far end put us on hold, or took us back."""
        self.tell(LegHeld(self.request.leg, on_hold))

    def media_failed(self, sender: str, error: str, code: int) -> None:
        """End the leg: there is no way to its media."""
        self.end(LegFailed(self.request.leg, sender, error, code))

    def media_ended(self, reason: str) -> None:
        """End the leg: its media are gone."""
        reason = self.side.far_end if reason == "caller" else reason
        self.end(LegEnded(self.request.leg, reason, self.side.far_end))

    def media_warned(self, sender: str, error: str, code: int) -> None:
        """Report what went wrong with the media while the leg lives on."""
        self.warn(sender, error, code)

    # --- its task ---------------------------------------------------------------------------

    async def _live(self) -> None:
        while True:
            job = await self._jobs.get()
            await job()

    def _died(self, task: asyncio.Task[None]) -> None:
        """Let a fault of ours be the end of this leg alone."""
        self._task = None
        if not task.cancelled() and (error := task.exception()):
            logger.error("a telephone leg failed", extra={"port": self.port}, exc_info=error)
            self.end(LegFailed(self.request.leg, "sip", "internal error", 500))


def further(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a request that say more than that it is one."""
    return {name: value for name, value in headers.items() if name.lower() not in ROUTINE}
