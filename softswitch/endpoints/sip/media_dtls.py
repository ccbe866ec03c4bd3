"""Media by DTLS on plain sockets, for telephones that know no ICE (RFC 5764)."""

import asyncio
import socket
from typing import Literal

from softswitch.endpoints.aiortc_private import DtlsError
from softswitch.endpoints.sip.dtls_socket import DtlsSocket
from softswitch.endpoints.sip.media_plain import Far, close_all, duplicates, far_of
from softswitch.endpoints.sip.media_shared import MediaOwner, SipMediaShared
from softswitch.endpoints.sip.media_way import GOODBYE_S, Spawn
from softswitch.endpoints.sip.rtp_sockets import RtpPair
from softswitch.errors import NotNowError
from softswitch.media.messages import ConnectSecure
from softswitch.media.secure import is_rtcp
from softswitch.media.sockets import Address
from softswitch.sdp import Description, DtlsSide, Keying, Media, OwnTransport, dtls_side, shares_rtcp

PROFILE = "UDP/TLS/RTP/SAVP"


class DtlsWay:
    """A pair of sockets with a DTLS association on each that is used."""

    def __init__(
        self,
        shared: SipMediaShared,
        spawn: Spawn,
        owner: MediaOwner,
        port: int,
        address: str,
        handshake_s: float | None,
    ) -> None:
        """Make a way that is not open yet.

        Args:
            shared: engine, sockets and certificates.
            spawn: starts a task that ends with the leg.
            owner: whom it tells.
            port: of the leg in the engine.
            address: what to announce.
            handshake_s: longest wait for DTLS; None: as long as usual.
        """
        self._shared, self._spawn, self._owner = shared, spawn, owner
        self._port, self._address = port, address
        self._connect_s = shared.webrtc.connect_s if handshake_s is None else handshake_s
        self._certificate, self._fingerprint = shared.webrtc.certificate()
        self._pair: RtpPair | None = None
        self._profile = PROFILE
        self._role: Literal["client", "server"] = "client"
        self._side: DtlsSide | None = None
        self._far: Far | None = None
        self._mux = True
        self._rtp: DtlsSocket | None = None
        self._rtcp: DtlsSocket | None = None
        self._keyed_for: DtlsSide | None = None
        """Whose association there is, or is being made."""
        self._attempt = 0
        self._sent_to: Address | None = None
        """Where the engine sends."""

    async def open(self, *, offering: bool) -> None:
        """Take a pair of ports."""
        del offering
        self._pair = self._shared.sockets.open()

    def serves(self, keying: Keying) -> bool:
        """Serve DTLS without ICE."""
        return keying == "dtls"

    def offered(self) -> OwnTransport:
        """Return what an offer of ours says."""
        return self._own(self._profile, mux=True, answers=False)

    def answered(self, profile: str) -> OwnTransport:
        """Return what our answer says."""
        return self._own(profile, mux=self._mux, answers=True)

    async def take(self, description: Description, media: Media, keying: Keying, *, answer: bool) -> None:
        """Read address, fingerprints and who begins."""
        del keying, answer
        side = dtls_side(description, media)
        far = far_of(description, media, self._open_pair.family)
        if self._side is None or not self._goes_on(self._side, side):
            # Passive where there is a choice: one behind a NAT must speak first to be found.
            self._role = "client" if side.setup == "passive" else "server"
            self._side = side
        self._far = far or self._far
        self._mux, self._profile = shares_rtcp(media), media.protocol

    def connect(self) -> None:
        """Begin the handshake, another one, or follow the far end to its new address."""
        far, side = self._far, self._side
        if far is None or side is None:
            return
        is_another = side is not self._keyed_for
        self._keyed_for = side
        rtp, rtcp = self._rtp, self._rtcp
        self._rtp = self._socket_at(rtp, self._open_pair.rtp, (far.host, far.port))
        if not self._mux:
            self._rtcp = self._socket_at(rtcp, self._open_pair.rtcp, (far.host, far.rtcp_port))
        if is_another:
            self._spawn(self._establish(side))
        elif rtp is not None and rtp.target != self._sent_to:
            self.source_changed(rtp)

    async def close(self) -> None:
        """Say goodbye and give the ports back."""
        pair, self._pair = self._pair, None
        self._shared.relaying.pop(self._port, None)
        for part in self._parts:
            await part.close()
        if pair is not None:
            self._shared.sockets.close(pair)

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
            self._address,
            self._open_pair.port,
            mux,
            fingerprint=self._fingerprint,
            setup=setup if answers else "actpass",
        )

    def _goes_on(self, before: DtlsSide, now: DtlsSide) -> bool:
        """Tell whether an association outlives an offer: same certificate, same parts (RFC 8842 4)."""
        is_alike = now.setup == "actpass" or (now.setup == "active") == (self._role == "server")
        return is_alike and set(before.fingerprints) == set(now.fingerprints)

    def _socket_at(self, before: DtlsSocket | None, udp: socket.socket, far: Address) -> DtlsSocket:
        """Return a reading socket for a far end: the one of before, moved where that is needed."""
        shared = self._shared
        if before is None:
            return DtlsSocket(udp, far, self, shared.webrtc.drops, shared.clock)
        if before.announced != far:
            before.move(far)
        return before

    async def _establish(self, side: DtlsSide) -> None:
        """Shake hands on each socket, one after the other: what comes early waits in its association."""
        self._attempt += 1
        attempt = self._attempt
        try:
            async with asyncio.timeout(self._connect_s):
                pairs = []
                for part in self._parts:
                    await part.dissociate()
                    pairs.append((part, part.associate(self._certificate, self._role, side.fingerprints)))
                for part, association in pairs:
                    part.keys = await association.connect()
        except TimeoutError:
            if attempt == self._attempt:
                self._owner.media_failed("dtls", "the DTLS handshake took too long", 504)
        except DtlsError as error:
            if attempt == self._attempt:
                self._owner.media_failed("dtls", str(error), 488)
        else:
            if attempt == self._attempt:
                self._key()

    def _key(self) -> None:
        """Key the port, and give it the socket to send on; RTCP that is apart goes through `send`."""
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
        """Send RTCP that the engine has handed out."""
        return self._rtcp is not None and self._rtcp.send(datagram)

    # --- what the sockets tell ------------------------------------------------------------------

    def media_arrived(self, part: DtlsSocket, datagram: bytes) -> None:
        """Hand an encrypted datagram to the engine; audio comes by its own socket alone."""
        if part is self._rtp or is_rtcp(datagram):
            self._shared.engine.deliver(self._port, datagram)
        else:
            self._shared.webrtc.drops.unknown_kind += 1

    def source_changed(self, part: DtlsSocket) -> None:
        """Send where the far end really is; a handshake with whoever was there before is void."""
        if part.keys is not None:
            self._key()
        elif self._side is not None and self._attempt:
            self._spawn(self._establish(self._side))

    def association_closed(self, part: DtlsSocket) -> None:
        """Tell that the far end has said goodbye, unless it begins anew or hangs up properly."""
        del part
        self._spawn(self._part_from(self._attempt))

    async def _part_from(self, attempt: int) -> None:
        await asyncio.sleep(GOODBYE_S)
        if attempt == self._attempt:
            self._owner.media_ended("caller")
