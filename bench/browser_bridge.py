"""Measure a call between a browser (WebRTC, Opus) and a telephone (SIP, PCMU): CPU of the whole switch.

The switches of one or two work trees run as processes of their own, in turn. The browsers (aiortc, with
packets that were encoded beforehand) and the telephones (sockets) are in this process. Each browser calls
`/call/webrtc` and refers itself to a telephone; then both talk. CPU is by the clocks of the threads, for
which the kernel counts nanoseconds.

    python bench/browser_bridge.py [--before TREE] [--calls 20] [--seconds 8] [--rounds 3]
"""

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

import aiohttp  # noqa: E402  (found by the line above)
import numpy as np  # noqa: E402
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription  # noqa: E402

from bench.call_legs import speech_like  # noqa: E402
from bench.peer_server import Agents, media_port  # noqa: E402
from bench.sip_legs import TICK_S, WARM_UP_S, Telephones  # noqa: E402
from bench.sip_setup import HOST, SDP, Switch, switch  # noqa: E402
from bench.webrtc_legs import Counted, Microphone, calm_client, closed, offer_of, opus_packets  # noqa: E402

ANSWER_S = 20.0


class Callees(Agents):
    """Telephones that are only called, each by its number."""

    def _accept(self, invite: str) -> str:
        leg = int(invite.partition("INVITE sip:")[2].partition("@")[0])
        self.near[leg] = media_port(invite)
        return SDP.format(port=self._far[leg])


Party = tuple[RTCPeerConnection, aiohttp.ClientWebSocketResponse]
Start = Callable[[Callees], AbstractContextManager[Switch]]
Call = Callable[[aiohttp.ClientSession, int, int, list[bytes]], Awaitable[Party]]


async def browser(session: aiohttp.ClientSession, port: int, number: int, packets: list[bytes]) -> Party:
    """Set up a browser's leg, and call the telephone of its number from it.

    Raises:
        RuntimeError: The call ended before the telephone answered.
    """
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTrack(Microphone(packets, number * 37))
    await connection.setLocalDescription(await connection.createOffer())
    ws = await session.ws_connect(f"http://{HOST}:{port}/call/webrtc?id=bench-{number}&dump=false")
    option = {"offer": offer_of(connection), "vad": False}
    await ws.send_json({"command": "invite", "option": option})
    event = await _until(ws, "answer")
    await connection.setRemoteDescription(RTCSessionDescription(event["sdp"], "answer"))
    while connection.connectionState != "connected":
        await asyncio.sleep(0.05)
    await ws.send_json({"command": "refer", "callee": str(number), "options": {"timeout": int(ANSWER_S)}})
    await _until(ws, "answer")
    return connection, ws


async def _until(ws: aiohttp.ClientWebSocketResponse, name: str) -> dict[str, Any]:
    while (event := await ws.receive_json(timeout=ANSWER_S))["event"] != name:
        if event["event"] in {"hangup", "reject", "error"}:
            raise RuntimeError(event)
    found: dict[str, Any] = event
    return found


async def carried(start: Start, call: Call, calls: int, seconds: float) -> tuple[float, float, float]:
    """Let browsers and telephones talk through a switch.

    Args:
        start: runs a switch that calls the telephones given.
        call: sets up one call by the HTTP port of the switch.
        calls: number of calls.
        seconds: for which they are measured.

    Returns:
        Microseconds per call and 20 ms, and the shares of packets that came to either side.
    """
    pcm = np.interp(np.arange(480000) / 3, np.arange(160000), speech_like(10, 1)).astype(np.int16)
    packets, telephones = opus_packets(pcm), Telephones(calls)
    transport, callees = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Callees([far.getsockname()[1] for far in telephones.sockets]), local_addr=(HOST, 0)
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(transport.close)
        running = stack.enter_context(start(callees))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        parties = [await call(session, running.http, number, packets) for number in range(calls)]
        await asyncio.to_thread(telephones.talk, callees.near, WARM_UP_S)
        telephones.forget()
        heard, spent, begun = Counted.packets, running.spent()["all"], time.monotonic()
        await asyncio.to_thread(telephones.talk, callees.near, seconds)
        used, wall = running.spent()["all"] - spent, time.monotonic() - begun
        due = wall / TICK_S * calls
        await closed(parties)
        return used / due * 1e6, (Counted.packets - heard) / due, telephones.received / due


def of(tree: Path) -> Start:
    """Return what runs the switch of a work tree."""
    return lambda callees: switch(tree, "b2bua", callees.port, LIMITS_CALLS_PER_IP="0")


def main() -> None:
    """Print one row for each tree, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--before", type=Path, metavar="TREE", help="work tree of another commit")
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    calm_client()
    trees = [*([given.before.resolve()] if given.before else []), HERE]
    rounds = []
    for _ in range(given.rounds):
        rounds.append([asyncio.run(carried(of(tree), browser, given.calls, given.seconds)) for tree in trees])
        costs = "  ".join(
            f"{cost:7.1f} ({browsers:.1%} {phones:.1%})" for cost, browsers, phones in rounds[-1]
        )
        print(f"us per call and 20 ms (packets that came to browsers, to telephones): {costs}", flush=True)
    line = "  ".join(f"{median(row[index][0] for row in rounds):7.1f}" for index in range(len(trees)))
    ratio = f", ratio {median(row[-1][0] / row[0][0] for row in rounds):.2f}" if given.before else ""
    print(f"{given.calls} calls, median: {line}{ratio}")


if __name__ == "__main__":
    main()
