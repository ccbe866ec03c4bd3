"""Ports for the programs of a test, away from the ephemeral ports of the system."""

import itertools
import os
import socket
from collections.abc import Sequence

FIRST, LAST = 10000, 15999
"""Below the switch's own media ports and the system's ephemeral ones."""
_KINDS = (socket.SOCK_DGRAM, socket.SOCK_STREAM)

# Workers of one run (pytest-xdist) share no port: what one has found free, another could take at once.
# Two runs of the tests beside one another begin at different places.
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_places = itertools.cycle(range(FIRST + 10 * _worker, LAST - 10, 10 * _workers))
for _ in range(os.getpid() % 600):
    next(_places)


def free_port(host: str = "127.0.0.1", neighbours: int = 0) -> int:
    """Return a port that is free for UDP and TCP, and free ones behind it; none is given twice soon."""
    for port in itertools.islice(_places, (LAST - FIRST) // (10 * _workers)):
        if is_free(host, range(port, port + neighbours + 1)):
            return port
    raise AssertionError("no free port")


def is_free(host: str, ports: Sequence[int]) -> bool:
    """Tell whether ports are free for UDP and TCP at this moment."""
    for port, kind in itertools.product(ports, _KINDS):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind == socket.SOCK_STREAM))
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True
