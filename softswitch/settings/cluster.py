"""Settings of several processes and several machines."""

import ipaddress
import os
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from softswitch.settings.section import Seconds, Section

_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}")


PLAIN = "what passes there is not encrypted: use a private network, or a tunnel such as WireGuard"
"""Why public addresses are refused."""


class Server(Section, frozen=True):
    """Processes of this machine."""

    workers: Annotated[int, Meta(ge=1, le=256)] | Literal["auto"] = 1
    """Processes that carry calls; "auto": one for each core. 1: no supervisor."""

    def count(self) -> int:
        """Return the number of workers."""
        return len(os.sched_getaffinity(0)) if self.workers == "auto" else self.workers


class Cluster(Section, frozen=True):
    """Several machines that form one switch."""

    bus: str = ""
    """URL redis://host:port/number of the bus; needs the extra [redis]. Empty: this machine is alone. Its
    host has a private address; rediss:// (TLS) leads to any."""
    node: str = ""
    """Name of this machine in the cluster: letters, digits and "-". Empty: a random one, kept in the data
    folder."""
    address: str = ""
    """Private address at which the other machines reach this one, "10.0.0.5:8090". What passes between
    machines is signed, not encrypted: a public address is refused. The address of a tunnel is fine."""
    secret: str = ""
    """Secret that all machines share, at least 32 bytes; requests between them are signed with it."""
    ttl_s: Seconds = 6.0
    """Lifetime of what a machine has put on the bus without a sign of life, in seconds."""

    def __post_init__(self) -> None:
        """Check that a cluster has an address and a secret."""
        if self.bus and not self.bus.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("bus must start with redis://, rediss:// or unix://")
        if self.node and not _NODE.fullmatch(self.node):
            raise ValueError("node: letters, digits and '-' are allowed, 32 at most")
        if self.bus and not (self.address and len(self.secret.encode()) >= 32):
            raise ValueError("bus needs address, and secret of at least 32 bytes")
        if self.address and not self.address.rpartition(":")[2].isdecimal():
            raise ValueError("address must be host:port")
        for key, host in (("address", host_of(self.address)), ("bus", plain_bus(self.bus))):
            if is_public(host):
                raise ValueError(f"{key}: {host} is a public address, and {PLAIN}")
        if self.ttl_s < 1:
            raise ValueError("ttl_s must be at least 1")


def host_of(address: str) -> str:
    """Return the host of `host:port`, without brackets."""
    return address.rpartition(":")[0].strip("[]")


def plain_bus(url: str) -> str:
    """Return the host of a URL redis://, which is not encrypted; empty for any other."""
    return urlsplit(url).hostname or "" if url.startswith("redis://") else ""


def is_public(host: str) -> bool:
    """Tell whether a host is a numeric address that is reached from everywhere; a name is not."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return False
