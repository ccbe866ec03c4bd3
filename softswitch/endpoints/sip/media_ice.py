"""Media by ICE and DTLS: a telephone in a browser, which calls or is called."""

import asyncio
import os

from softswitch.endpoints.secure_link import LinkError, SecureLink
from softswitch.endpoints.sip.media_shared import MediaOwner, SipMediaShared
from softswitch.endpoints.sip.media_way import GOODBYE_S, Spawn
from softswitch.errors import NotNowError
from softswitch.media.messages import ConnectSecure
from softswitch.sdp import (
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


class IceWay:
    """A secure link, as a telephone's leg uses it."""

    def __init__(
        self, shared: SipMediaShared, spawn: Spawn, owner: MediaOwner, port: int, handshake_s: float | None
    ) -> None:
        """Make a way that is not open yet.

        Args:
            shared: engine, ICE sessions and certificates.
            spawn: starts a task that ends with the leg.
            owner: whom it tells.
            port: of the leg in the engine.
            handshake_s: longest wait for ICE and DTLS; None: as long as usual.
        """
        self._shared, self._spawn, self._owner, self._port = shared, spawn, owner, port
        self._link = SecureLink(shared.webrtc, self, spawn, handshake_s)
        self._offering = False
        self._transport: TransportOffer | None = None
        self._started = False
        self._connected = 0
        """How often the link became ready."""

    async def open(self, *, offering: bool) -> None:
        """Gather candidates for an offer of ours; one of theirs must be seen first."""
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
        """Return what an offer of ours says."""
        return self._own(PROFILE, answers=False)

    def answered(self, profile: str) -> OwnTransport:
        """Return what our answer says."""
        return self._own(profile, answers=True)

    async def take(self, description: Description, media: Media, keying: Keying, *, answer: bool) -> None:
        """Tell the link where the far end is; new credentials in an offer restart ICE."""
        del keying
        transport, before = transport_offer(description, media), self._transport
        if before is None:
            try:
                await (self._link.accept(transport) if self._offering else self._link.open(transport))
            except LinkError as error:
                raise NotNowError(str(error)) from error
        elif answer and transport.credentials != before.credentials:
            raise NotAcceptableError("the answer restarts ICE, which only an offer can", field="answer")
        else:
            await self._link.update(transport)
        self._transport = transport
        for reason in transport.refused:
            self._owner.media_warned("candidate", reason, 400)

    def connect(self) -> None:
        """Begin to connect; what is under way goes on by itself."""
        if not self._started:
            self._started = True
            self._link.start()

    async def close(self) -> None:
        """Close the link."""
        self._shared.relaying.pop(self._port, None)
        await self._link.close()

    def _own(self, profile: str, *, answers: bool) -> OwnTransport:
        link = self._link
        return OwnTransport(
            profile=profile,
            fingerprint=link.fingerprint,
            setup=link.setup if answers else "actpass",
            credentials=IceCredentials(link.ice.local_username, link.ice.local_password),
            candidates=self._shared.webrtc.own_candidates(link.ice),
        )

    # --- what the link tells ----------------------------------------------------------------------

    def media_received(self, datagram: bytes) -> None:
        """Hand an encrypted datagram to the engine."""
        self._shared.engine.deliver(self._port, datagram)

    def link_ready(self, link: SecureLink) -> None:
        """Key the port, and give it a socket to send on; relayed pairs send through the link."""
        pair, keys = link.pair, link.keys
        if pair is None or keys is None:
            return
        self._connected += 1
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
        """Tell that the far end is gone: after a goodbye, unless it begins anew or hangs up properly."""
        if reason == "caller":
            self._spawn(self._part_from(self._connected))
        else:
            self._owner.media_ended(reason)

    async def _part_from(self, connected: int) -> None:
        await asyncio.sleep(GOODBYE_S)
        if connected == self._connected:
            self._owner.media_ended("caller")

    def link_failed(self, error: LinkError) -> None:
        """Tell that the far end could not be reached."""
        self._owner.media_failed(error.part, str(error), error.code)

    def link_warned(self, error: LinkError) -> None:
        """Tell that an ICE restart failed."""
        self._owner.media_warned(error.part, str(error), error.code)
