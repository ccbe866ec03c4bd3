"""SRTP of one port (RFC 3711): the tick's own sessions, since those of pylibsrtp belong to one thread."""

from typing import Literal

from pylibsrtp import Error, Policy, Session

_WINDOW = 1024
"""Packets of replay protection: a burst behind 20 s of delay is still told from a replay."""

_PROFILES = {
    "AES128_CM_SHA1_80": (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
    "AES128_CM_SHA1_32": (Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 30),
    "AEAD_AES_128_GCM": (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28),
    "AEAD_AES_256_GCM": (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44),
}
"""Profile and length of master key and salt together."""

_SHORTEST_RTP, _SHORTEST_RTCP = 12, 8

Refusal = Literal["srtp_errors", "srtp_replays"]
"""Counter of what was refused."""


def is_rtcp(datagram: bytes | memoryview) -> bool:
    """Tell RTCP from RTP on a shared port by the second octet (RFC 5761 section 4)."""
    return 192 <= datagram[1] <= 223


class SrtpPair:
    """The two directions of one port's SRTP."""

    def __init__(self, receive_key: bytes, send_key: bytes, profile: str) -> None:
        """Make both sessions.

        Args:
            receive_key: master key and salt for what arrives.
            send_key: master key and salt for what is sent.
            profile: name as pylibsrtp has it, with or without its ``SRTP_PROFILE_`` or ``SRTP_`` in front.

        Raises:
            ValueError: the profile is unknown or a key has the wrong length.
        """
        try:
            number, length = _PROFILES[profile.removeprefix("SRTP_PROFILE_").removeprefix("SRTP_")]
        except KeyError:
            raise ValueError(f"profile: {profile!r} is not one of {', '.join(_PROFILES)}") from None
        for name, key in (("receive_key", receive_key), ("send_key", send_key)):
            if len(key) != length:
                raise ValueError(f"{name}: {len(key)} bytes where {profile} has {length}")
        inbound = Policy(receive_key, Policy.SSRC_ANY_INBOUND, srtp_profile=number)
        outbound = Policy(send_key, Policy.SSRC_ANY_OUTBOUND, srtp_profile=number)
        inbound.window_size = outbound.window_size = _WINDOW
        # RFC 4733 end packets are sent three times; a re-offer may also begin a sequence again.
        outbound.allow_repeat_tx = True
        self._inbound, self._outbound = Session(inbound), Session(outbound)
        self._material = receive_key, send_key, profile

    def fits(self, receive_key: bytes, send_key: bytes, profile: str) -> bool:
        """Tell whether these are its keys: then it must go on, with the rollover counters it has."""
        return self._material == (receive_key, send_key, profile)

    def unprotect(self, datagram: bytes) -> bytes | Refusal:
        """Return the plain RTP or RTCP packet, or the name of the counter for what it was refused as."""
        if len(datagram) < _SHORTEST_RTCP:
            return "srtp_errors"
        try:
            if is_rtcp(datagram):
                return self._inbound.unprotect_rtcp(datagram)
            return self._inbound.unprotect(datagram) if len(datagram) >= _SHORTEST_RTP else "srtp_errors"
        except Error as error:
            return "srtp_replays" if "replay" in str(error) else "srtp_errors"

    def protect(self, packet: bytes) -> bytes:
        """Return the packet encrypted.

        Raises:
            pylibsrtp.Error: it is no RTP or RTCP, or a key's life is over.
        """
        return self._outbound.protect_rtcp(packet) if is_rtcp(packet) else self._outbound.protect(packet)
