"""One WebRTC leg: negotiates, opens its port in the engine, keys it, and ends in bounded time."""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Sequence
from functools import partial

from softswitch.call.needs import Candidate, LegRequest
from softswitch.call.reports import (
    LegAnswered,
    LegEnded,
    LegFailed,
    LegHeld,
    LegUpdated,
    LegWarned,
    Report,
)
from softswitch.endpoints.rtp_parameters import StreamIdentity, audio_rate, rtp_parameters
from softswitch.endpoints.secure_link import LinkError, SecureLink
from softswitch.endpoints.webrtc_shared import WebRtcShared
from softswitch.errors import NotNowError, PeerError
from softswitch.media.messages import (
    AddRtpPort,
    ConnectSecure,
    RemovePort,
    RtpParameters,
    SendDigits,
    SetHeld,
    UpdateRtp,
)
from softswitch.sdp import (
    SECURE_PROFILES,
    Agreement,
    Description,
    IceCredentials,
    Local,
    SdpError,
    TransportOffer,
    answer_text,
    candidate_line,
    negotiate,
    parse,
    transport_offer,
)

logger = logging.getLogger(__name__)

MAX_JOBS = 64
"""Verbs of one leg that may wait, and candidates in one of them."""

Job = Callable[[], Coroutine[None, None, None]]


class WebRtcLeg:
    """The endpoint of a browser, or of any other WebRTC peer that made an offer.

    `answer` starts one task that lives as long as the leg and does its jobs one after the other; connecting
    is a task beside it. Whatever ends the leg goes through `_end`, which reports once and cancels that task;
    releasing everything is the task's last act.
    """

    def __init__(
        self,
        shared: WebRtcShared,
        request: LegRequest,
        report: Callable[[Report], None],
        forget: Callable[["WebRtcLeg"], None],
    ) -> None:
        """Make a leg that does nothing yet.

        Args:
            shared: what it has in common with all others.
            request: what is asked of it.
            report: takes what came of it.
            forget: told once when nothing of it is left.
        """
        self.port = request.port
        self._shared = shared
        self._forget = forget
        self._engine = shared.engine
        self._request = request
        self._report: Callable[[Report], None] | None = report
        self._jobs: asyncio.Queue[Job] = asyncio.Queue(MAX_JOBS)
        self._jobs.put_nowait(self._set_up)
        self._task: asyncio.Task[None] | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._link: SecureLink | None = None
        self._identity = StreamIdentity.draw(shared.random)
        self._session = shared.random.getrandbits(62)
        self._version = 0
        self._agreement: Agreement | None = None
        self._mids: frozenset[str] = frozenset()
        self._on_hold = False
        self._expects_silence = False

    # --- verbs -------------------------------------------------------------------------

    def ring(self, early_media: bool = False) -> None:
        """Do nothing: the far end of a WebRTC leg is who called."""

    def answer(self) -> None:
        """Answer the offer of the request; `LegAnswered` or `LegFailed` follows."""
        if self._task is None and self._report is not None:
            self._task = asyncio.get_running_loop().create_task(self._live(), name=f"webrtc {self.port}")
            self._task.add_done_callback(self._died)

    def offer(self, sdp: str) -> None:
        """Take a later offer; `LegUpdated` or `LegWarned` follows."""
        self._enqueue(partial(self._renegotiate, sdp), "offer")

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Take trickled candidates; a bad one is reported as `LegWarned`."""
        self._enqueue(partial(self._add_candidates, tuple(candidates[:MAX_JOBS])), "candidate")

    def dtmf(self, digits: str) -> None:
        """Send digits as RFC 4733 events, or as tones where the far end knows none."""
        if self._agreement is not None and self._report is not None:
            self._engine.post(SendDigits(self.port, digits))

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Close the leg and its port; nothing is reported any more."""
        self._end(None)

    async def closed(self) -> None:
        """Return when everything the leg held is released."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def send(self, datagram: bytes) -> None:
        """Send an encrypted datagram of the engine: that of a relayed pair."""
        if self._link is not None:
            self._link.send(datagram)

    # --- the life of the leg -------------------------------------------------------------

    async def _live(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                while True:
                    job = await self._jobs.get()
                    await job()
        finally:
            if self._link is not None:
                await self._link.close()
            self._forget(self)

    def _end(self, report: Report | None) -> None:
        """Stop everything, and say why unless the call knows; only the first time counts."""
        tell, self._report = self._report, None
        if tell is None:
            return
        if self._agreement is not None:
            self._engine.post(RemovePort(self.port))
        if self._task is not None:
            self._task.cancel()
        else:
            self._forget(self)
        if report is not None:
            tell(report)

    def _died(self, task: asyncio.Task[None]) -> None:
        """Let a fault of ours be the end of this leg alone."""
        if not task.cancelled() and (error := task.exception()):
            logger.error("a WebRTC leg failed", extra={"port": self.port}, exc_info=error)
            self._end(LegFailed(self._request.leg, "webrtc", "internal error", 500))

    def _tell(self, report: Report) -> None:
        if self._report is not None:
            self._report(report)

    def _warn(self, sender: str, error: str, code: int = 400) -> None:
        self._tell(LegWarned(self._request.leg, sender, error, code))

    def _fail(self, sender: str, error: PeerError) -> None:
        self._end(LegFailed(self._request.leg, sender, str(error), error.code))

    def _enqueue(self, job: Job, sender: str) -> None:
        try:
            self._jobs.put_nowait(job)
        except asyncio.QueueFull:
            self._warn(sender, "too many offers and candidates are waiting", 429)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        if self._tasks is None:
            raise RuntimeError("the leg does not live")
        self._tasks.create_task(work)

    # --- offers and candidates -------------------------------------------------------------

    async def _set_up(self) -> None:
        try:
            offer, agreement, transport = self._read(self._request.offer)
        except PeerError as error:
            self._fail("invite", error)
            return
        self._link = link = SecureLink(self._shared, self, self._spawn, self._request.handshake_s)
        try:
            await link.open(transport)
        except LinkError as error:
            self._fail(error.part, error)
            return
        self._take(agreement, offer)
        self._engine.post(AddRtpPort(self.port, self._request.mix, self._parameters(agreement)))
        self._hold(agreement, again=False)
        for reason in transport.refused:
            self._warn("candidate", reason)
        codec = agreement.codec.name
        answer = self._answer(link, offer, agreement)
        self._tell(
            LegAnswered(self._request.leg, answer, codec.lower(), audio_rate(codec), agreement.ptime_ms)
        )
        link.start()

    async def _renegotiate(self, sdp: str) -> None:
        before, link = self._agreement, self._link
        if before is None or link is None:
            self._warn("offer", "there is no answer yet that could be renegotiated", 409)
            return
        try:
            offer, agreement, transport = self._read(sdp)
            if agreement.index != before.index:
                raise SdpError("the audio section is not where it was", field="offer")
            await link.update(transport)
        except PeerError as error:
            self._warn("offer", str(error), error.code)
            return
        self._take(agreement, offer)
        parameters = self._parameters(agreement)
        if parameters != self._parameters(before):
            self._engine.post(UpdateRtp(self.port, parameters))
        self._hold(agreement, again=True)
        for reason in transport.refused:
            self._warn("candidate", reason)
        self._tell(LegUpdated(self._request.leg, self._answer(link, offer, agreement)))

    def _parameters(self, agreement: Agreement) -> RtpParameters:
        return rtp_parameters(agreement, self._identity, self._request.bitrate)

    def _read(self, sdp: str) -> tuple[Description, Agreement, TransportOffer]:
        if not sdp:
            raise SdpError("option.offer is missing", field="offer")
        offer = parse(sdp)
        agreement = negotiate(offer, profiles=SECURE_PROFILES, preferred=self._request.codec)
        return offer, agreement, transport_offer(offer, offer.media[agreement.index])

    def _take(self, agreement: Agreement, offer: Description) -> None:
        self._agreement = agreement
        self._mids = frozenset(mid for media in offer.media if (mid := media.first("mid")))

    def _hold(self, agreement: Agreement, *, again: bool) -> None:
        """Tell the engine when no media is no fault, and the call when the far end puts us on hold.

        A first offer of one direction is a plain listener or a microphone, nobody's hold.
        """
        on_hold = again and agreement.on_hold
        expects_silence = on_hold or agreement.is_silent
        if expects_silence != self._expects_silence:
            self._expects_silence = expects_silence
            self._engine.post(SetHeld(self.port, expects_silence))
        if on_hold != self._on_hold:
            self._on_hold = on_hold
            self._tell(LegHeld(self._request.leg, on_hold))

    def _answer(self, link: SecureLink, offer: Description, agreement: Agreement) -> str:
        self._version += 1
        return answer_text(
            offer,
            agreement,
            Local(
                session=self._session,
                version=self._version,
                credentials=IceCredentials(link.ice.local_username, link.ice.local_password),
                candidates=self._shared.own_candidates(link.ice),
                fingerprint=link.fingerprint,
                setup=link.setup,
                ssrc=self._identity.ssrc,
                cname=self._identity.cname,
                bitrate=self._request.bitrate,
            ),
        )

    async def _add_candidates(self, candidates: tuple[Candidate, ...]) -> None:
        for candidate in candidates:
            if not candidate.text.strip() or self._link is None:
                continue  # end-of-candidates: a peer-reflexive one may still come
            if candidate.mid and self._mids and candidate.mid not in self._mids:
                self._warn("candidate", "sdpMid names no section of the offer")
                continue
            try:
                await self._link.add(candidate_line(candidate.text))
            except SdpError as error:
                self._warn("candidate", str(error))

    # --- what the link tells -------------------------------------------------------------------

    def media_received(self, datagram: bytes) -> None:
        """Hand an encrypted datagram to the engine."""
        self._engine.deliver(self.port, datagram)

    def link_ready(self, link: SecureLink) -> None:
        """Key the port, and give it a socket to send on; relayed pairs send through `send`."""
        pair, keys = link.pair, link.keys
        if pair is None or keys is None or self._report is None:
            return
        fd = -1
        try:
            fd = link.duplicate_socket()
            self._engine.post(
                ConnectSecure(
                    port=self.port,
                    receive_key=keys.receive_key,
                    send_key=keys.send_key,
                    profile=keys.profile,
                    fd=fd,
                    remote_host=pair.remote[0],
                    remote_port=pair.remote[1],
                )
            )
        except (OSError, NotNowError) as error:
            # The engine owns the descriptor only once it has taken the message.
            if fd >= 0:
                os.close(fd)
            self._end(LegFailed(self._request.leg, "media", f"the port cannot be connected: {error}", 503))

    def link_ended(self, reason: str) -> None:
        """Report that the far end is gone."""
        initiator = "caller" if reason == "caller" else "system"
        self._end(LegEnded(self._request.leg, reason, initiator))

    def link_failed(self, error: LinkError) -> None:
        """Report that the far end could not be reached."""
        self._fail(error.part, error)

    def link_warned(self, error: LinkError) -> None:
        """Report that an ICE restart failed."""
        self._warn(error.part, str(error), error.code)
