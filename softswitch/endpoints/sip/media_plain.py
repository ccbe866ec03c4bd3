"""Media on plain sockets, with or without keys from the description: the engine's tick reads and sends."""

import ipaddress
import os
from dataclasses import dataclass, replace
from random import Random

import msgspec

from softswitch.endpoints.sip.rtp_sockets import RtpPair, RtpSockets
from softswitch.endpoints.webrtc_shared import MediaPlane
from softswitch.errors import NotNowError
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

MAX_STALE = 512
"""Datagrams thrown away that came before anybody could know what they are."""


@dataclass(frozen=True, slots=True)
class Far:
    """Where the far end is."""

    host: str
    port: int
    rtcp_port: int
    """0: RTCP shares the port."""


def far_of(description: Description, media: Media, family: int) -> Far | None:
    """Return where a section is; None where it does not say yet, or holds by an address of zeros.

    Raises:
        PeerError: the address or port cannot be that of a telephone, or not be reached from our sockets.
    """
    connection = description.connection_of(media)
    if connection is not None and is_nowhere(connection.address):
        return None
    host, port = media_address(description, media)
    version = ipaddress.ip_address(host).version
    if version == 6 and family == 4:
        raise NotAcceptableError("the c= line has an IPv6 address, and our media are IPv4", field="sdp")
    return Far(host, port, 0 if shares_rtcp(media) else rtcp_port(media))


class PlainWay:
    """A pair of sockets that the engine owns duplicates of."""

    def __init__(
        self,
        engine: MediaPlane,
        sockets: RtpSockets,
        random: Random,
        port: int,
        address: str,
        keying: Keying,
    ) -> None:
        """Make a way that is not open yet.

        Args:
            engine: gets the sockets.
            sockets: where they come from.
            random: source of keys.
            port: of the leg in the engine.
            address: what to announce.
            keying: plain or sdes, for offers of ours.
        """
        self._engine, self._sockets, self._random = engine, sockets, random
        self._port, self._address = port, address
        self._keying: Keying = keying
        self._profile = "RTP/SAVP" if keying == "sdes" else "RTP/AVP"
        self._pair: RtpPair | None = None
        self._own: tuple[CryptoLine, ...] = ()
        """What our next description has."""
        self._keys: KeyPair | None = None
        self._far: Far | None = None
        self._mux = False
        self._connected: ConnectPlain | None = None
        """The last order, without its descriptors."""

    async def open(self, *, offering: bool) -> None:
        """Take a pair of ports, and draw keys for an offer."""
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
        """Return what an offer of ours says: after the first agreement what that was."""
        return self._transport(self._profile, mux=True)

    def answered(self, profile: str) -> OwnTransport:
        """Return what our answer says."""
        return self._transport(profile, mux=self._mux)

    async def take(self, description: Description, media: Media, keying: Keying, *, answer: bool) -> None:
        """Read address and keys."""
        far = far_of(description, media, self._open_pair.family)
        keys = None
        if keying == "sdes":
            keys = accepted_keys(self._own, media) if answer else self._answer_keys(media)
        # An address of zeros says nothing of RTCP or of where to go on afterwards.
        self._far = far or self._far
        self._mux, self._profile = shares_rtcp(media), media.protocol
        self._keying, self._keys = keying, keys
        self._own = (keys.ours,) if keys else ()

    def connect(self) -> None:
        """Hand the sockets to the engine, unless it has them with the same address and keys."""
        far, keys, pair = self._far, self._keys, self._open_pair
        if far is None:
            return
        order = ConnectPlain(
            port=self._port,
            fd=-1,
            remote_host=far.host,
            remote_port=far.port,
            receive_key=keys.theirs.key if keys else b"",
            send_key=keys.ours.key if keys else b"",
            profile=keys.ours.suite.profile if keys else "",
            rtcp_remote_port=far.rtcp_port,
        )
        if order == self._connected:
            return
        if self._connected is None:
            _empty(pair)
        fd, rtcp_fd = duplicates(pair, with_rtcp=far.rtcp_port > 0)
        try:
            self._engine.post(msgspec.structs.replace(order, fd=fd, rtcp_fd=rtcp_fd))
        except NotNowError:
            # The engine owns the descriptors only once it has taken the message.
            close_all(fd, rtcp_fd)
            raise
        self._connected = order

    async def close(self) -> None:
        """Give the ports back."""
        pair, self._pair = self._pair, None
        if pair is not None:
            self._sockets.close(pair)

    @property
    def _open_pair(self) -> RtpPair:
        if self._pair is None:
            raise RuntimeError("the sockets are not open")
        return self._pair

    def _transport(self, profile: str, *, mux: bool) -> OwnTransport:
        return OwnTransport(profile, self._address, self._open_pair.port, mux, self._own)

    def _answer_keys(self, media: Media) -> KeyPair:
        """Choose a line of an offer, and a key of ours: that of before unless theirs has changed.

        A new key begins its packet index at zero (RFC 4568 section 6.4), and so must ours, since the engine
        makes both directions anew.
        """
        theirs = crypto_lines(media)[0]
        if self._keys and (self._keys.theirs.suite, self._keys.theirs.key) == (theirs.suite, theirs.key):
            return KeyPair(replace(self._keys.ours, tag=theirs.tag), theirs)
        key = self._random.randbytes(theirs.suite.key_length)
        return KeyPair(CryptoLine(theirs.tag, theirs.suite, key), theirs)


def duplicates(pair: RtpPair, *, with_rtcp: bool) -> tuple[int, int]:
    """Return descriptors of both sockets for the engine to own; -1 where RTCP needs none.

    Raises:
        NotNowError: there are no descriptors left.
    """
    fd = -1
    try:
        fd = os.dup(pair.rtp.fileno())
        return fd, os.dup(pair.rtcp.fileno()) if with_rtcp else -1
    except OSError as error:
        close_all(fd)
        raise NotNowError(f"no socket for media: {error.strerror}") from error


def close_all(*descriptors: int) -> None:
    """Close what was duplicated for nobody."""
    for fd in descriptors:
        if fd >= 0:
            os.close(fd)


def _empty(pair: RtpPair) -> None:
    """Throw away what came before the far end was known: old audio, or that of strangers."""
    for udp in (pair.rtp, pair.rtcp):
        for _ in range(MAX_STALE):
            try:
                udp.recv(1)
            except OSError:
                break
