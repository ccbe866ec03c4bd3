"""Two networks of their own: coturn with the shipped configuration in one, clients and peers in the other.

Runs as `unshare --user --map-root-user --net -- python -m tests.networks.turn_world FOLDER`, where FOLDER has
cert.pem and key.pem, and prints what came of every attempt as JSON. The addresses look public and are not
reachable outside: nothing leaves the two namespaces, and both vanish with their processes.
"""

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

from softswitch.legs.webrtc.ice import ice_servers
from softswitch.settings import Ice
from tests.networks.turn_client import TurnClient, TurnError

ROOT = Path(__file__).resolve().parents[2]
SECRET = "shared-by-coturn-and-the-switch"
TURN, TURN6 = "9.9.9.1", "2620:fe::1"
CLIENT, CLIENT6 = "9.9.9.10", "2620:fe::10"
PEER, PEER6 = "9.9.9.20", "2620:fe::20"
PRIVATE = ("10.0.0.20", "172.16.0.20", "192.168.1.20", "100.64.0.20", "169.254.169.254", "192.0.2.20")
PRIVATE6 = ("fd00::20", "2001:db8::20")
NOWHERE = ("0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255", "198.18.0.1", "203.0.113.1")
NOWHERE6 = (
    "::",
    "::1",
    "fe80::1",
    "ff02::1",
    "::ffff:10.0.0.20",
    "64:ff9b::a00:14",
    "2002:a00:14::1",
    "100::1",
)
PORTS = {"udp": 3478, "tcp": 3478, "tls": 5349}


def ip(*words: str, pid: int | None = None) -> None:
    """Run ip, in the network of a process if one is named."""
    inside = ["nsenter", "--target", str(pid), "--net"] if pid is not None else []
    subprocess.run([*inside, "ip", *words], check=True, timeout=10)


def start(folder: Path) -> "subprocess.Popen[bytes]":
    """Start coturn in a network of its own, joined with this one by a pair of interfaces."""
    command = [
        "turnserver", "-c", str(ROOT / "turnserver.conf"), f"--static-auth-secret={SECRET}",
        f"--external-ip={TURN}/{TURN}", f"--cert={folder / 'cert.pem'}", f"--pkey={folder / 'key.pem'}",
        f"--userdb={folder / 'turndb'}", f"--pidfile={folder / 'turn.pid'}",
    ]  # fmt: skip
    # It waits for its interface: a line on its input says that it is there.
    waiting = ["unshare", "--net", "sh", "-c", 'echo ready; read line; exec "$@"', "sh", *command]
    log = (folder / "turn.log").open("wb")
    process = subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=folder)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    pid = process.pid
    ip("link", "set", "lo", "up")
    ip("link", "add", "world", "type", "veth", "peer", "name", "turn", "netns", str(pid))
    for address in (f"{CLIENT}/24", f"{PEER}/24", *(f"{one}/32" for one in PRIVATE)):
        ip("address", "add", address, "dev", "world")
    for address in (f"{CLIENT6}/64", f"{PEER6}/64", *(f"{one}/128" for one in PRIVATE6)):
        ip("address", "add", address, "dev", "world", "nodad")
    ip("link", "set", "world", "up")
    ip("link", "set", "lo", "up", pid=pid)
    ip("address", "add", f"{TURN}/24", "dev", "turn", pid=pid)
    ip("address", "add", f"{TURN6}/64", "dev", "turn", "nodad", pid=pid)
    ip("link", "set", "turn", "up", pid=pid)
    # The private networks are behind the clients: only the configuration keeps the relay out of them.
    ip("route", "add", "default", "via", CLIENT, pid=pid)
    ip("-6", "route", "add", "default", "via", CLIENT6, pid=pid)
    process.stdin.write(b"\n")
    process.stdin.flush()
    threading.Thread(target=drain, args=(process, folder / "turn.out"), daemon=True).start()
    return process


def drain(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Keep what coturn writes."""
    assert process.stdout is not None
    with log.open("wb") as kept:
        for line in process.stdout:
            kept.write(line)
            kept.flush()


def echo(host: str) -> tuple[socket.socket, list[bytes]]:
    """Send back what arrives at an address, and keep it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    peer = socket.socket(family, socket.SOCK_DGRAM)
    peer.bind((host, 0))
    heard: list[bytes] = []

    def serve() -> None:
        while True:
            data, source = peer.recvfrom(2000)
            heard.append(data)
            peer.sendto(b"echo of " + data, source)

    threading.Thread(target=serve, daemon=True).start()
    return peer, heard


class World:
    """What is tried, as a list of facts."""

    def __init__(self, folder: Path) -> None:
        urls = (
            f"turn:{TURN}:3478?transport=udp",
            f"turn:{TURN}:3478?transport=tcp",
            f"turns:{TURN}:5349?transport=tcp",
        )
        self.ice = Ice(turn_urls=urls, turn_secret=SECRET)
        self.tls = ssl.create_default_context(cafile=str(folder / "cert.pem"))
        self.tls.check_hostname = False
        self.peers = {host: echo(host) for host in (PEER, PEER6, *PRIVATE, *PRIVATE6)}

    def client(self, transport: str, user: str = "call-1", ice: Ice | None = None) -> TurnClient:
        (grant,) = ice_servers(ice or self.ice, now=time.time(), user=user)
        server = (TURN, PORTS[transport])
        return TurnClient(transport, server, CLIENT, grant.username, grant.credential, self.tls)

    def until_it_answers(self) -> None:
        for _ in range(100):
            try:
                socket.create_connection((TURN, PORTS["tls"]), 1).close()
                socket.create_connection((TURN, PORTS["tcp"]), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise SystemExit("coturn does not answer")

    def relays(self, transport: str, peer: str) -> list[object]:
        """Exchange a datagram with a peer through the relay; return what came back, and the relay."""
        client = self.client(transport, f"relay-{transport}")
        six = ":" in peer
        try:
            relayed = client.allocate(six=six)
            code = client.permit(peer)
            if code:
                return ["refused", code]
            place = self.peers[peer][0].getsockname()[:2]
            client.send(place, b"hello")
            source, data = client.receive()
        except (TurnError, OSError) as error:
            return ["failed", repr(error)]
        finally:
            client.close()
        return [data.decode(), list(source) == list(place), relayed[0], relayed[1] >= 49160]

    def refuses(self, hosts: tuple[str, ...], *, six: bool) -> dict[str, list[object]]:
        """Try to reach what the relay must not; return the code of each refusal, and what arrived there."""
        client = self.client("udp", "refused")
        found: dict[str, list[object]] = {}
        try:
            client.allocate(six=six)
            for host in hosts:
                code = client.permit(host)
                peer = self.peers.get(host)
                if peer is not None:
                    client.send(peer[0].getsockname()[:2], b"let me in")
                found[host] = [code, 0]
            time.sleep(0.2)
            for host in hosts:
                if host in self.peers:
                    found[host][1] = len(self.peers[host][1])
        finally:
            client.close()
        return found

    def allocations(self, users: list[str]) -> list[int]:
        """Allocate for each user name and hold them all; return 0 or the code of the refusal for each."""
        held, codes = [], []
        for user in users:
            client = self.client("udp", user)
            held.append(client)
            try:
                client.allocate()
            except TurnError as error:
                codes.append(error.code)
            else:
                codes.append(0)
        for client in held:
            client.close()
        return codes

    def stranger(self) -> int:
        """Return the code that another secret gets."""
        client = self.client("udp", ice=Ice(turn_urls=self.ice.turn_urls, turn_secret="guessed"))
        try:
            client.allocate()
        except TurnError as error:
            return error.code
        finally:
            client.close()
        return 0


def main() -> None:
    folder = Path(sys.argv[1])
    process = start(folder)
    try:
        world = World(folder)
        world.until_it_answers()
        told = {
            "relays": {transport: world.relays(transport, PEER) for transport in PORTS},
            "relays6": world.relays("udp", PEER6),
            "refuses": world.refuses((*PRIVATE, *NOWHERE), six=False),
            "refuses6": world.refuses((*PRIVATE6, *NOWHERE6), six=True),
            "stranger": world.stranger(),
            "calls": world.allocations([f"call-{number}" for number in range(40)]),
            "one_call": world.allocations(["greedy"] * 40),
        }
    finally:
        process.kill()
        process.wait(10)
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
