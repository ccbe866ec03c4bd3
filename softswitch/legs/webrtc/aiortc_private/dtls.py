"""DTLS-SRTP by aiortc, over any pipe of datagrams; its keys are exported, its media path is not used."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

from aiortc import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport, RTCIceTransport
from pyee.asyncio import AsyncIOEventEmitter

from softswitch.legs.webrtc.aiortc_private.keys import DtlsError, MediaKeys
from softswitch.sdp import Fingerprint

_QUEUE = 64
_CIPHERS = b":".join(
    b"ECDHE-%s-%s" % (kind, cipher)
    for cipher in (b"AES128-GCM-SHA256", b"CHACHA20-POLY1305", b"AES128-SHA", b"AES256-SHA")
    for kind in (b"ECDSA", b"RSA")
)
"""The ciphers of aiortc, and the same for peers with an RSA certificate, such as baresip."""

_EXPORTER = b"EXTRACTOR-dtls_srtp"  # RFC 5764 section 4.2


class DatagramPipe:
    """Stand-in for the ICE transport of aiortc's DTLS transport: datagrams in, datagrams out."""

    role = "controlled"

    def __init__(self, send: Callable[[bytes], bool]) -> None:
        """Connect the DTLS transport to a sender.

        Args:
            send: sends a datagram; False where that is not possible.
        """
        self._out = send
        self._in: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUE + 1)
        self._closed = False

    def feed(self, datagram: bytes) -> bool:
        """Queue a received datagram; False where too many wait."""
        if self._closed or self._in.qsize() >= _QUEUE:
            return False
        self._in.put_nowait(datagram)
        return True

    def close(self) -> None:
        """Fail the reader."""
        if not self._closed:
            self._closed = True
            self._in.put_nowait(None)

    async def _recv(self) -> bytes:
        datagram = await self._in.get()
        if datagram is None:
            raise ConnectionError("closed")
        return datagram

    async def _send(self, datagram: bytes) -> None:
        if not self._out(datagram):
            raise ConnectionError("no path to the peer")


class DtlsAssociation:
    """A DTLS-SRTP association by aiortc, over ICE or any other pipe of datagrams."""

    def __init__(
        self,
        certificate: RTCCertificate,
        role: Literal["client", "server"],
        fingerprints: Sequence[Fingerprint],
        send: Callable[[bytes], bool],
        closed: Callable[["DtlsAssociation"], None],
    ) -> None:
        """Prepare; `connect` comes next.

        Args:
            certificate: local certificate.
            role: client starts the handshake.
            fingerprints: fingerprints of the peer's certificate.
            send: sends a datagram; False where that is not possible.
            closed: called once when the peer closes an established association.
        """
        self.role = role
        self.fingerprints = tuple(fingerprints)
        self._pipe = DatagramPipe(send)
        self._closed = closed
        self._established = False
        self._dtls = RTCDtlsTransport(cast("RTCIceTransport", self._pipe), [certificate])
        self._dtls._set_role(role)  # noqa: SLF001
        emitter: AsyncIOEventEmitter = self._dtls
        emitter.on("statechange", self._state_changed)

    def feed(self, datagram: bytes) -> bool:
        """Queue a received DTLS datagram; False where too many wait."""
        return self._pipe.feed(datagram)

    async def connect(self) -> MediaKeys:
        """Do the handshake and return the keys.

        Raises:
            DtlsError: the handshake failed.
        """
        remote = [RTCDtlsFingerprint(item.algorithm, item.value) for item in self.fingerprints]
        await self._dtls.start(RTCDtlsParameters(fingerprints=remote))
        if self._dtls.state != "connected":
            raise DtlsError("the DTLS handshake failed")
        self._established = True
        return export_keys(self._dtls)

    async def close(self) -> None:
        """Send close_notify and release everything; calls no callback."""
        self._established = False
        self._dtls.remove_all_listeners()
        pump = self._dtls._task  # noqa: SLF001
        await self._dtls.stop()
        self._pipe.close()
        if pump is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await pump

    def _state_changed(self) -> None:
        if self._established and self._dtls.state == "closed":
            self._established = False
            self._closed(self)


def export_keys(dtls: RTCDtlsTransport) -> MediaKeys:
    """Return the SRTP keys of a connected DTLS transport.

    The media thread makes its own SRTP sessions: those of pylibsrtp belong to one thread.
    """
    ssl = dtls._ssl  # noqa: SLF001
    if ssl is None:
        raise DtlsError("the DTLS handshake has not begun")
    name = ssl.get_selected_srtp_profile()
    profile = next(item for item in dtls._srtp_profiles if item.openssl_profile == name)  # noqa: SLF001
    material = ssl.export_keying_material(_EXPORTER, 2 * (profile.key_length + profile.salt_length))
    own = 1 if dtls._role == "server" else 0  # noqa: SLF001
    return MediaKeys(
        receive_key=profile.get_key_and_salt(material, 1 - own),
        send_key=profile.get_key_and_salt(material, own),
        profile=name.decode().removeprefix("SRTP_"),
    )


class Certificate(RTCCertificate):
    """A local certificate whose associations accept peers with RSA certificates, too."""

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> Any:
        context: Any = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(_CIPHERS)
        return context


def make_certificate() -> RTCCertificate:
    """Return a new self-signed certificate (P-256, valid for 30 days)."""
    return Certificate.generateCertificate()


def certificate_fingerprint(certificate: RTCCertificate) -> Fingerprint:
    """Return the SHA-256 fingerprint of a local certificate."""
    found = next(item for item in certificate.getFingerprints() if item.algorithm == "sha-256")
    return Fingerprint(found.algorithm, found.value)
