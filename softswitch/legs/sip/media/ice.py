"""Media transport with ICE and DTLS: a SIP phone in a browser."""

import asyncio
import os
from collections.abc import Sequence

from softswitch.errors import NotNowError
from softswitch.legs.sip.media.shared import MediaOwner, SipMediaShared
from softswitch.legs.sip.media.transport import GOODBYE_S, Spawn
from softswitch.legs.webrtc.secure_link import LinkError, SecureLink
from softswitch.media.messages import ConnectSecure
from softswitch.sdp import (
    CandidateLine,
    Description,
    IceCredentials,
    Keying,
    Media,
    NotAcceptableError,
    OwnTransport,
    TransportOffer,
    transport_offer,
)

PROFILE = "UDP/TLS/RTP/SAVPF"
RESTARTS = 3
"""Offers of another path in a row that a peer may refuse, or that may lead nowhere."""


class IceTransport:
    """A secure link as the media transport of a SIP leg."""

    def __init__(
        self, shared: SipMediaShared, spawn: Spawn, owner: MediaOwner, port: int, handshake_s: float | None
    ) -> None:
        """Prepare; `open` comes next.

        Args:
            shared: engine, ICE sessions and certificates.
            spawn: starts a task that ends with the leg.
            owner: receives the events of the transport.
            port: port of the leg in the engine.
            handshake_s: longest wait for ICE and DTLS in seconds; None: the default.
        """
        self._shared, self._spawn, self._owner, self._port = shared, spawn, owner, port
        self._link = SecureLink(shared.webrtc, self, spawn, handshake_s)
        self._offering = False
        self._transport: TransportOffer | None = None
        self._started = False
        self._restarts = 0
        self._connected = 0
        """How often the link became ready."""
        self._closed = False

    async def open(self, *, offering: bool) -> None:
        """Gather candidates for an offer; for an answer, the peer's offer must be read first."""
        self._offering = offering
        if offering:
            try:
                await self._link.offer()
            except LinkError as error:
                raise NotNowError(str(error)) from error

    def serves(self, keying: Keying) -> bool:
        """Serve what has ICE."""
        return keying == "ice"

    def offered(self) -> OwnTransport:
        """Return the transport parameters of an offer."""
        return self._own(PROFILE, answers=False)

    def answered(self, profile: str) -> OwnTransport:
        """Return the transport parameters of an answer."""
        return self._own(profile, answers=True)

    async def take(self, description: Description, media: Media, keying: Keying, *, answer: bool) -> None:
        """Give the link the peer's transport parameters; new credentials in an offer restart ICE."""
        del keying
        transport, before = transport_offer(description, media), self._transport
        if before is None:
            try:
                await (self._link.accept(transport) if self._offering else self._link.open(transport))
            except LinkError as error:
                raise NotNowError(str(error)) from error
        elif answer and self._link.restarting:
            if transport.credentials == before.credentials:
                await self._link.withdraw()
                raise NotAcceptableError("the answer does not restart ICE", field="answer")
            await self._link.restarted(transport)
        elif answer and transport.credentials != before.credentials:
            raise NotAcceptableError(
                "the answer has new ICE credentials, which only an offer may bring", field="answer"
            )
        else:
            await self._link.update(transport)
        self._transport = transport
        for reason in transport.refused:
            self._owner.media_warned("candidate", reason, 400)

    async def restart(self, present: frozenset[str]) -> bool:
        """Gather candidates for an offer of another path where the present one begins at a lost address."""
        if self._link.restarting or self._restarts >= RESTARTS or not self._link.stranded(present):
            return False
        self._restarts += 1
        try:
            await self._link.restart()
        except LinkError as error:
            raise NotNowError(str(error)) from error
        return True

    async def withdraw(self) -> None:
        """Drop the path that was offered."""
        await self._link.withdraw()

    @property
    def path(self) -> str:
        """Return the nominated pair in words; "" before there is one."""
        return self._link.path

    def connect(self) -> None:
        """Start to connect; does nothing while that is under way or done."""
        if not self._started:
            self._started = True
            self._link.start()

    async def close(self) -> None:
        """Close the link."""
        self._closed = True
        self._shared.relaying.pop(self._port, None)
        await self._link.close()

    def _own(self, profile: str, *, answers: bool) -> OwnTransport:
        link = self._link
        session = link.ice if answers else link.own
        return OwnTransport(
            profile=profile,
            fingerprint=link.fingerprint,
            setup=link.setup if answers else "actpass",
            credentials=IceCredentials(session.local_username, session.local_password),
            candidates=self._shared.webrtc.own_candidates(session),
        )

    # --- events of the link ------------------------------------------------------------------------

    def media_received(self, datagram: bytes) -> None:
        """Hand an encrypted datagram to the engine."""
        self._shared.engine.deliver(self._port, datagram)

    def link_ready(self, link: SecureLink) -> None:
        """Give the engine the keys and a socket; pairs over a TURN server send through the link."""
        pair, keys = link.pair, link.keys
        if pair is None or keys is None or self._closed:
            return
        self._connected += 1
        self._restarts = 0
        try:
            fd = link.duplicate_socket()
        except OSError as error:
            self._owner.media_failed("media", f"the port cannot be connected: {error.strerror}", 503)
            return
        order = ConnectSecure(
            port=self._port,
            receive_key=keys.receive_key,
            send_key=keys.send_key,
            profile=keys.profile,
            fd=fd,
            remote_host=pair.remote[0],
            remote_port=pair.remote[1],
        )
        try:
            self._shared.engine.post(order)
        except NotNowError as error:
            # The engine owns the descriptor only once it has taken the message.
            if fd >= 0:
                os.close(fd)
            self._owner.media_failed("media", f"the port cannot be connected: {error}", 503)
            return
        if fd < 0:
            self._shared.relaying[self._port] = link
        else:
            self._shared.relaying.pop(self._port, None)

    def link_ended(self, reason: str) -> None:
        """Report the end of the media; after the peer's close only after a pause, since a BYE may follow."""
        if reason == "caller":
            self._spawn(self._report_end(self._connected))
        else:
            self._owner.media_ended(reason)

    async def _report_end(self, connected: int) -> None:
        await asyncio.sleep(GOODBYE_S)
        if connected == self._connected:
            self._owner.media_ended("caller")

    def link_failed(self, error: LinkError) -> None:
        """Report that the link could not be established."""
        self._owner.media_failed(error.part, str(error), error.code)

    def link_trickled(self, lines: Sequence[CandidateLine]) -> None:
        """Do nothing: SIP phones in browsers get no trickled candidates, their offers wait for servers."""

    def link_warned(self, error: LinkError) -> None:
        """Report that an ICE restart failed, or a TURN server refuses."""
        self._owner.media_warned(error.part, str(error), error.code)
