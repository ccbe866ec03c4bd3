"""Media transport on plain sockets, with or without SDES keys: the engine's tick reads and sends."""

import os
from dataclasses import dataclass, replace
from random import Random

import msgspec

from softswitch.errors import NotNowError
from softswitch.legs.sip.media.announced import Announced
from softswitch.legs.sip.media.rtp_sockets import RtpPair, RtpSockets
from softswitch.legs.webrtc.shared import MediaPlane
from softswitch.media.messages import ConnectPlain
from softswitch.sdp import (
    SUITES,
    CryptoLine,
    Description,
    Keying,
    KeyPair,
    Media,
    NotAcceptableError,
    OwnTransport,
    accepted_keys,
    crypto_lines,
    is_nowhere,
    media_address,
    rtcp_port,
    shares_rtcp,
)
from softswitch.settings import url_host

MAX_STALE = 512
"""Datagrams that are discarded because they came before the peer's description."""


@dataclass(frozen=True, slots=True)
class RemoteAddress:
    """The peer's address by its SDP."""

    host: str
    port: int
    rtcp_port: int
    """0: RTCP shares the port."""


def shown_path(local: str, port: int, remote: RemoteAddress) -> str:
    """Return local and remote address in words."""
    return f"{url_host(local)}:{port} - {url_host(remote.host)}:{remote.port}"


def remote_address(description: Description, media: Media, family: int) -> RemoteAddress | None:
    """Return the peer's address of a section; None where it is not known yet, or is 0.0.0.0 (on hold).

    Raises:
        PeerError: address or port are not usable, or not reachable from the sockets.
    """
    connection = description.connection_of(media)
    if connection is not None and is_nowhere(connection.address):
        return None
    host, port = media_address(description, media)
    if ":" in host and family == 4:
        raise NotAcceptableError(
            'the c= line has an IPv6 address, but [rtp] host is IPv4: "::" serves both', field="sdp"
        )
    return RemoteAddress(host, port, 0 if shares_rtcp(media) else rtcp_port(media))


class PlainTransport:
    """A pair of sockets, of which the engine owns duplicates."""

    def __init__(
        self,
        engine: MediaPlane,
        sockets: RtpSockets,
        random: Random,
        *,
        port: int,
        address: Announced,
        keying: Keying,
    ) -> None:
        """Prepare; `open` comes next.

        Args:
            engine: takes the sockets.
            sockets: pool of socket pairs.
            random: source of keys.
            port: port of the leg in the engine.
            address: local address for SDP.
            keying: plain or sdes, for offers of the switch.
        """
        self._engine, self._sockets, self._random = engine, sockets, random
        self._port, self._announced = port, address
        self._keying: Keying = keying
        self._profile = "RTP/SAVP" if keying == "sdes" else "RTP/AVP"
        self._pair: RtpPair | None = None
        self._own: tuple[CryptoLine, ...] = ()
        """Crypto lines of the next local description."""
        self._keys: KeyPair | None = None
        self._remote: RemoteAddress | None = None
        self._mux = False
        self._shown = ""
        """Local address in the last description."""
        self._moved = False
        """Whether it has changed since the engine got the sockets: a connected socket has the former one."""
        self._connected: ConnectPlain | None = None
        """The last order to the engine, without its descriptors."""

    async def open(self, *, offering: bool) -> None:
        """Open a pair of ports, and draw keys for an offer."""
        self._pair = self._sockets.open()
        if offering and self._keying == "sdes":
            self._own = tuple(
                CryptoLine(str(tag), suite, self._random.randbytes(suite.key_length))
                for tag, suite in enumerate(SUITES.values(), 1)
            )

    def serves(self, keying: Keying) -> bool:
        """Serve what needs no handshake."""
        return keying in {"plain", "sdes"}

    def offered(self) -> OwnTransport:
        """Return the transport parameters of an offer; after the first agreement, those agreed on."""
        return self._transport(self._profile, mux=True)

    def answered(self, profile: str) -> OwnTransport:
        """Return the transport parameters of an answer."""
        return self._transport(profile, mux=self._mux)

    async def take(self, description: Description, media: Media, keying: Keying, *, answer: bool) -> None:
        """Read the peer's address and keys."""
        remote = remote_address(description, media, self._open_pair.family)
        keys = None
        if keying == "sdes":
            keys = accepted_keys(self._own, media) if answer else self._answer_keys(media)
        if remote is not None:
            self._announced.meet(remote.host)
        # A hold by 0.0.0.0 carries no address: the former one is kept for the resume.
        self._remote = remote or self._remote
        self._mux, self._profile = shares_rtcp(media), media.protocol
        self._keying, self._keys = keying, keys
        self._own = (keys.own,) if keys else ()

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
        """Give the sockets to the engine, unless address and keys are unchanged."""
        remote, keys, pair = self._remote, self._keys, self._open_pair
        if remote is None:
            return
        order = ConnectPlain(
            port=self._port,
            fd=-1,
            remote_host=remote.host,
            remote_port=remote.port,
            receive_key=keys.remote.key if keys else b"",
            send_key=keys.own.key if keys else b"",
            profile=keys.own.suite.profile if keys else "",
            rtcp_remote_port=remote.rtcp_port,
        )
        if order == self._connected and not self._moved:
            return
        if self._connected is None:
            _empty(pair)
        self._moved = False
        fd, rtcp_fd = duplicates(pair, with_rtcp=remote.rtcp_port > 0)
        try:
            self._engine.post(msgspec.structs.replace(order, fd=fd, rtcp_fd=rtcp_fd))
        except NotNowError:
            # The engine owns the descriptors only once it has taken the message.
            close_all(fd, rtcp_fd)
            raise
        self._connected = order

    async def close(self) -> None:
        """Free the ports."""
        pair, self._pair = self._pair, None
        if pair is not None:
            self._sockets.close(pair)

    @property
    def _open_pair(self) -> RtpPair:
        if self._pair is None:
            raise RuntimeError("the sockets are not open")
        return self._pair

    def _transport(self, profile: str, *, mux: bool) -> OwnTransport:
        address = self._announced.text()
        self._moved = self._moved or self._shown not in ("", address)
        self._shown = address
        return OwnTransport(profile, address, self._open_pair.port, mux, self._own)

    def _answer_keys(self, media: Media) -> KeyPair:
        """Choose a crypto line of the offer and a local key: the former one while the peer's is unchanged.

        A new key starts its packet index at zero (RFC 4568 section 6.4). The local key is then renewed, too,
        since the engine makes the contexts of both directions anew.
        """
        offered = crypto_lines(media)[0]
        if self._keys and (self._keys.remote.suite, self._keys.remote.key) == (offered.suite, offered.key):
            return KeyPair(replace(self._keys.own, tag=offered.tag), offered)
        key = self._random.randbytes(offered.suite.key_length)
        return KeyPair(CryptoLine(offered.tag, offered.suite, key), offered)


def duplicates(pair: RtpPair, *, with_rtcp: bool) -> tuple[int, int]:
    """Return duplicates of both descriptors for the engine to own; -1 for RTCP without a port of its own.

    Raises:
        NotNowError: no descriptor is left.
    """
    fd = -1
    try:
        fd = os.dup(pair.rtp.fileno())
        return fd, os.dup(pair.rtcp.fileno()) if with_rtcp else -1
    except OSError as error:
        close_all(fd)
        raise NotNowError(f"no descriptor for a media socket is left: {error.strerror}") from error


def close_all(*descriptors: int) -> None:
    """Close duplicates that the engine did not take; -1 is skipped."""
    for fd in descriptors:
        if fd >= 0:
            os.close(fd)


def _empty(pair: RtpPair) -> None:
    """Discard datagrams from before the peer's address was known: old audio, or that of strangers."""
    for udp in (pair.rtp, pair.rtcp):
        for _ in range(MAX_STALE):
            try:
                udp.recv(1)
            except OSError:
                break
