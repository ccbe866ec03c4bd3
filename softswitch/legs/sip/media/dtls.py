"""Media transport with DTLS-SRTP on plain sockets, for SIP phones without ICE (RFC 5764)."""

import asyncio
import socket
from typing import TYPE_CHECKING, Literal

from softswitch.errors import NotNowError
from softswitch.legs.sip.media.announced import Announced
from softswitch.legs.sip.media.dtls_socket import DtlsSocket
from softswitch.legs.sip.media.plain import RemoteAddress, close_all, duplicates, remote_address, shown_path
from softswitch.legs.sip.media.rtp_sockets import RtpPair
from softswitch.legs.sip.media.shared import MediaOwner, SipMediaShared
from softswitch.legs.sip.media.transport import GOODBYE_S, Spawn
from softswitch.legs.webrtc.aiortc_private import DtlsError
from softswitch.media.messages import ConnectSecure
from softswitch.media.rtp.secure import is_rtcp
from softswitch.media.rtp.sockets import Address
from softswitch.sdp import (
    Description,
    DtlsSide,
    Fingerprint,
    Keying,
    Media,
    OwnTransport,
    dtls_side,
    shares_rtcp,
)

if TYPE_CHECKING:
    from aiortc import RTCCertificate

PROFILE = "UDP/TLS/RTP/SAVP"


class DtlsTransport:
    """A pair of sockets with a DTLS association on each one in use."""

    def __init__(
        self,
        shared: SipMediaShared,
        spawn: Spawn,
        owner: MediaOwner,
        *,
        port: int,
        remote: str,
        handshake_s: float | None,
    ) -> None:
        """Prepare; `open` comes next.

        Args:
            shared: engine, sockets and certificates.
            spawn: starts a task that ends with the leg.
            owner: receives the events of the transport.
            port: port of the leg in the engine.
            remote: address of the peer's signalling.
            handshake_s: longest wait for DTLS in seconds; None: the default.
        """
        self._shared, self._spawn, self._owner = shared, spawn, owner
        self._port, self._announced = port, Announced(shared.address_toward, remote)
        self._connect_s = shared.webrtc.connect_s if handshake_s is None else handshake_s
        self._keyed: tuple[RTCCertificate, Fingerprint] | None = None
        """Local certificate and its fingerprint; None before `open`."""
        self._pair: RtpPair | None = None
        self._profile = PROFILE
        self._role: Literal["client", "server"] = "client"
        self._side: DtlsSide | None = None
        self._remote: RemoteAddress | None = None
        self._mux = True
        self._rtp: DtlsSocket | None = None
        self._rtcp: DtlsSocket | None = None
        self._keyed_for: DtlsSide | None = None
        """Remote DTLS parameters that the present association was made for, or is being made for."""
        self._attempt = 0
        self._sent_to: Address | None = None
        """Address that the engine sends to."""

    async def open(self, *, offering: bool) -> None:
        """Open a pair of ports."""
        del offering
        self._keyed = await self._shared.webrtc.certificate()
        self._pair = self._shared.sockets.open()

    def serves(self, keying: Keying) -> bool:
        """Serve DTLS without ICE."""
        return keying == "dtls"

    def offered(self) -> OwnTransport:
        """Return the transport parameters of an offer."""
        return self._own(self._profile, mux=True, answers=False)

    def answered(self, profile: str) -> OwnTransport:
        """Return the transport parameters of an answer."""
        return self._own(profile, mux=self._mux, answers=True)

    async def take(self, description: Description, media: Media, keying: Keying, *, answer: bool) -> None:
        """Read the peer's address, fingerprints and setup role."""
        del keying, answer
        side = dtls_side(description, media)
        remote = remote_address(description, media, self._open_pair.family)
        if remote is not None:
            self._announced.meet(remote.host)
        if self._side is None or not self._goes_on(self._side, side):
            # Passive where there is a choice: a peer behind a NAT has to send first, so that its address is
            # learned.
            self._role = "client" if side.setup == "passive" else "server"
            self._side = side
        self._remote = remote or self._remote
        self._mux, self._profile = shares_rtcp(media), media.protocol

    async def restart(self, present: frozenset[str]) -> bool:
        """Do nothing: without ICE, an offer shows the present address by itself."""
        del present
        return False

    async def withdraw(self) -> None:
        """Do nothing: nothing was prepared."""

    @property
    def path(self) -> str:
        """Return local and remote address; "" before the peer's description."""
        pair, remote = self._pair, self._remote
        return shown_path(self._announced.text(), pair.port, remote) if pair and remote else ""

    def connect(self) -> None:
        """Start the handshake or repeat it, or follow the peer to a new address."""
        remote, side = self._remote, self._side
        if remote is None or side is None:
            return
        is_another = side is not self._keyed_for
        self._keyed_for = side
        rtp, rtcp = self._rtp, self._rtcp
        self._rtp = self._socket_at(rtp, self._open_pair.rtp, (remote.host, remote.port))
        if not self._mux:
            self._rtcp = self._socket_at(rtcp, self._open_pair.rtcp, (remote.host, remote.rtcp_port))
        if is_another:
            self._spawn(self._establish(side))
        elif rtp is not None and rtp.target != self._sent_to:
            self.source_changed(rtp)

    async def close(self) -> None:
        """Close the associations and free the ports."""
        pair, self._pair = self._pair, None
        self._shared.relaying.pop(self._port, None)
        try:
            for part in self._parts:
                await part.close()
        finally:
            if pair is not None:
                self._shared.sockets.close(pair)

    @property
    def _own_certificate(self) -> "tuple[RTCCertificate, Fingerprint]":
        if self._keyed is None:
            raise RuntimeError("the sockets are not open")
        return self._keyed

    @property
    def _open_pair(self) -> RtpPair:
        if self._pair is None:
            raise RuntimeError("the sockets are not open")
        return self._pair

    @property
    def _parts(self) -> list[DtlsSocket]:
        return [part for part in (self._rtp, self._rtcp) if part is not None]

    def _own(self, profile: str, *, mux: bool, answers: bool) -> OwnTransport:
        setup: Literal["active", "passive"] = "active" if self._role == "client" else "passive"
        return OwnTransport(
            profile,
            self._announced.text(),
            self._open_pair.port,
            mux,
            fingerprint=self._own_certificate[1],
            setup=setup if answers else "actpass",
        )

    def _goes_on(self, before: DtlsSide, now: DtlsSide) -> bool:
        """Tell whether an association outlives a new description (RFC 8842 section 4)."""
        is_alike = now.setup == "actpass" or (now.setup == "active") == (self._role == "server")
        return is_alike and set(before.fingerprints) == set(now.fingerprints)

    def _socket_at(self, before: DtlsSocket | None, udp: socket.socket, remote: Address) -> DtlsSocket:
        """Return the reading socket for a remote address: the present one, moved where needed."""
        shared = self._shared
        if before is None:
            return DtlsSocket(udp, remote, self, shared.webrtc.drops, shared.clock)
        if before.announced != remote:
            before.move(remote)
        return before

    async def _establish(self, side: DtlsSide) -> None:
        """Do the handshake of each socket in turn; early datagrams of the second wait in its association."""
        self._attempt += 1
        attempt = self._attempt
        try:
            async with asyncio.timeout(self._connect_s):
                pairs = []
                for part in self._parts:
                    await part.dissociate()
                    pairs.append(
                        (part, part.associate(self._own_certificate[0], self._role, side.fingerprints))
                    )
                for part, association in pairs:
                    part.keys = await association.connect()
        except TimeoutError:
            if attempt == self._attempt:
                self._owner.media_failed("dtls", "the DTLS handshake did not finish in time", 504)
        except DtlsError as error:
            if attempt == self._attempt:
                self._owner.media_failed("dtls", str(error), 488)
        else:
            if attempt == self._attempt:
                self._key()

    def _key(self) -> None:
        """Give the engine the keys and the RTP socket; RTCP on a port of its own is sent by `send`."""
        rtp = self._rtp
        if rtp is None or rtp.keys is None or self._pair is None:
            return
        control = None if self._mux or self._rtcp is None else self._rtcp.keys
        fd = -1
        try:
            fd, _ = duplicates(self._pair, with_rtcp=False)
            self._shared.engine.post(
                ConnectSecure(
                    port=self._port,
                    receive_key=rtp.keys.receive_key,
                    send_key=rtp.keys.send_key,
                    profile=rtp.keys.profile,
                    fd=fd,
                    remote_host=rtp.target[0],
                    remote_port=rtp.target[1],
                    rtcp_receive_key=control.receive_key if control else b"",
                    rtcp_send_key=control.send_key if control else b"",
                )
            )
        except NotNowError as error:
            # The engine owns the descriptor only once it has taken the message.
            close_all(fd)
            self._owner.media_failed("media", f"the port cannot be connected: {error}", 503)
            return
        self._sent_to = rtp.target
        if control is not None:
            self._shared.relaying[self._port] = self

    def send(self, datagram: bytes) -> bool:
        """Send an RTCP datagram that the engine has protected."""
        return self._rtcp is not None and self._rtcp.send(datagram)

    # --- events of the sockets -------------------------------------------------------------------

    def media_arrived(self, part: DtlsSocket, datagram: bytes) -> None:
        """Hand an encrypted datagram to the engine; RTP is accepted on its own socket only."""
        if part is self._rtp or is_rtcp(datagram):
            self._shared.engine.deliver(self._port, datagram)
        else:
            self._shared.webrtc.drops.unknown_kind += 1

    def source_changed(self, part: DtlsSocket) -> None:
        """Send to the address that the peer was found at; a handshake with the old address is void."""
        if part.keys is not None:
            self._key()
        elif self._side is not None and self._attempt:
            self._spawn(self._establish(self._side))

    def association_closed(self, part: DtlsSocket) -> None:
        """Report the end of the media after a pause, in which a BYE or another handshake may come."""
        del part
        self._spawn(self._report_end(self._attempt))

    async def _report_end(self, attempt: int) -> None:
        await asyncio.sleep(GOODBYE_S)
        if attempt == self._attempt:
            self._owner.media_ended("caller")
