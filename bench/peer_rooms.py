"""Mix rooms of four telephones with Janus' AudioBridge and with the production engine, in turn.

Both carry the same packets of the same telephones: G.711 over UDP on the loopback, four legs to a room, each
hears the other three. CPU is that of the whole process, user and system. Without Janus (a Debian package) its
rows are left out. With two legs to a room it is the peer of a mixed call.

    python bench/peer_rooms.py [legs [seconds [rounds [legs in a room [BEFORE]]]]]

BEFORE is a work tree of another commit, which is measured in turn with the others.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.idle import spent_s
from bench.peer_relay import Relay, Switch, measure
from bench.sip_legs import Telephones

START_S, ANSWER_S = 10.0, 5.0
CONFIG = """
general: {{ configs_folder = "{folder}", debug_level = 3 }}
media: {{ ipv6 = false, rtp_port_range = "30000-60000" }}
nat: {{ nice_debug = false }}
plugins: {{ disable = "{plugins}" }}
transports: {{ disable = "{transports}" }}
"""
OTHER_TRANSPORTS = "http mqtt nanomsg rabbitmq websockets"
UNUSED = "duktape echotest lua nosip recordplay sip streaming textroom videocall videoroom voicemail"


def _files(names: str) -> str:
    return ",".join(f"libjanus_{name}.so" for name in names.split())


class Janus:
    """Janus with its plug-in AudioBridge, asked over a Unix socket."""

    def __init__(self, in_room: int) -> None:
        """Start it, and wait until it answers."""
        program = shutil.which("janus", path=os.environ["PATH"] + ":/usr/bin:/usr/local/bin")
        if program is None:
            raise FileNotFoundError("janus")
        self._in_room = in_room
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        (folder / "janus.jcfg").write_text(
            CONFIG.format(folder=folder, plugins=_files(UNUSED), transports=_files(OTHER_TRANSPORTS))
        )
        api = f'enabled = true, json = "compact", path = "{folder}/api", type = "SOCK_SEQPACKET"'
        (folder / "janus.transport.pfunix.jcfg").write_text(f"general: {{ {api} }}\n")
        (folder / "janus.plugin.audiobridge.jcfg").write_text(
            'general: { local_ip = "127.0.0.1", rtp_port_range = "30000-60000" }\n'
        )
        self._command = [program, "--configs-folder", str(folder)]
        self.process = self._start()
        self._asker = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asker.settimeout(ANSWER_S)
        deadline = time.monotonic() + START_S
        while self._asker.connect_ex(str(folder / "api")):
            if time.monotonic() > deadline:
                raise SystemExit("Janus does not answer")
            time.sleep(0.1)
            if self.process.poll() is not None:
                # Debian's 1.1.2 often ends at once: "No Janus API transport is available".
                self.process = self._start()
        self._number = 0
        self._session = self._ask({"janus": "create"})["data"]["id"]

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def connect(self, far: list[int]) -> list[int]:
        """Seat the telephones in rooms; return the port to which each is to send."""
        near: list[int] = []
        room = handle = 0
        for leg, port in enumerate(far):
            handle = self._ask({"janus": "attach", "plugin": "janus.plugin.audiobridge"})["data"]["id"]
            if leg % self._in_room == 0:
                room += 1
                what = {
                    "request": "create",
                    "room": room,
                    "sampling_rate": 8000,
                    "allow_rtp_participants": True,
                }
                self._message(handle, what | {"audiolevel_event": False})
            rtp = {"ip": "127.0.0.1", "port": port, "payload_type": 0}
            joined = self._message(handle, {"request": "join", "room": room, "codec": "pcmu", "rtp": rtp})
            near.append(joined["rtp"]["port"])
        return near

    def cpu_s(self) -> float:
        """Return the CPU seconds that it has taken."""
        return spent_s(self.process.pid)

    def close(self) -> None:
        """End it."""
        self._asker.close()
        self.process.terminate()
        self.process.wait(10)
        self._folder.cleanup()

    def _message(self, handle: int, body: dict[str, Any]) -> dict[str, Any]:
        reply = self._ask({"janus": "message", "handle_id": handle, "body": body})
        found: dict[str, Any] = reply["plugindata"]["data"]
        if "error" in found:
            raise SystemExit(f"Janus: {found['error']}")
        return found

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask, and return the answer; what an acknowledgement announces is waited for."""
        self._number += 1
        transaction = str(self._number)
        session = {"session_id": self._session} if self._number > 1 else {}
        self._asker.send(json.dumps(request | session | {"transaction": transaction}).encode())
        while True:
            reply: dict[str, Any] = json.loads(self._asker.recv(65536))
            if reply["janus"] == "error":
                raise SystemExit(f"Janus: {reply['error']}")
            if reply.get("transaction") == transaction and reply["janus"] != "ack":
                return reply


def main() -> None:
    """Print one row for each, the median of the rounds."""
    numbers = [float(word) for word in sys.argv[1:5]]
    legs, seconds, rounds, in_room = (*numbers, *(200.0, 6.0, 3.0, 4.0)[len(numbers) :])
    setup = {2: "mixed", 4: "rooms of 4"}[int(in_room)]
    trees = {"softswitch": Path(__file__).resolve().parent.parent}
    if len(sys.argv) > 5:
        trees["before"] = Path(sys.argv[5]).resolve()
    kinds: dict[str, partial[Relay]] = {
        **{name: partial(Switch, tree, "sip_legs.py", setup, str(int(legs))) for name, tree in trees.items()},
        "Janus": partial(Janus, int(in_room)),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for _ in range(int(rounds)):
        for name, make in kinds.items():
            try:
                found[name].append(measure(make(), Telephones(int(legs)), seconds))
            except FileNotFoundError:
                print(f"{name} is not installed", flush=True)
    print(f"{int(legs)} legs, {setup}: us of CPU per leg and 20 ms, median (least), packets that came")
    for name, rows in found.items():
        if rows:
            costs = [cost for cost, _ in rows]
            came = min(share for _, share in rows)
            print(f"{name:12} {median(costs):6.2f} ({min(costs):.2f})  {came:7.2%}", flush=True)


if __name__ == "__main__":
    main()
