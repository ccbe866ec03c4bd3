"""One WebRTC leg: the endpoint of a browser or another WebRTC peer that made an offer."""

import asyncio
import os
from collections.abc import Callable, Sequence
from functools import partial

from softswitch.call.interfaces import LegRequest
from softswitch.call.vocabulary.reports import (
    LegAnswered,
    LegEnded,
    LegFailed,
    LegHeld,
    LegTrickled,
    LegUpdated,
    Report,
)
from softswitch.call.vocabulary.values import Candidate
from softswitch.errors import NotNowError, PeerError
from softswitch.legs.lifecycle import MAX_JOBS as QUEUED
from softswitch.legs.lifecycle import Job, LegLifecycle
from softswitch.legs.rtp_parameters import StreamIdentity, audio_rate, rtp_parameters
from softswitch.legs.webrtc.secure_link import LinkError, SecureLink
from softswitch.legs.webrtc.shared import WebRtcShared
from softswitch.media.messages import (
    AddRtpPort,
    ConnectSecure,
    RemovePort,
    RtpParameters,
    SendDigits,
    SetDirection,
    SetHeld,
    UpdateRtp,
)
from softswitch.sdp import (
    SECURE_PROFILES,
    Agreement,
    CandidateLine,
    Description,
    Direction,
    IceCredentials,
    Local,
    SdpError,
    TransportOffer,
    answer_text,
    can_receive,
    can_send,
    candidate_line,
    negotiate,
    parse,
    transport_offer,
)

MAX_CANDIDATES = 64
"""Candidates in one command."""
MOVED = 410
"""Code of the warning that the path of a leg begins at an address that is gone (HTTP: Gone)."""
RETURN_S = 20.0
"""Longest wait for the new link of a peer that may come back, in seconds."""


class WebRtcLeg:
    """The endpoint of a browser, or of any other WebRTC peer that made an offer.

    `answer` starts the task of the leg's lifecycle, which negotiates; connecting is a task beside it. The
    last act of the task closes the link.
    """

    def __init__(
        self,
        shared: WebRtcShared,
        request: LegRequest,
        on_report: Callable[[Report], None],
        on_ended: Callable[["WebRtcLeg"], None],
    ) -> None:
        """Prepare; `answer` comes next.

        Args:
            shared: resources of all WebRTC legs.
            request: parameters of the leg.
            on_report: takes the reports of the leg.
            on_ended: called once when the leg has released everything.
        """
        self.port = request.port
        self._shared = shared
        self._on_ended = on_ended
        self._engine = shared.engine
        self._request = request
        self._life = LegLifecycle("webrtc", request, on_report, self._release, on_stopped=self._close_link)
        self._life.enqueue(self._set_up)
        self._link: SecureLink | None = None
        self._identity = StreamIdentity.draw(shared.random)
        self._session = shared.random.getrandbits(62)
        self._version = 0
        self._agreement: Agreement | None = None
        self._mids: frozenset[str] = frozenset()
        self._mid: str | None = None
        """mid of the audio section."""
        self._on_hold = False
        self._expects_silence = False
        self._flow: Direction = "sendrecv"

    # --- commands ----------------------------------------------------------------------

    def ring(self, early_media: bool = False) -> None:
        """Do nothing: the remote party of a WebRTC leg is the caller."""

    def answer(self) -> None:
        """Answer the offer of the request; `LegAnswered` or `LegFailed` follows."""
        self._life.start(lambda: self._on_ended(self))

    def offer(self, sdp: str) -> None:
        """Apply a later offer; `LegUpdated` or `LegWarned` follows."""
        self._enqueue(partial(self._renegotiate, sdp), "offer")

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Add trickled candidates; an unusable one is reported as `LegWarned`."""
        self._enqueue(partial(self._add_candidates, tuple(candidates[:MAX_CANDIDATES])), "candidate")

    def dtmf(self, digits: str) -> None:
        """Send digits as RFC 4733 events, or as tones where the peer supports no events."""
        if self._agreement is not None and not self._life.is_over:
            self._engine.post(SendDigits(self.port, digits))

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """End the leg; no report follows."""
        self._life.end(None)

    async def closed(self) -> None:
        """Return when everything the leg held is released."""
        await self._life.closed()

    def send(self, datagram: bytes) -> None:
        """Send an encrypted datagram of the engine over the TURN server."""
        if self._link is not None:
            self._link.send(datagram)

    def stray(self, datagram: bytes, source: tuple[str, int]) -> None:
        """Take a datagram that the engine has read from the socket of ICE: no media of the peer."""
        if self._link is not None:
            self._link.stray(datagram, source)

    @property
    def path(self) -> str:
        """Return the pair of candidates that media use, in words; "" before there is one."""
        return self._link.path if self._link is not None else ""

    def addresses_changed(self, present: frozenset[str]) -> None:
        """Report a path that begins at an address that is gone: an offer would find another."""
        gone = self._link.stranded(present) if self._link is not None else ""
        if gone and not self._life.is_over:
            reason = f"the switch has lost its address {gone}: send an offer with an ICE restart"
            self._life.warn("media", reason, MOVED)

    # --- its end ---------------------------------------------------------------------------

    def _release(self) -> None:
        if self._agreement is not None:
            self._engine.post(RemovePort(self.port))
        if not self._life.is_started:
            self._on_ended(self)

    async def _close_link(self) -> None:
        if self._link is not None:
            await self._link.close()

    def _fail(self, sender: str, error: PeerError) -> None:
        self._life.end(LegFailed(self._request.leg, sender, str(error), error.code))

    def _enqueue(self, job: Job, sender: str) -> None:
        if not self._life.enqueue(job):
            self._life.warn(sender, f"{sender}: more than {QUEUED} offers and candidates wait", 429)

    # --- offers and candidates -------------------------------------------------------------

    async def _set_up(self) -> None:
        try:
            offer, agreement, transport = self._read(self._request.offer)
        except PeerError as error:
            self._fail("invite", error)
            return
        self._link = link = SecureLink(
            self._shared, self, self._life.spawn, self._request.handshake_s, trickle=self._request.trickle
        )
        try:
            await link.open(transport)
        except LinkError as error:
            self._fail(error.part, error)
            return
        self._agree(agreement, offer)
        self._engine.post(AddRtpPort(self.port, self._request.mix, self._parameters(agreement)))
        self._hold(agreement, again=False)
        for reason in transport.refused:
            self._life.warn("candidate", reason)
        codec = agreement.codec.name
        answer = self._answer(link, offer, agreement)
        self._life.report(
            LegAnswered(self._request.leg, answer, codec.lower(), audio_rate(codec), agreement.ptime_ms)
        )
        link.start()

    async def _renegotiate(self, sdp: str) -> None:
        before, link = self._agreement, self._link
        if before is None or link is None:
            self._life.warn("offer", "offer: the first offer is not answered yet", 409)
            return
        try:
            offer, agreement, transport = self._read(sdp)
            if agreement.index != before.index:
                raise SdpError("the audio section moved to another position", field="offer")
            await link.update(transport)
        except PeerError as error:
            self._life.warn("offer", str(error), error.code)
            return
        self._agree(agreement, offer)
        parameters = self._parameters(agreement)
        if parameters != self._parameters(before):
            self._engine.post(UpdateRtp(self.port, parameters))
        self._hold(agreement, again=True)
        for reason in transport.refused:
            self._life.warn("candidate", reason)
        self._life.report(LegUpdated(self._request.leg, self._answer(link, offer, agreement)))

    def _parameters(self, agreement: Agreement) -> RtpParameters:
        return rtp_parameters(agreement, self._identity, self._request.bitrate)

    def _read(self, sdp: str) -> tuple[Description, Agreement, TransportOffer]:
        if not sdp:
            raise SdpError("option.offer: an SDP offer is required", field="offer")
        offer = parse(sdp)
        agreement = negotiate(offer, profiles=SECURE_PROFILES, preferred=self._request.codec)
        return offer, agreement, transport_offer(offer, offer.media[agreement.index])

    def _agree(self, agreement: Agreement, offer: Description) -> None:
        self._agreement = agreement
        self._mid = offer.media[agreement.index].first("mid")
        self._mids = frozenset(mid for media in offer.media if (mid := media.first("mid")))

    def _hold(self, agreement: Agreement, *, again: bool) -> None:
        """Tell the engine what flows and when silence is expected, and the call when the peer holds it.

        Media flow as the answer says, from its first packet on (RFC 3264 sections 6.1 and 8.4). A first offer
        of one direction is a plain listener or a microphone, not a hold.
        """
        if agreement.direction != self._flow:
            self._flow = agreement.direction
            sends, receives = can_send(self._flow), can_receive(self._flow)
            self._engine.post(SetDirection(self.port, sends=sends, receives=receives))
        on_hold = again and agreement.on_hold
        expects_silence = on_hold or agreement.is_silent
        if expects_silence != self._expects_silence:
            self._expects_silence = expects_silence
            self._engine.post(SetHeld(self.port, expects_silence))
        if on_hold != self._on_hold:
            self._on_hold = on_hold
            self._life.report(LegHeld(self._request.leg, on_hold))

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
                complete=link.ice.complete,
            ),
        )

    async def _add_candidates(self, candidates: tuple[Candidate, ...]) -> None:
        for candidate in candidates:
            if not candidate.text.strip() or self._link is None:
                continue  # end-of-candidates: a peer-reflexive one may still come
            if candidate.mid and self._mids and candidate.mid not in self._mids:
                self._life.warn("candidate", "candidate: sdpMid names no section of the offer")
                continue
            try:
                await self._link.add(candidate_line(candidate.text))
            except SdpError as error:
                self._life.warn("candidate", str(error))

    # --- events of the link --------------------------------------------------------------------

    def media_received(self, datagram: bytes) -> None:
        """Hand an encrypted datagram to the engine."""
        self._engine.deliver(self.port, datagram)

    def link_ready(self, link: SecureLink) -> None:
        """Give the engine the keys and a socket; pairs over a TURN server send through `send`."""
        pair, keys = link.pair, link.keys
        if pair is None or keys is None or self._life.is_over:
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
                    reads=fd >= 0,
                )
            )
            # What comes until the engine begins to read waits in the socket.
            link.hand_over()
        except (OSError, NotNowError) as error:
            # The engine owns the descriptor only once it has taken the message.
            if fd >= 0:
                os.close(fd)
            self._life.end(
                LegFailed(self._request.leg, "media", f"the port cannot be connected: {error}", 503)
            )

    def link_ended(self, reason: str) -> None:
        """End the leg: the peer has closed its link, or is silent.

        A page that is loaded again closes its link before it comes back with a new one.
        """
        returns = self._request.may_return and self._life.accepts_work
        if reason == "caller" and returns and self._link is not None:
            self._life.spawn(self._await_return(self._link, self._link.generation))
            return
        self._end_with(reason)

    async def _await_return(self, link: SecureLink, generation: int) -> None:
        await asyncio.sleep(RETURN_S)
        if link.generation == generation:
            self._end_with("caller")

    def _end_with(self, reason: str) -> None:
        initiator = "caller" if reason == "caller" else "system"
        self._life.end(LegEnded(self._request.leg, reason, initiator))

    def link_failed(self, error: LinkError) -> None:
        """End the leg: the link could not be established."""
        self._fail(error.part, error)

    def link_trickled(self, lines: Sequence[CandidateLine]) -> None:
        """Report late candidates to the client that asked for them; at the end an empty one."""
        index = self._agreement.index if self._agreement is not None else 0
        texts = [f"candidate:{line.text()}" for line in lines] or [""]
        found = tuple(Candidate(text, self._mid, index) for text in texts)
        self._life.report(LegTrickled(self._request.leg, found))

    def link_warned(self, error: LinkError) -> None:
        """Report that an ICE restart failed, or a TURN server refuses."""
        self._life.warn(error.part, str(error), error.code)
