"""Notifications to systemd (sd_notify(3)); without systemd they do nothing."""

import os
import socket


def notify(*states: str) -> bool:
    """Send states such as `READY=1`, `STOPPING=1` or `STATUS=...`; return whether systemd got them.

    Args:
        states: assignments, one for each line of the datagram.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        try:
            # A leading @ stands for the zero byte of an abstract socket address.
            sender.sendto(
                "\n".join(states).encode(), address.replace("@", "\0", 1) if address[0] == "@" else address
            )
        except OSError:
            return False  # systemd's own timeout handles a missing notification
    return True


def watchdog_s() -> float:
    """Return the seconds without `WATCHDOG=1` after which systemd ends this process, 0 if it does not.

    WATCHDOG_USEC applies to the process that WATCHDOG_PID names (sd_watchdog_enabled(3)).
    """
    owner, microseconds = os.environ.get("WATCHDOG_PID", ""), os.environ.get("WATCHDOG_USEC", "")
    if owner not in {"", str(os.getpid())} or not microseconds.isdecimal():
        return 0.0
    return int(microseconds) / 1_000_000
