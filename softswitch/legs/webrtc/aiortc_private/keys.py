"""What a DTLS association gives or fails with; needs no library."""

from dataclasses import dataclass

from softswitch.errors import PeerError


class DtlsError(PeerError):
    """A failed DTLS handshake, or a certificate that differs from the announced fingerprint."""


@dataclass(frozen=True, slots=True)
class MediaKeys:
    """Keys of SRTP, exported from a DTLS association (RFC 5764)."""

    receive_key: bytes
    """Master key and salt of what the peer sends."""
    send_key: bytes
    profile: str
    """Name in pylibsrtp: AES128_CM_SHA1_80, AEAD_AES_128_GCM, AEAD_AES_256_GCM."""

    def __repr__(self) -> str:
        """Return the profile without the keys."""
        return f"MediaKeys({self.profile})"
