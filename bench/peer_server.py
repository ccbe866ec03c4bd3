"""Relay G.711 calls that INVITEs set up: the whole switch, and kamailio with rtpengine (userspace), in turn.

Both sides get the same INVITEs of the same callers, and bridge them to the same callees; then the telephones
talk: UDP on the loopback, two legs to a call, a packet every 20 ms. CPU is that of all processes of a side
while the telephones talk, user and system. That both relay is checked: the switch counts its relayed legs,
and the ports in the SDP of the other side are rtpengine's. Without kamailio or rtpengine (Debian packages)
their rows are left out.

    python bench/peer_server.py [legs [seconds [rounds [BEFORE]]]]

BEFORE is a work tree of another commit, which is measured in turn with the others.
"""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.idle import spent_s, tree
from bench.peer_relay import RtpEngine, in_turn, wanted
from bench.sip_legs import TICK_S, WARM_UP_S, Telephones
from bench.sip_setup import HOST, SDP, Dialog, Generator, free_port, switch

PEER = "kamailio + rtpengine"
AT_ONCE = 10
"""Calls that are set up at the same time."""
START_S = 20.0
CONFIG = """\
#!KAMAILIO
debug=0
log_stderror=yes
fork=yes
children=2
disable_tcp=yes
auto_aliases=no
listen=udp:{host}:{port}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/:/usr/lib/aarch64-linux-gnu/kamailio/modules/"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "rtpengine.so"
modparam("rtpengine", "rtpengine_sock", "udp:{host}:{control}")

request_route {{
    if (has_totag()) {{
        if (!loose_route()) {{
            sl_send_reply("404", "Not here");
            exit;
        }}
        if (is_method("BYE")) rtpengine_delete();
        t_relay();
        exit;
    }}
    if (is_method("OPTIONS")) {{
        sl_send_reply("200", "OK");
        exit;
    }}
    if (!is_method("INVITE")) exit;
    record_route();
    rtpengine_offer("replace-origin ICE=remove");
    t_on_reply("ANSWER");
    $du = "sip:{host}:{callee}";
    t_relay();
}}

onreply_route[ANSWER] {{
    if (status =~ "2[0-9][0-9]" && has_body("application/sdp")) rtpengine_answer("replace-origin ICE=remove");
}}
"""


@dataclass(frozen=True)
class Side:
    """A running switch, or kamailio with rtpengine."""

    sip: int
    """Port for INVITEs."""
    pids: tuple[int, ...]
    """Processes, without those that they have started."""
    relayed: Callable[[], int | None]
    """Returns how many legs are relayed; None where nothing but a relay is there."""

    def cpu_s(self) -> float:
        """Return the CPU seconds that all its processes have taken."""
        return sum(spent_s(one) for pid in self.pids for one in tree(pid))


@contextlib.contextmanager
def whole_switch(where: Path, callee: int) -> Iterator[Side]:
    """Run the switch of a work tree, which bridges all calls to the callee."""
    patient = {
        "LIMITS_MEDIA_TIMEOUT_START_S": "600", "LIMITS_MEDIA_TIMEOUT_S": "600", "LIMITS_CALLS": "0",
        "LIMITS_CALLS_PER_IP": "0", "LIMITS_DRAIN_S": "0.1",
    }  # fmt: skip
    with switch(where, "b2bua", callee, None, **patient) as running:

        def relayed() -> int:
            with urllib.request.urlopen(f"http://{HOST}:{running.http}/metrics") as answer:
                found = re.search(r"^\w*media_relaying_ports (\S+)", answer.read().decode(), re.MULTILINE)
            return int(float(found[1])) if found else 0

        yield Side(running.sip, (running.pid,), relayed)


@contextlib.contextmanager
def kamailio(callee: int) -> Iterator[Side]:
    """Run kamailio and rtpengine, which bridge all calls to the callee.

    Raises:
        FileNotFoundError: One of the programs, or kamailio's module, is not installed.
    """
    program = shutil.which("kamailio", path=os.environ["PATH"] + ":/usr/sbin:/usr/bin")
    if program is None:
        raise FileNotFoundError("kamailio")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        relay = RtpEngine(folder)
        stack.callback(relay.close)
        config, port = Path(folder, "kamailio.cfg"), free_port(socket.SOCK_DGRAM)
        config.write_text(CONFIG.format(host=HOST, port=port, callee=callee, control=relay.control[1]))
        command = [program, "-f", str(config), "-Y", folder, "-m", "256", "-M", "8", "-DD", "-E"]
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        stack.callback(_end, process)
        deadline = time.monotonic() + START_S
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"kamailio did not start: {Path(folder, 'log').read_text()[-2000:]}")
        yield Side(port, (process.pid, relay.process.pid), lambda: None)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    """Return whether OPTIONS are answered on a port, after a while at most."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        probe.settimeout(0.2)
        own = f"{HOST}:{probe.getsockname()[1]}"
        lines = (
            f"OPTIONS sip:{HOST}:{port} SIP/2.0", f"Via: SIP/2.0/UDP {own};branch=z9hG4bKprobe",
            f"From: <sip:probe@{own}>;tag=1", f"To: <sip:{HOST}:{port}>", f"Call-ID: probe@{own}",
            "CSeq: 1 OPTIONS", "Max-Forwards: 5", "Content-Length: 0", "", "",
        )  # fmt: skip
        probe.sendto("\r\n".join(lines).encode(), (HOST, port))
        try:
            return probe.recv(2000).startswith(b"SIP/2.0 200")
        except OSError:
            time.sleep(0.1)
            return False


class Agents(Generator):
    """Callers and callees whose media are those of telephones: the number that is called tells which."""

    def __init__(self, far: list[int]) -> None:
        """Take the ports of the telephones; two are one call, the first of them is the caller."""
        super().__init__(0)
        self._far = far
        self.near = [0] * len(far)
        """Port to which each telephone is to send, once its call is answered."""

    async def connect(self, port: int) -> list[Dialog]:
        """Set all calls up through a side.

        Raises:
            SystemExit: The media of a call would not go through the side.
        """
        dialogs: list[Dialog] = []
        for first in range(0, len(self._far), 2 * AT_ONCE):
            legs = range(first, min(first + 2 * AT_ONCE, len(self._far)), 2)
            dialogs += await asyncio.gather(*(self._call(leg, port) for leg in legs))
        if not all(self.near) or set(self.near) & set(self._far):
            raise SystemExit("the media of some calls do not go through the side")
        return dialogs

    async def _call(self, leg: int, port: int) -> Dialog:
        dialog = await self.begin(port, str(leg), SDP.format(port=self._far[leg]))
        self.near[leg] = media_port(dialog.answer)
        return dialog

    def _accept(self, invite: str) -> str:
        called = re.match(r"INVITE sip:(\d+)@", invite)
        leg = int(called[1]) + 1 if called else 1
        self.near[leg] = media_port(invite)
        return SDP.format(port=self._far[leg])


def media_port(message: str) -> int:
    """Return the port that a message's SDP asks audio to be sent to."""
    return int(message.partition("m=audio ")[2].split()[0])


async def measure(
    make: Callable[[int], AbstractContextManager[Side]], legs: int, seconds: float
) -> tuple[float, float]:
    """Return CPU in microseconds per leg and 20 ms, and the share of packets that came."""
    telephones = Telephones(legs)
    loop = asyncio.get_running_loop()
    transport, agents = await loop.create_datagram_endpoint(
        lambda: Agents([far.getsockname()[1] for far in telephones.sockets]), local_addr=(HOST, 0)
    )
    try:
        with make(agents.port) as side:
            dialogs = await agents.connect(side.sip)
            # While the telephones talk, no SIP is read: the calls stand.
            telephones.talk(agents.near, WARM_UP_S)
            relayed = side.relayed()
            telephones.forget()
            before = side.cpu_s()
            telephones.talk(agents.near, seconds)
            cost = (side.cpu_s() - before) / seconds / legs * TICK_S * 1e6
            if relayed not in {None, legs} or side.relayed() != relayed:
                raise SystemExit(f"of {legs} legs {relayed} are relayed, later {side.relayed()}")
            for dialog in dialogs:
                await agents.end(dialog)
            return cost, telephones.received / (legs * seconds / TICK_S)
    finally:
        transport.close()
        for far in telephones.sockets:
            far.close()


def main() -> None:
    """Print one row for each, the median of the rounds."""
    legs, seconds, rounds, trees = wanted()
    kinds: dict[str, Callable[[int], AbstractContextManager[Side]]] = {
        **{name: partial(whole_switch, where) for name, where in trees.items()},
        PEER: kamailio,
    }
    found = in_turn(kinds, rounds, lambda make: asyncio.run(measure(make, legs, seconds)))
    print(f"{legs} relayed legs of calls set up with INVITEs: us of CPU of all processes per leg and 20 ms,")
    print(f"median and least of {rounds} rounds in turn; ratio to {PEER}, median of the rounds; packets that")
    print("came, in the worst round")
    print(f"{'':20} {'median':>7} {'least':>7} {'ratio':>6} {'came':>8}")
    peer = [cost for cost, _ in found[PEER]]
    for name, rows in found.items():
        if rows:
            costs = [cost for cost, _ in rows]
            ratio = f"{median(a / b for a, b in zip(costs, peer, strict=True)):6.2f}" if peer else f"{'':6}"
            came = min(share for _, share in rows)
            print(f"{name:20} {median(costs):7.2f} {min(costs):7.2f} {ratio} {came:8.2%}", flush=True)


if __name__ == "__main__":
    main()
