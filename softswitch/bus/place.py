"""Place of a worker: what its supervisor tells it at its start, in one environment variable."""

import os
from collections.abc import MutableMapping

import msgspec

VARIABLE = "SOFTSWITCH_WORKER"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told."""

    number: int
    """Number of the worker, of which a supervisor gives each one once."""
    host: str
    """Name of the machine in the cluster."""
    workers: int
    """Number of workers that the machine runs when no restart is under way."""
    control: int
    """Descriptor of the channel of the bus."""
    sip: int = -1
    """Descriptor of the channel of SIP messages; -1: SIP is off."""
    sip_port: int = 0
    sip_tls_port: int = 0
    http_port: int = 0
    run: str
    """Folder of Unix sockets, which only this user can enter."""
    secret: str
    """Secret of requests between workers."""

    @property
    def node(self) -> str:
        """Return the name of the worker's node."""
        return f"{self.host}.{self.number}"


def take_place(environ: MutableMapping[str, str] = os.environ) -> Place | None:
    """Return the place of this process and remove it from the environment; None: it is no worker.

    Raises:
        msgspec.MsgspecError: The variable is malformed: only a supervisor sets it.
    """
    text = environ.pop(VARIABLE, "")
    return msgspec.json.decode(text, type=Place) if text else None


def socket_path(run: str, node: str) -> str:
    """Return the path of the Unix socket at which a worker answers the others."""
    return f"{run}/{node.rpartition('.')[2]}.sock"


def mark_of(worker: int) -> str:
    """Return the mark of a worker: it begins every branch and tag that the worker makes."""
    return f"s{worker & 0xFFFF:04x}"
