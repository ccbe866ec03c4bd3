"""Size of the machine, and the limits that follow from it where the settings leave them open."""

import os
from pathlib import Path

import msgspec

from softswitch.settings import Limits
from softswitch.switch.memory import MEGABYTE, Bounds, Machine, calls_of, memory_of, share_of

_CGROUP = Path("/sys/fs/cgroup")


def this_machine(cgroup: Path = _CGROUP) -> Machine:
    """Return the size of this machine, or of the container that the process runs in.

    Args:
        cgroup: folder of the control group (version 2); its files need not exist.
    """
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    most = _words(cgroup / "memory.max")
    if most and most[0].isdecimal():
        memory = min(memory, int(most[0]))
    # "quota period", both in microseconds; "max" is no quota.
    quota = _words(cgroup / "cpu.max")
    if len(quota) == 2 and quota[0].isdecimal() and quota[1].isdecimal() and int(quota[1]):
        cores = min(cores, max(1, round(int(quota[0]) / int(quota[1]))))
    return Machine(cores, memory)


def fill(limits: Limits, machine: Machine) -> Limits:
    """Return limits with numbers in place of -1."""
    calls = limits.calls if limits.calls >= 0 else calls_of(machine)
    # Without a bound for all, shares are those of what the machine carries.
    share = share_of(calls or calls_of(machine))
    memory = limits.memory_mb if limits.memory_mb >= 0 else memory_of(machine)
    # Not less than one call may have by default.
    a_key = max(memory // 4, min(memory, 64))
    return msgspec.structs.replace(
        limits,
        calls=calls,
        calls_per_ip=limits.calls_per_ip if limits.calls_per_ip >= 0 else share,
        calls_per_key=limits.calls_per_key if limits.calls_per_key >= 0 else share,
        memory_mb=memory,
        memory_key_mb=limits.memory_key_mb if limits.memory_key_mb >= 0 else a_key,
    )


def share(limits: Limits, workers: int) -> Limits:
    """Return the limits of one of several workers: memory is divided, numbers of calls hold for all."""
    return msgspec.structs.replace(
        limits,
        memory_mb=-(-limits.memory_mb // workers),
        memory_key_mb=-(-limits.memory_key_mb // workers),
    )


def bounds(limits: Limits) -> Bounds:
    """Return the bounds of the memory in bytes; values of -1 are no bounds."""
    return Bounds(
        max(0, limits.memory_mb) * MEGABYTE,
        max(0, limits.memory_key_mb) * MEGABYTE,
        limits.memory_call_mb * MEGABYTE,
    )


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []
