"""Set SIP calls up and tear them down: how fast one is answered by an echo rule, and how many a second.

Callers of our own (an INVITE, the 200, an ACK, a BYE) measure from outside, over UDP on loopback; the switch
runs as its own process with `[[route]] match = ".*", to = "echo"`.

    python bench/sip_calls.py [calls] [calls a second]
"""

import asyncio
import itertools
import socket
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench._server import server

OFFER = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
)
PATIENCE_S = 5.0


class Caller(asyncio.DatagramProtocol):
    """Many calls from one socket."""

    def __init__(self, switch_port: int) -> None:
        self.switch = ("127.0.0.1", switch_port)
        self.waiting: dict[str, asyncio.Future[tuple[float, str]]] = {}
        self.numbers = itertools.count(1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Hand a final answer to who waits for it."""
        now, text = time.perf_counter(), data.decode()
        status = text.split(" ", 2)[1]
        if status.startswith("1"):
            return
        key = value(text, "Call-ID") + value(text, "CSeq")
        if (future := self.waiting.pop(key, None)) and not future.done():
            future.set_result((now, text))

    async def ask(
        self, method: str, call: str, sequence: int, to_tag: str = "", body: str = ""
    ) -> tuple[float, str]:
        """Send a request; return when it was answered, and how."""
        future = asyncio.get_running_loop().create_future()
        self.waiting[f"{call}{sequence} {method}"] = future
        self.send(method, call, sequence, to_tag, body)
        return await asyncio.wait_for(future, PATIENCE_S)

    def send(self, method: str, call: str, sequence: int, to_tag: str = "", body: str = "") -> None:
        """Send a request."""
        lines = [
            f"{method} sip:echo@127.0.0.1:{self.switch[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{call}{method}{sequence};rport",
            f"From: <sip:bench@127.0.0.1:{self.port}>;tag=f{call}",
            f"To: <sip:echo@127.0.0.1:{self.switch[1]}>{';tag=' + to_tag if to_tag else ''}",
            f"Call-ID: {call}",
            f"CSeq: {sequence} {method}",
            f"Contact: <sip:bench@127.0.0.1:{self.port}>",
            "Max-Forwards: 70",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self.transport.sendto(("\r\n".join(lines) + "\r\n\r\n" + body).encode(), self.switch)

    async def call(self, media_port: int, hold_s: float = 0.0) -> float:
        """Make one call; return the seconds from INVITE to 200."""
        call, start = f"bench-{self.port}-{next(self.numbers)}", time.perf_counter()
        answered, text = await self.ask("INVITE", call, 1, body=OFFER.format(port=media_port))
        if " 200 " not in text.splitlines()[0]:
            raise RuntimeError(text.splitlines()[0])
        tag = value(text, "To").rpartition("tag=")[2]
        self.send("ACK", call, 1, tag)
        await asyncio.sleep(hold_s)
        _, bye = await self.ask("BYE", call, 2, tag)
        if " 200 " not in bye.splitlines()[0]:
            raise RuntimeError(bye.splitlines()[0])
        return answered - start


def value(message: str, name: str) -> str:
    """Return a header's value."""
    return (
        next(line for line in message.splitlines() if line.startswith(name + ":")).partition(":")[2].strip()
    )


async def measure(sip_port: int, calls: int, rate: float) -> None:
    """Print the figures."""
    loop = asyncio.get_running_loop()
    _, caller = await loop.create_datagram_endpoint(lambda: Caller(sip_port), local_addr=("127.0.0.1", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media:
        media.bind(("127.0.0.1", 0))
        port = media.getsockname()[1]
        for _ in range(20):
            await caller.call(port)
        one = np.array([await caller.call(port) for _ in range(100)]) * 1000
        p50, p99 = np.percentile(one, (50, 99))
        print(f"INVITE to 200, one call after the other: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
        start = loop.time()
        running = []
        for number in range(calls):
            await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
            running.append(asyncio.ensure_future(caller.call(port, hold_s=0.2)))
        done = await asyncio.gather(*running, return_exceptions=True)
        seconds = loop.time() - start
        good = np.array([result for result in done if isinstance(result, float)]) * 1000
        p50, p99 = np.percentile(good, (50, 99))
        print(f"{calls} calls at {rate:.0f} a second: {good.size} good, in {seconds:.1f} s;")
        print(f"  INVITE to 200 under that load: p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def main() -> None:
    """Run the switch and the callers."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rate = float(sys.argv[2]) if len(sys.argv) > 2 else 100.0
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as settings, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        sip_port = free.getsockname()[1]
        free.close()
        Path(settings.name).write_text('[[route]]\nmatch = ".*"\nto = "echo"\n')
        with server(CONFIG=settings.name, SIP_PORT=str(sip_port)) as switch:
            before = switch.cpu_seconds()
            asyncio.run(measure(sip_port, calls, rate))
            spent = switch.cpu_seconds() - before
            print(f"CPU of the switch: {spent / (calls + 120) * 1000:.1f} ms a call, set up and torn down")


if __name__ == "__main__":
    main()
