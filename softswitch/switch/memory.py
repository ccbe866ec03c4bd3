"""Accounts of the memory that calls hold, with a bound per call, per account and for the process.

This module only counts: callers reserve bytes before they allocate them and release them afterwards. What
clients can make large is counted: files being played, and events kept for clients that come back.
"""

from collections import Counter
from typing import NamedTuple

from softswitch.errors import NotNowError

MEGABYTE = 1_000_000
RETRY_S = 5.0


class MemoryFullError(NotNowError):
    """A bound of the memory is reached: 429 for one's own bounds, 503 for that of the process."""

    def __init__(self, setting: str, code: int) -> None:
        super().__init__(f"[limits] {setting} is reached", retry_after_s=RETRY_S)
        self.code = code


class Bounds(NamedTuple):
    """Most bytes, each; 0 means no bound."""

    process: int = 0
    account: int = 0
    call: int = 0


UNBOUNDED = Bounds()


class Memory:
    """Bytes held, in all, by account and by call."""

    def __init__(self, bounds: Bounds = UNBOUNDED) -> None:
        self.bounds = bounds
        self.held = 0
        self.highest = 0
        """Most bytes ever held at once."""
        self.refused = 0
        """Reservations refused."""
        self._accounts: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()

    @property
    def is_full(self) -> bool:
        """Whether the bound of the process is reached."""
        return 0 < self.bounds.process <= self.held

    def of_account(self, account: str) -> int:
        """Return the bytes that the calls of an account hold."""
        return self._accounts[account]

    def of_call(self, call: str) -> int:
        """Return the bytes that a call holds."""
        return self._calls[call]

    def hold(self, account: str, call: str) -> "Hold":
        """Return an empty reservation for a call of an account."""
        return Hold(self, account, call)

    def take(self, account: str, call: str, size: int) -> None:
        """Reserve bytes.

        Args:
            account: account of the call; "" is the administrator's, which has the bound of the process only.
            call: id of the call.
            size: bytes.

        Raises:
            MemoryFullError: A bound would be exceeded; nothing is reserved.
        """
        bounds = self.bounds
        for bound, held, setting, code in (
            (bounds.call, self._calls[call], "memory_call_mb", 429),
            (bounds.account if account else 0, self._accounts[account], "memory_key_mb", 429),
            (bounds.process, self.held, "memory_mb", 503),
        ):
            if bound and held + size > bound:
                self.refused += 1
                self._drop_empty(account, call)
                raise MemoryFullError(setting, code)
        self.add(account, call, size)

    def add(self, account: str, call: str, size: int) -> None:
        """Count bytes, negative ones for what is released, without a check."""
        self.held += size
        self.highest = max(self.highest, self.held)
        self._accounts[account] += size
        self._calls[call] += size
        self._drop_empty(account, call)

    def _drop_empty(self, account: str, call: str) -> None:
        if self._accounts[account] <= 0:
            del self._accounts[account]
        if self._calls[call] <= 0:
            del self._calls[call]


class Hold:
    """A reservation of one call; it grows, and is released once."""

    __slots__ = ("_call", "_memory", "account", "size")

    def __init__(self, memory: Memory, account: str, call: str) -> None:
        self._memory, self.account, self._call = memory, account, call
        self.size = 0

    def grow(self, size: int) -> None:
        """Reserve more bytes; raises `MemoryFullError`."""
        self._memory.take(self.account, self._call, size)
        self.size += size

    def shrink(self, size: int) -> None:
        """Release some of the bytes."""
        self._memory.add(self.account, self._call, -size)
        self.size -= size

    def move(self, account: str, call: str) -> None:
        """Charge the bytes to another call, beyond its bounds if necessary: they are in use already."""
        self._memory.add(self.account, self._call, -self.size)
        self.account, self._call = account, call
        self._memory.add(account, call, self.size)

    def release(self) -> None:
        """Release all bytes; releasing twice is harmless."""
        if self.size:
            self.shrink(self.size)


class Machine(NamedTuple):
    """Size of the machine or container."""

    cores: int
    memory: int
    """Bytes."""


CALLS_A_CORE = 1000
"""More calls than a core carries of any kind; before, it is late, and new calls are refused as overload."""
BYTES_A_CALL = 2 * MEGABYTE
"""Buffers, codecs and state of a call, without what is counted here."""
MOST_COUNTED = 4096 * MEGABYTE


def calls_of(machine: Machine) -> int:
    """Return a sane bound of simultaneous calls: half of the memory is for them."""
    return max(16, min(machine.cores * CALLS_A_CORE, machine.memory // 2 // BYTES_A_CALL))


def share_of(calls: int) -> int:
    """Return a sane bound for one account or address: a quarter of the calls is left for others."""
    return max(1, calls * 3 // 4)


def memory_of(machine: Machine) -> int:
    """Return a sane bound of the counted memory in megabytes: a quarter of the machine's, at most 4096."""
    return max(64, min(machine.memory // 4, MOST_COUNTED) // MEGABYTE)
