"""Measure a telephone with a stream in each protocol: CPU beside Wavix in turn, and cadence at the bot.

The switch calls telephones of this bench over SIP in G.711. In each round all calls get a two-way stream in
one protocol, are measured, and lose it again; Wavix and the other protocol take turns (A B A B) on the same
calls of the same process, so that other work on the machine falls on both. The ratio is that of neighbouring
rounds. The bot answers each message with one of as much audio. Cadence is the time between two messages at
the bot. A process beside it wakes up every 20 ms and does nothing else: its gaps are those of the machine.

    python bench/stream_protocols.py [calls [seconds [rounds [protocol ...]]]]
"""

import asyncio
import base64
import contextlib
import json
import multiprocessing
import os
import struct
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from statistics import median

import numpy as np

from bench._server import Server, server
from bench.wavix_streams import TICK_S, Bot, ask, calling, framed, measured
from softswitch.audio.g711 import ULAW_ENCODE, encode

WARM_UP_S = 2.0
PROTOCOLS = ("twilio", "telnyx", "plivo", "vonage", "jambonz", "raw")
"""Protocols that send a message every 20 ms, and whose bots need not answer the start of the stream."""
PAYLOAD = base64.b64encode(
    encode(ULAW_ENCODE, (4000 * np.sin(np.arange(160) * 2 * np.pi / 16)).astype(np.float32)).tobytes()
).decode()
"""20 ms of the tone that the bot of Wavix says, so that the limiter of the mix has as little to do."""
PCM = (4000 * np.sin(np.arange(320) * 2 * np.pi / 32)).astype("<i2").tobytes()


def binary(data: bytes) -> bytes:
    """Return a server's binary frame (RFC 6455 section 5.2)."""
    return struct.pack("!BBH", 0x82, 126, len(data)) + data


def event(name: str, **media: object) -> bytes:
    """Return a message of audio in JSON."""
    return framed(json.dumps({"event": name, "media": {**media, "payload": PAYLOAD}}).encode())


ANSWERS = {
    "twilio": event("media"),
    "telnyx": event("media"),
    "plivo": event("playAudio", contentType="audio/x-mulaw", sampleRate=8000),
    "vonage": binary(PCM),
    "jambonz": binary(PCM[:320]),
    "raw": binary(PCM),
}


class ProtocolBot(Bot):
    """One stream in the protocol that its path names; a message counts as audio from 200 bytes on."""

    made: list[Bot] = []  # noqa: RUF012
    least = 200

    def begun(self, head: bytes) -> None:
        """Answer as the path says."""
        name = head.partition(b" /")[2].partition(b" ")[0].decode()
        self.frame = ANSWERS.get(name, self.frame)
        self.answers = True


def idle(stop: Event, out: Connection) -> None:
    """Wake up every 20 ms until told to stop; send the gaps, milliseconds (a process of its own)."""
    gaps, last, due = [], 0.0, time.monotonic()
    while not stop.is_set():
        due += TICK_S
        time.sleep(max(0.0, due - time.monotonic()))
        now = time.monotonic()
        if last:
            gaps.append((now - last) * 1000)
        last = now
    out.send(gaps)


@contextlib.contextmanager
def idling() -> Iterator[list[float]]:
    """Run a process that does nothing else; the list has its gaps, milliseconds, at the end."""
    context = multiprocessing.get_context("spawn")
    stop, (here, there) = context.Event(), context.Pipe(duplex=False)
    alone = context.Process(target=idle, args=(stop, there), daemon=True)
    alone.start()
    gaps: list[float] = []
    try:
        yield gaps
    finally:
        stop.set()
        gaps += here.recv()


async def streamed(switch: Server, ids: list[str], url: str, protocol: str, seconds: float) -> float:
    """Stream all calls for a time; return microseconds of CPU per message. Gaps stay with the bots."""
    ProtocolBot.made.clear()
    wish = {
        "stream_url": f"{url}/{protocol}",
        "stream_type": "twoway",
        "stream_channel": "inbound",
        "protocol": protocol,
    }
    streams = [
        str((await asyncio.to_thread(ask, switch, "POST", f"/{one}/streams", wish))["stream_id"])
        for one in ids
    ]
    await asyncio.sleep(WARM_UP_S)
    for bot in ProtocolBot.made:
        bot.gaps.clear()
        bot.frames = 0
    begun = time.monotonic()
    cost = await measured(switch, len(ids), seconds)
    assert len(ProtocolBot.made) == len(ids), len(ProtocolBot.made)
    # On a busy machine less than a message a tick comes: the cost is that of a message.
    heard = sum(bot.frames for bot in ProtocolBot.made) / len(ids) / (time.monotonic() - begun) * TICK_S
    for one, stream in zip(ids, streams, strict=True):
        await asyncio.to_thread(ask, switch, "DELETE", f"/{one}/streams/{stream}")
    await asyncio.sleep(1.0)
    return cost / max(heard, 0.01)


async def run(switch: Server, calls: int, seconds: float, rounds: int, protocols: list[str]) -> None:
    """Print a line for each protocol."""
    loop = asyncio.get_running_loop()
    bots = await loop.create_server(ProtocolBot, "127.0.0.1", 0, backlog=1000)
    url = f"ws://127.0.0.1:{bots.sockets[0].getsockname()[1]}"
    async with calling(switch, calls) as (ids, _):
        for protocol in protocols:
            pairs, gaps = [], []
            with idling() as control:
                for number in range(rounds):
                    order = ["wavix", protocol] if number % 2 == 0 else [protocol, "wavix"]
                    costs = {}
                    for one in order:
                        costs[one] = await streamed(switch, ids, url, one, seconds)
                        if one == protocol:
                            gaps += [gap * 1000 for bot in ProtocolBot.made for gap in bot.gaps]
                    pairs.append((costs["wavix"], costs[protocol]))
            ratio = median(other / wavix for wavix, other in pairs)
            least = [min(column) for column in zip(*pairs, strict=True)]
            p50, p99 = np.percentile(gaps, (50, 99))
            print(
                f"{protocol:>10}{calls:6}{least[0]:8.1f}{least[1]:8.1f}{ratio:8.2f}{p50:9.1f}{p99:8.1f}"
                f"{max(gaps):8.1f}{np.percentile(control, 99):12.1f}{max(control):8.1f}",
                flush=True,
            )
    bots.close()


def main() -> None:
    """Print the table."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 6.0
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 4
    protocols = sys.argv[4:] or list(PROTOCOLS)
    print("CPU in us a call and message, the least round; ratio: median of neighbouring rounds; gaps in ms")
    words = ("wavix", "other", "ratio", "gap p50", "p99", "max", "control p99", "max")
    widths = (8, 8, 8, 9, 8, 8, 12, 8)
    print(
        f"{'protocol':>10}{'calls':>6}"
        + "".join(f"{word:>{width}}" for word, width in zip(words, widths, strict=True))
    )
    # Other work on the machine must not make the switch refuse the calls of the bench.
    quiet = {"LIMITS_OVERLOAD": "false", "LOG_LEVEL": "error"}
    with server(HTTP_LOOP="uvloop", EGRESS_ALLOW="127.0.0.0/8", **quiet) as switch:
        asyncio.run(run(switch, calls, seconds, rounds, protocols))
    print(f"load average afterwards: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
