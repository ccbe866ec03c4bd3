"""DTLS-SRTP by aiortc, over any pipe of datagrams; the keys leave, its media path is never entered."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from aiortc import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport, RTCIceTransport

from softswitch.errors import PeerError
from softswitch.sdp import Fingerprint

_QUEUE = 64
_CIPHERS = b":".join(
    b"ECDHE-%s-%s" % (kind, cipher)
    for cipher in (b"AES128-GCM-SHA256", b"CHACHA20-POLY1305", b"AES128-SHA", b"AES256-SHA")
    for kind in (b"ECDSA", b"RSA")
)
"""Those of aiortc, and the same for servers with an RSA certificate, such as baresip's."""

_EXPORTER = b"EXTRACTOR-dtls_srtp"  # RFC 5764 section 4.2


class DtlsError(PeerError):
    """Say that the far end's DTLS failed: no agreement, or not the certificate it had announced."""


@dataclass(frozen=True, slots=True)
class MediaKeys:
    """Keys of SRTP, exported from a DTLS association (RFC 5764)."""

    receive_key: bytes
    """Master key and salt of what the far end sends."""
    send_key: bytes
    profile: str
    """As pylibsrtp names it: AES128_CM_SHA1_80, AEAD_AES_128_GCM, AEAD_AES_256_GCM."""

    def __repr__(self) -> str:
        """Show the profile alone."""
        return f"MediaKeys({self.profile})"


class DatagramPipe:
    """All that aiortc's DTLS transport asks of an ICE transport: datagrams in, datagrams out."""

    role = "controlled"

    def __init__(self, send: Callable[[bytes], bool]) -> None:
        """Join the DTLS transport to a way out.

        Args:
            send: sends a datagram now; False when there is no way.
        """
        self._out = send
        self._in: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUE + 1)
        self._closed = False

    def feed(self, datagram: bytes) -> bool:
        """Hand in a datagram; False when too many wait already."""
        if self._closed or self._in.qsize() >= _QUEUE:
            return False
        self._in.put_nowait(datagram)
        return True

    def close(self) -> None:
        """Let the reader fail."""
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
            raise ConnectionError("there is no way to the far end")


class DtlsAssociation:
    """DTLS-SRTP with the far end, by aiortc; over ICE, or over any other pipe of datagrams."""

    def __init__(
        self,
        certificate: RTCCertificate,
        role: Literal["client", "server"],
        fingerprints: Sequence[Fingerprint],
        send: Callable[[bytes], bool],
        closed: Callable[["DtlsAssociation"], None],
    ) -> None:
        """Prepare an association.

        Args:
            certificate: ours.
            role: client begins the handshake.
            fingerprints: those of the far end's certificate.
            send: sends a datagram; False when there is no way.
            closed: called once when the far end closes an established association.
        """
        self.role = role
        self.fingerprints = tuple(fingerprints)
        self._pipe = DatagramPipe(send)
        self._closed = closed
        self._established = False
        self._dtls = RTCDtlsTransport(cast("RTCIceTransport", self._pipe), [certificate])
        self._dtls._set_role(role)  # noqa: SLF001
        self._dtls.on("statechange", self._state_changed)

    def feed(self, datagram: bytes) -> bool:
        """Hand in a DTLS datagram; False when too many wait already."""
        return self._pipe.feed(datagram)

    async def connect(self) -> MediaKeys:
        """Shake hands and return the keys.

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
        """Say goodbye and release everything; calls nothing back."""
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

    The media thread makes its own sessions of them: those of pylibsrtp belong to one thread.
    """
    ssl = dtls._ssl  # noqa: SLF001
    if ssl is None:
        raise DtlsError("the DTLS handshake has not begun")
    name = ssl.get_selected_srtp_profile()
    profile = next(item for item in dtls._srtp_profiles if item.openssl_profile == name)  # noqa: SLF001
    material = ssl.export_keying_material(_EXPORTER, 2 * (profile.key_length + profile.salt_length))
    ours = 1 if dtls._role == "server" else 0  # noqa: SLF001
    return MediaKeys(
        receive_key=profile.get_key_and_salt(material, 1 - ours),
        send_key=profile.get_key_and_salt(material, ours),
        profile=name.decode().removeprefix("SRTP_"),
    )


class Certificate(RTCCertificate):
    """A certificate of ours, whose associations shake hands with holders of RSA certificates too."""

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> Any:
        context: Any = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(_CIPHERS)
        return context


def make_certificate() -> RTCCertificate:
    """Return a new self-signed certificate (P-256, valid for 30 days)."""
    return Certificate.generateCertificate()


def certificate_fingerprint(certificate: RTCCertificate) -> Fingerprint:
    """Return the SHA-256 fingerprint of a certificate of ours."""
    found = next(item for item in certificate.getFingerprints() if item.algorithm == "sha-256")
    return Fingerprint(found.algorithm, found.value)
