"""A kit of network namespaces: hosts joined by cables with an MTU, or by slow and lossy links.

A namespace has no name in the system and no process in it. It lives as long as the test holds its descriptor,
so nothing is left behind, however the test ends. The test itself stays where it is: a socket belongs to the
namespace that its thread was in when it was made (`Namespace.entered`, `Namespace.udp`), and works from
anywhere.
"""

import ctypes
import fcntl
import heapq
import os
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Literal, Self

_CLONE_NEWNET = 0x40000000
_OWN = "/proc/thread-self/ns/net"
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_LARGEST = 65536


NatKind = Literal["port-restricted", "symmetric", "one-to-one"]


class NotAllowed(Exception):
    """This process may make no network namespaces."""


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _enter(fd: int) -> None:
    if _libc().setns(fd, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@dataclass(slots=True, eq=False)
class Namespace:
    """A host or a router with interfaces, addresses and routes of its own."""

    name: str
    fd: int
    _devices: Iterator[int] = field(default_factory=count)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have this thread make its sockets and files in the namespace."""
        home = os.open(_OWN, os.O_RDONLY)
        try:
            _enter(self.fd)
            yield
        finally:
            _enter(home)
            os.close(home)

    def run(self, *command: str, fds: Sequence[int] = ()) -> str:
        """Run a program in the namespace; return what it wrote."""
        with self.entered():
            done = subprocess.run(
                command, pass_fds=fds, capture_output=True, text=True, timeout=20, check=False
            )
        if done.returncode:
            raise AssertionError(f"{self.name}: {' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def ip(self, arguments: str, fds: Sequence[int] = ()) -> str:
        """Run ip(8) with these arguments."""
        return self.run("ip", *arguments.split(), fds=fds)

    def set(self, name: str, value: object) -> None:
        """Set a sysctl below net, such as `ipv4/ip_forward`."""
        with self.entered():
            Path("/proc/sys/net", name).write_text(f"{value}")

    def forward(self) -> None:
        """Make it a router, for IPv4 and IPv6."""
        self.set("ipv4/ip_forward", 1)
        self.set("ipv6/conf/all/forwarding", 1)

    def udp(self, host: str, port: int = 0) -> socket.socket:
        """Return a UDP socket bound in the namespace, whose reads fail after five seconds."""
        with self.entered():
            made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            made.bind((host, port))
        except OSError:
            made.close()
            raise
        made.settimeout(5)
        return made

    def new_device(self) -> str:
        """Return a name for another interface."""
        return f"n{next(self._devices)}"

    def nat(self, outside: str, kind: "NatKind" = "port-restricted", inside_host: str = "") -> None:
        """Translate what leaves by an interface, as a router at home or of a carrier does (nft(8)).

        Args:
            outside: name of the interface to the outer network.
            kind: port-restricted: one outer port for each inner one, open to what was sent to. symmetric:
                another outer port for each destination. one-to-one: all of the outer address is
                `inside_host`'s, as in a cloud.
            inside_host: address of the host that one-to-one leads to.
        """
        leave = {
            "port-restricted": "masquerade persistent",
            "symmetric": "masquerade fully-random",
            "one-to-one": "masquerade",
        }[kind]
        enter = f'iifname "{outside}" dnat to {inside_host}' if kind == "one-to-one" else ""
        self.run(
            "nft",
            "table ip home {\n"
            f' chain out {{ type nat hook postrouting priority 100;\n oifname "{outside}" {leave}\n }}\n'
            f" chain in {{ type nat hook prerouting priority -100;\n {enter}\n }}\n"
            "}",
        )

    def _bring_up(self, device: str, addresses: Sequence[str], mtu: int) -> None:
        self.ip(f"link set {device} mtu {mtu}")
        for address in addresses:
            self.ip(f"addr add {address} dev {device}{' nodad' if ':' in address else ''}")
        self.ip(f"link set {device} up")


@dataclass(slots=True)
class Impairment:
    """What a slow link does to packets."""

    delay_s: float = 0.0
    loss: float = 0.0
    """Share of packets that are lost, 0-1."""


class Topology:
    """Namespaces and the links between them; a context manager."""

    def __init__(self, random: Random | None = None) -> None:
        """Make nothing yet.

        Args:
            random: decides which packets a lossy link loses.
        """
        self._random = random or Random(20)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def host(self, name: str) -> Namespace:
        """Return a new namespace, with its loopback up.

        Raises:
            NotAllowed: this process may make none.
        """
        made: list[int] = []

        def make() -> None:
            # In a thread that ends at once: none of the test's own threads leaves its namespace.
            if not _libc().unshare(_CLONE_NEWNET):
                made.append(os.open(_OWN, os.O_RDONLY))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if not made:
            raise NotAllowed("unshare(CLONE_NEWNET) is not permitted")
        self._open.callback(os.close, made[0])
        host = Namespace(name, made[0])
        # Else every address waits a second or two before it is used, to see whether another host has it.
        host.set("ipv6/conf/default/accept_dad", 0)
        host.ip("link set lo up")
        return host

    def router(self, name: str) -> Namespace:
        """Return a new namespace that forwards packets."""
        router = self.host(name)
        router.forward()
        return router

    def join(
        self,
        one: Namespace,
        other: Namespace,
        *,
        addresses: Sequence[str],
        other_addresses: Sequence[str],
        mtu: int = 1500,
        impairment: Impairment | None = None,
    ) -> tuple[str, str]:
        """Join two namespaces by a link; return the names of its two ends.

        Args:
            one: a host or router.
            other: another.
            addresses: of the end in `one`, with prefix length: `10.1.0.1/24`, `fd00:1::1/64`.
            other_addresses: of the end in `other`; each is of the version of its counterpart.
            mtu: of both ends, in octets; IPv6 needs 1280.
            impairment: delay and loss; None: a cable.
        """
        ends = one.new_device(), other.new_device()
        if impairment is None:
            far = f"type veth peer name {ends[1]} netns /proc/self/fd/{other.fd}"
            one.ip(f"link add {ends[0]} {far}", fds=(other.fd,))
        else:
            self._open.enter_context(_slow_link((one, other), ends, impairment, self._random))
        one._bring_up(ends[0], addresses, mtu)
        other._bring_up(ends[1], other_addresses, mtu)
        for address, other_address in zip(addresses, other_addresses, strict=True):
            _await(one, address.partition("/")[0], other, other_address.partition("/")[0])
        return ends


def _await(one: Namespace, address: str, other: Namespace, other_address: str) -> None:
    """Wait until datagrams cross a link both ways: the kernel takes up to a second to use a new address."""
    end = time.monotonic() + 20
    with one.udp(address) as here, other.udp(other_address) as there:
        here.settimeout(0.05)
        there.settimeout(0.05)
        while time.monotonic() < end:
            try:
                here.sendto(b"?", there.getsockname()[:2])
                data, sender = there.recvfrom(1)
                there.sendto(data, sender[:2])
                here.recv(1)
            except OSError:  # not yet, or lost on the way
                time.sleep(0.005)
            else:
                return
    raise AssertionError(f"nothing crosses the link from {one.name} to {other.name} ({address})")


@contextmanager
def _slow_link(
    namespaces: tuple[Namespace, Namespace], devices: tuple[str, str], impairment: Impairment, random: Random
) -> Iterator[None]:
    """Join two namespaces by TUN devices, whose packets a thread carries late or not at all."""
    with ExitStack() as stack:
        ends: list[int] = []
        for namespace, device in zip(namespaces, devices, strict=True):
            with namespace.entered():
                end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
                stack.callback(os.close, end)
                fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TUN | _IFF_NO_PI))
            ends.append(end)
        stop, stopped = os.pipe()
        stack.callback(os.close, stop)
        carrier = threading.Thread(
            target=_carry, args=(ends, stop, impairment, random), name="slow link", daemon=True
        )
        carrier.start()
        stack.callback(carrier.join, 5)
        stack.callback(os.close, stopped)  # the first thing that happens at the end: it wakes the thread
        yield


def _carry(ends: Sequence[int], stop: int, impairment: Impairment, random: Random) -> None:
    """Carry packets until the pipe `stop` is closed at its other end."""
    waiting: list[tuple[float, int, int, bytes]] = []
    numbers = count()
    while True:
        patience = max(waiting[0][0] - time.monotonic(), 0.0) if waiting else None
        ready, _, _ = select.select([*ends, stop], [], [], patience)
        if stop in ready:
            return
        now = time.monotonic()
        for side in (side for side in (0, 1) if ends[side] in ready):
            packet = _read(ends[side])
            if packet and random.random() >= impairment.loss:
                heapq.heappush(waiting, (now + impairment.delay_s, next(numbers), 1 - side, packet))
        while waiting and waiting[0][0] <= now:
            _, _, side, packet = heapq.heappop(waiting)
            _write(ends[side], packet)


def _read(end: int) -> bytes:
    try:
        return os.read(end, _LARGEST)
    except OSError:  # nothing there after all, or the interface is down
        return b""


def _write(end: int, packet: bytes) -> None:
    try:
        os.write(end, packet)
    except OSError:  # the interface is down: the packet is lost, as on a cable
        return
