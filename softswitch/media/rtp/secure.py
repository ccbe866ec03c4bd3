"""SRTP sessions of one port (RFC 3711), used by the tick's thread only: pylibsrtp is not thread-safe.

The library is imported by `load`, or with the first pair of sessions.
"""

from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Literal

_WINDOW = 1024
"""Packets of the replay window (RFC 3711 §3.3.2): packets delayed by 20 s are still told from replays."""

_PROFILES = {
    "AES128_CM_SHA1_80": 30,
    "AES128_CM_SHA1_32": 30,
    "AEAD_AES_128_GCM": 28,
    "AEAD_AES_256_GCM": 44,
}
"""Octets of master key and salt together, by the name of the protection profile."""

_SHORTEST_RTP, _SHORTEST_RTCP = 12, 8

REPLAYED = (9, 10)
"""Statuses of libsrtp for a packet that came before, or whose number is too old to tell."""

Refusal = Literal["srtp_errors", "srtp_replays"]
"""Name of the counter of a refused packet."""


def load() -> ModuleType:
    """Return the library, imported where that has not been done."""
    import pylibsrtp  # noqa: PLC0415  (5 MB that plain telephones have no use for)

    return pylibsrtp


def is_rtcp(datagram: bytes | memoryview) -> bool:
    """Return True for RTCP (second octet 192-223), False for RTP (RFC 5761 section 4)."""
    return 192 <= datagram[1] <= 223


@dataclass(frozen=True, slots=True)
class Functions:
    """Addresses of functions of libsrtp, for compiled code; all 0 where pylibsrtp does not have them."""

    protect: int = 0
    unprotect: int = 0
    unprotect_rtcp: int = 0


@cache
def _functions() -> Functions:
    try:
        from pylibsrtp._binding import ffi, lib  # type: ignore[import-not-found]  # noqa: PLC0415

        names = ("srtp_protect", "srtp_unprotect", "srtp_unprotect_rtcp")
        return Functions(*(int(ffi.cast("intptr_t", ffi.addressof(lib, name))) for name in names))
    except (ImportError, AttributeError, TypeError):
        return Functions()


def _session_at(session: Any) -> int:
    """Return the address of libsrtp's session in one of pylibsrtp; 0 if it is not found."""
    try:
        from pylibsrtp._binding import ffi  # noqa: PLC0415

        return int(ffi.cast("intptr_t", session._srtp[0])) if _functions().protect else 0  # noqa: SLF001
    except (ImportError, AttributeError, TypeError):
        return 0


class SrtpPair:
    """Inbound and outbound SRTP session of one port."""

    def __init__(self, receive_key: bytes, send_key: bytes, profile: str) -> None:
        """Make both sessions.

        Args:
            receive_key: master key and salt of received packets.
            send_key: master key and salt of sent packets.
            profile: name as pylibsrtp has it, with or without its ``SRTP_PROFILE_`` or ``SRTP_`` in front.

        Raises:
            ValueError: the profile is unknown or a key has the wrong length.
        """
        name = profile.removeprefix("SRTP_PROFILE_").removeprefix("SRTP_")
        try:
            length = _PROFILES[name]
        except KeyError:
            raise ValueError(f"profile: {profile!r} is not one of {', '.join(_PROFILES)}") from None
        for which, key in (("receive_key", receive_key), ("send_key", send_key)):
            if len(key) != length:
                raise ValueError(f"{which}: {len(key)} bytes where {profile} has {length}")
        library = load()
        policy = library.Policy
        number = getattr(policy, f"SRTP_PROFILE_{name}")
        inbound = policy(receive_key, policy.SSRC_ANY_INBOUND, srtp_profile=number)
        outbound = policy(send_key, policy.SSRC_ANY_OUTBOUND, srtp_profile=number)
        inbound.window_size = outbound.window_size = _WINDOW
        # A re-offer may begin a sequence again; libsrtp would refuse to send an index twice.
        outbound.allow_repeat_tx = True
        self._inbound, self._outbound = library.Session(inbound), library.Session(outbound)
        self.error: type[Exception] = library.Error
        """What :meth:`protect` raises."""
        self._material = receive_key, send_key, profile
        self.inbound_at, self.outbound_at = _session_at(self._inbound), _session_at(self._outbound)
        """Addresses of libsrtp's sessions, for compiled code; 0: unknown."""

    @staticmethod
    def functions() -> Functions:
        """Return the functions of libsrtp that compiled code calls."""
        return _functions()

    def fits(self, receive_key: bytes, send_key: bytes, profile: str) -> bool:
        """Return True if the keys are the same: the sessions and their rollover counters continue then."""
        return self._material == (receive_key, send_key, profile)

    def unprotect(self, datagram: bytes) -> bytes | Refusal:
        """Return the decrypted RTP or RTCP packet, or the name of the counter under which it is refused."""
        if len(datagram) < _SHORTEST_RTCP:
            return "srtp_errors"
        plain: bytes
        try:
            if is_rtcp(datagram):
                plain = self._inbound.unprotect_rtcp(datagram)
            elif len(datagram) >= _SHORTEST_RTP:
                plain = self._inbound.unprotect(datagram)
            else:
                return "srtp_errors"
        except self.error as error:
            return "srtp_replays" if "replay" in str(error) else "srtp_errors"
        return plain

    def protect(self, packet: bytes) -> bytes:
        """Return the packet encrypted.

        Raises:
            pylibsrtp.Error (:attr:`error`): the packet is neither RTP nor RTCP, or the key has reached its
                packet limit.
        """
        protected: bytes = (
            self._outbound.protect_rtcp(packet) if is_rtcp(packet) else self._outbound.protect(packet)
        )
        return protected
