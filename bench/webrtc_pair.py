"""Measure `/call/webrtc` legs with Opus of two trees at the same time, as `call_pair.py` does `/call` legs.

The callers are those of `webrtc_legs.py`, all in this process: more than twice 20 of them fill one core.

    python bench/webrtc_pair.py BEFORE [calls [rounds [vad]]]
"""

import asyncio
import sys
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench._server import Server
from bench.call_pair import WARM_UP_S, compare, measured
from bench.webrtc_legs import Counted, calm_client, closed, connected


async def load(switches: list[Server], calls: int, rounds: int, vads: list[str]) -> list[list[float]]:
    """Return for each round the microseconds per leg and 20 ms of each switch."""
    async with aiohttp.ClientSession() as session:
        parties = [
            await connected(session, switch, calls, vad) for switch, vad in zip(switches, vads, strict=True)
        ]
        await asyncio.sleep(WARM_UP_S)
        begun, received = asyncio.get_running_loop().time(), Counted.packets
        found = [await measured(switches, calls, asyncio.sleep) for _ in range(rounds)]
        seconds = asyncio.get_running_loop().time() - begun
        heard = (Counted.packets - received) / seconds / calls / len(switches)
        print(f"packets a second that each caller heard, on average: {heard:.1f}")
        for each in parties:
            await closed(each)
    return found


if __name__ == "__main__":
    calm_client()
    compare(load, "10")
