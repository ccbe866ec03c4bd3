"""Measure calls through RustPBX and through the switch: set-up, and browsers with telephones.

RustPBX is built from its public source: `cargo build --release --no-default-features --bin rustpbx`.

- `setup`: telephones call telephones, ring, talk for 0.2 s and hang up, as in `sip_setup.py`. All programs
  run on the same processor, batches of calls go to each in turn.
- `bridge`: browsers (aiortc, ICE and DTLS-SRTP, packets encoded beforehand) talk to telephones with PCMU, as
  in `browser_bridge.py`; those of RustPBX call by SIP over a WebSocket (RFC 7118). Rounds in turn.

    python bench/peer_pbx.py PROGRAM setup|bridge [calls [rounds [BEFORE]]]

BEFORE is a work tree of another commit, which is measured in turn with the others. RustPBX names no candidate
on the loopback: give that of a network namespace another address (`ip addr add 10.77.0.1/32 dev lo`).
"""

import argparse
import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

import aiohttp  # noqa: E402  (found by the line above)
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription  # noqa: E402

from bench._server import wait_for  # noqa: E402
from bench.browser_bridge import Call, Callees, Start, browser, carried, of  # noqa: E402
from bench.sip_setup import HOST, Generator, Switch, batch, fields, free_port, switch  # noqa: E402
from bench.webrtc_legs import Microphone, calm_client, offer_of  # noqa: E402

ANSWER_S = 20.0
SETUP_RATE = 50.0
CONFIG = """
http_addr = "{host}:{http}"
log_level = "error"
database_url = "sqlite://{folder}/peer.sqlite3"
[proxy]
modules = ["acl", "registrar", "call"]
addr = "{host}"
udp_port = {sip}
ws_handler = "/ws"
media_proxy = "{media}"
generated_dir = "{folder}"
ensure_user = false
acl_rules = ["allow all"]
addons = []
[[proxy.user_backends]]
type = "memory"
users = [{{ username = "bench", password = "bench" }}]
[proxy.trunks.far]
dest = "sip:{host}:{callee}"
codec = ["pcmu"]
[[proxy.routes]]
name = "all"
priority = 1
action = "forward"
dest = "far"
[proxy.routes.match]
"to.user" = "^[0-9]+$"
[recording]
enabled = false
auto_start = false
"""


@contextlib.contextmanager
def rustpbx(program: Path, callee: int, processor: int | None, media: str) -> Iterator[Switch]:
    """Run RustPBX with the callee as its trunk."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sip, http = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
        config = CONFIG.format(host=HOST, http=http, sip=sip, folder=folder, callee=callee, media=media)
        (folder / "peer.toml").write_text(config)
        with (
            (folder / "log").open("w") as log,
            subprocess.Popen(
                [program, "--conf", "peer.toml"], cwd=folder, stdout=log, stderr=subprocess.STDOUT
            ) as process,
        ):
            try:
                if processor is not None:
                    os.sched_setaffinity(process.pid, {processor})
                wait_for(http)
                yield Switch(process.pid, sip, http)
            finally:
                process.kill()


async def browser_over_sip(
    session: aiohttp.ClientSession, port: int, number: int, packets: list[bytes]
) -> tuple[RTCPeerConnection, aiohttp.ClientWebSocketResponse]:
    """Call the telephone of a number from a browser, by SIP over a WebSocket.

    Raises:
        RuntimeError: the call was refused.
    """
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTrack(Microphone(packets, number * 37))
    await connection.setLocalDescription(await connection.createOffer())
    ws = await session.ws_connect(f"http://{HOST}:{port}/ws", protocols=("sip",))
    own, target = f"bench{number}", f"sip:{number}@{HOST}"

    async def send(method: str, to: str, uri: str, body: str = "") -> None:
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/WS {own}.invalid;branch=z9hG4bK{own}{method}",
            f"From: <sip:bench@{HOST}>;tag={own}",
            f"To: {to}",
            f"Call-ID: {own}-call", f"CSeq: 1 {method}",
            f"Contact: <sip:bench@{own}.invalid;transport=ws>", "Max-Forwards: 70",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]  # fmt: skip
        await ws.send_str("\r\n".join(lines) + "\r\n\r\n" + body)

    await send("INVITE", f"<{target}>", target, offer_of(connection))
    while (text := (await ws.receive_str(timeout=ANSWER_S))).startswith("SIP/2.0 1"):
        pass
    if not text.startswith("SIP/2.0 200"):
        raise RuntimeError(text)
    found = fields(text)
    await send("ACK", found["To"], found["Contact"].partition("<")[2].partition(">")[0])
    answer = RTCSessionDescription(text.partition("\r\n\r\n")[2], "answer")
    await connection.setRemoteDescription(answer)
    while connection.connectionState != "connected":
        await asyncio.sleep(0.05)
    return connection, ws


async def compare_setup(given: argparse.Namespace) -> None:
    """Print milliseconds of CPU a call, and the ratio of this tree to the others."""
    processors = os.sched_getaffinity(0)
    one, others = min(processors), processors - {min(processors)}
    os.sched_setaffinity(0, others or processors)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media, contextlib.ExitStack() as stack:
        media.bind((HOST, 0))
        _, generator = await loop.create_datagram_endpoint(
            lambda: Generator(media.getsockname()[1]), local_addr=(HOST, 0)
        )
        peer = stack.enter_context(rustpbx(given.program, generator.port, one, "all"))
        trees = [stack.enter_context(switch(tree, "b2bua", generator.port, one)) for tree in given.trees]
        sides = [peer, *trees]
        for side in sides:
            await batch(generator, side.sip, 50, SETUP_RATE)
        rounds = []
        for _ in range(given.rounds):
            row, good = [], []
            for side in sides:
                begun = side.spent()["all"]
                good.append(await batch(generator, side.sip, given.calls, SETUP_RATE))
                row.append((side.spent()["all"] - begun) * 1000 / given.calls)
            rounds.append(row)
            print(
                "ms a call (calls that went well):",
                *(f"{ms:.2f} ({n})" for ms, n in zip(row, good, strict=True)),
            )
    _sum_up("setup", given, rounds)


async def compare_bridges(given: argparse.Namespace) -> None:
    """Print microseconds of CPU a call and 20 ms, and the ratio of this tree to the others."""
    calm_client()

    def peer(callees: Callees) -> contextlib.AbstractContextManager[Switch]:
        return rustpbx(given.program, callees.port, None, "all")

    sides: list[tuple[Start, Call]] = [
        (peer, browser_over_sip),
        *((of(tree), browser) for tree in given.trees),
    ]
    rounds = []
    for _ in range(given.rounds):
        row = [await carried(start, call, given.calls, given.seconds) for start, call in sides]
        rounds.append([cost for cost, _, _ in row])
        print(
            "us per call and 20 ms (packets that came to browsers, to telephones):",
            *(f"{cost:.1f} ({browsers:.1%} {phones:.1%})" for cost, browsers, phones in row),
            flush=True,
        )
    _sum_up("bridge", given, rounds)


def _sum_up(way: str, given: argparse.Namespace, rounds: list[list[float]]) -> None:
    names = ["RustPBX", *(["before"] if len(given.trees) > 1 else []), "this tree"]
    middle = [median(row[index] for row in rounds) for index in range(len(names))]
    print(
        f"{way}, {given.calls} calls:", ", ".join(f"{n} {m:.2f}" for n, m in zip(names, middle, strict=True))
    )
    for index, name in enumerate(names[:-1]):
        print(f"ratio to {name}: {median(row[-1] / row[index] for row in rounds):.2f}")


def main() -> None:
    """Measure one way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("program", type=lambda text: Path(text).resolve())
    parser.add_argument("way", choices=("setup", "bridge"))
    parser.add_argument("calls", type=int, nargs="?", default=60)
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    parser.add_argument("before", type=lambda text: Path(text).resolve(), nargs="?")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each round, for bridge")
    given = parser.parse_args()
    given.trees = [*([given.before] if given.before else []), HERE]
    asyncio.run((compare_setup if given.way == "setup" else compare_bridges)(given))


if __name__ == "__main__":
    main()
