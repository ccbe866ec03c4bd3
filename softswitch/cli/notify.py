"""Tell systemd how the switch is doing (sd_notify(3)); without systemd nothing happens."""

import os
import socket


def notify(*states: str) -> bool:
    """Send states such as `READY=1`, `STOPPING=1` or `STATUS=...`; tell whether anybody was told.

    Args:
        states: assignments, one a line of the datagram.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        try:
            # A leading @ means the abstract namespace, which the kernel spells with a zero byte.
            sender.sendto(
                "\n".join(states).encode(), address.replace("@", "\0", 1) if address[0] == "@" else address
            )
        except OSError:
            return False  # systemd notices by itself that it heard nothing
    return True
