"""SRTP for many packets in one call of compiled code: what :class:`SrtpPair` does for one packet.

``secure.c`` calls libsrtp, whose functions and sessions pylibsrtp has. Where it has them otherwise than
expected, or there is no compiled code, each packet is encrypted and decrypted in Python.
"""

import ctypes
import socket
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import Bytes, Indices
from softswitch.compiled import Address, address
from softswitch.media.rtp.batch import NO_SOCKET, Numbers
from softswitch.media.rtp.secure import SrtpPair
from softswitch.media.rtp.sockets import MediaSocket

ADDRESS = 28
"""Octets of the longest address, struct sockaddr_in6."""

NOT_PROTECTED = -2
"""In place of an errno: libsrtp did not encrypt the packet."""

_NO_ROWS: Indices = np.zeros(0, np.intp)


class SecureBatch:
    """Slots whose packets are encrypted and sent, and decrypted, by compiled code."""

    def __init__(self, code: ctypes.CDLL) -> None:
        """Use a loaded library."""
        pointer, number, long = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
        self._send, self._open = code.softswitch_secure_send, code.softswitch_secure_open
        self._send.argtypes = [
            pointer, pointer, long, pointer, pointer, pointer, pointer, pointer, pointer, long, number,
            pointer,
        ]  # fmt: skip
        self._open.argtypes = [pointer, pointer, pointer, long, pointer, pointer, number]
        self._sessions: NDArray[np.int64] = np.zeros(64, np.int64)
        """Address of the session that encrypts, by slot; 0: the slot is not here."""
        self._fds: Numbers = np.zeros(64, np.int32)
        self._targets: Bytes = np.zeros((64, ADDRESS), np.uint8)
        self._sizes: Numbers = np.zeros(64, np.int32)
        self._errors: Numbers = np.zeros(0, np.int32)
        self._count = 0
        self._addresses = tuple(Address() for _ in range(3))
        self._tables = Address(), Address(), Address(), Address()

    def __len__(self) -> int:
        """Number of slots that are sent here."""
        return self._count

    def add(self, slot: int, keys: SrtpPair, media_socket: MediaSocket) -> None:
        """Send the packets of a slot here, if its keys and its address can be used.

        Args:
            slot: row.
            keys: sessions, which must live until :meth:`remove`.
            media_socket: socket, whose address to send to does not change until then.
        """
        self.remove(slot)
        target = sockaddr(media_socket)
        if not keys.outbound_at or not target:
            return
        while slot >= len(self._sessions):
            self._sessions = np.pad(self._sessions, (0, len(self._sessions)))
            self._fds = np.pad(self._fds, (0, len(self._fds)))
            self._targets = np.pad(self._targets, ((0, len(self._targets)), (0, 0)))
            self._sizes = np.pad(self._sizes, (0, len(self._sizes)))
        self._sessions[slot], self._fds[slot] = keys.outbound_at, media_socket.udp.fileno()
        self._targets[slot, : len(target)] = np.frombuffer(target, np.uint8)
        self._sizes[slot] = len(target)
        self._count += 1

    def remove(self, slot: int) -> None:
        """Send the packets of a slot no longer; to be called before its socket is closed."""
        if slot < len(self._sessions) and self._sessions[slot]:
            self._sessions[slot] = 0
            self._count -= 1

    def send(self, rows: Bytes, lengths: Indices, slots: Indices) -> tuple[Indices, Indices, Indices]:
        """Encrypt and send the packets of slots that are here.

        Args:
            rows: ``(n, octets)``.
            lengths: octets of each.
            slots: of the ports that send them.

        Returns:
            The rows of other slots, which were not sent; the rows that the kernel refused; those that libsrtp
            refused.
        """
        if not (slots.flags.c_contiguous and lengths.flags.c_contiguous and rows.strides[1:] == (1,)):
            rows, lengths, slots = map(np.ascontiguousarray, (rows, lengths, slots))
        if len(self._errors) < len(slots):
            self._errors = np.zeros(2 * len(slots), np.int32)
        by_lengths, by_slots, _ = self._addresses
        protect, *tables = self.tables()
        if not self._send(
            protect, rows.ctypes.data, rows.strides[0], by_lengths.of(lengths), by_slots.of(slots), *tables,
            len(slots), address(self._errors),
        ):  # fmt: skip
            return _NO_ROWS, _NO_ROWS, _NO_ROWS
        errors = self._errors[: len(slots)]
        return (
            np.flatnonzero(errors == NO_SOCKET),
            np.flatnonzero(errors > 0),
            np.flatnonzero(errors == NOT_PROTECTED),
        )

    def tables(self) -> tuple[int, int, int, int, int, int]:
        """Return what compiled code that sends needs, until a slot is added.

        Returns:
            The address of libsrtp's function, the addresses of the tables of sessions, descriptors, addresses
            and their sizes, and the number of slots in them.
        """
        by_sessions, by_fds, by_targets, by_sizes = self._tables
        return (
            SrtpPair.functions().protect, by_sessions.of(self._sessions), by_fds.of(self._fds),
            by_targets.of(self._targets), by_sizes.of(self._sizes), len(self._sessions),
        )  # fmt: skip

    def open(self, rows: Bytes, lengths: Indices, sessions: NDArray[np.int64]) -> bool:
        """Decrypt packets in their rows.

        Args:
            rows: ``(n, octets)``, C-contiguous, a multiple of four octets wide.
            lengths: octets of each; of refused ones they become the negative status of libsrtp.
            sessions: address of the session of each, 0 for packets that are not encrypted.

        Returns:
            True if packets were refused.
        """
        functions = SrtpPair.functions()
        refused = self._open(
            functions.unprotect, functions.unprotect_rtcp, address(rows), rows.shape[1], address(lengths),
            address(sessions), len(lengths),
        )  # fmt: skip
        return bool(refused)


def sockaddr(media_socket: MediaSocket) -> bytes:
    """Return the address that a socket sends to as the kernel has it; empty if it has another form."""
    host, port = media_socket.source.target
    family: Any = media_socket.udp.family
    try:
        packed = socket.inet_pton(family, host)
    except (OSError, ValueError):
        # Another family than that of the socket, or the name of an interface in it.
        return b""
    head = struct.pack("=H", family) + port.to_bytes(2, "big")
    return head + packed + bytes(8) if family == socket.AF_INET else head + bytes(4) + packed + bytes(4)
