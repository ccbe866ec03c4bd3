"""Measure what a call with a stream costs: telephones in G.711, each streamed both ways to one bot.

The switch runs as its own process and calls telephones of ours over SIP (or its own `echo`, for comparison).
Every telephone sends a packet every 20 ms; the bot answers each frame with a frame of its own, and now and
then places a mark or clears. CPU is that of the switch's process over the measured time.

    python bench/wavix_streams.py [calls [seconds [sip|echo [loop]]]]
"""

import asyncio
import base64
import hashlib
import itertools
import json
import socket
import struct
import sys
import time
import urllib.request

import numpy as np

from bench._server import Server, server

TICK_S = 0.02
PARTS = 4
WARM_UP_S = 3.0
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


def framed(text: bytes) -> bytes:
    """Return a server's text frame."""
    length = len(text)
    head = bytes((0x81, length)) if length < 126 else struct.pack("!BBH", 0x81, 126, length)
    return head + text


TONE = (4000 * np.sin(np.arange(480) * 2 * np.pi / 48)).astype("<i2").tobytes()
FRAME = framed(json.dumps({"event": "media", "media": {"payload": base64.b64encode(TONE).decode()}}).encode())


class Bot(asyncio.Protocol):
    """One stream at the bot: answers each frame with one of its own."""

    everybody: list["Bot"] = []  # noqa: RUF012

    def __init__(self) -> None:
        """Wait for the handshake."""
        self.pending = b""
        self.up = False
        self.last = 0.0
        self.gaps: list[float] = []
        self.frames = self.controls = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Count messages by their length alone: only media are long."""
        self.pending += data
        if not self.up:
            head, found, rest = self.pending.partition(b"\r\n\r\n")
            if not found:
                return
            key = next(
                line[19:].strip()
                for line in head.split(b"\r\n")
                if line[:18].lower() == b"sec-websocket-key:"
            )
            accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest())  # noqa: S324  (RFC 6455)
            self.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            self.pending, self.up = rest, True
            self.everybody.append(self)
        pending, at, now = self.pending, 0, time.monotonic()
        while len(pending) - at >= 8:
            length, head = pending[at + 1] & 127, 6
            if length == 126:
                length, head = pending[at + 2] << 8 | pending[at + 3], 8
            if len(pending) - at < head + length:
                break
            at += head + length
            if length > 1000:
                if self.last:
                    self.gaps.append(now - self.last)
                self.last = now
                self.frames += 1
                self.transport.write(FRAME)
            else:
                self.controls += 1
        self.pending = pending[at:]


class Phone(asyncio.DatagramProtocol):
    """All telephones: one socket for SIP, one for the media of each call."""

    def __init__(self) -> None:
        """Start without calls."""
        self.media: list[tuple[socket.socket, tuple[str, int]]] = []
        self.tags = itertools.count(1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer every INVITE and BYE with 200."""
        text = data.decode()
        method = text.split(" ", 1)[0]
        if method not in ("INVITE", "BYE"):
            return
        lines = text.partition("\r\n\r\n")[0].split("\r\n")[1:]
        kept = [
            line
            for line in lines
            if line.lower().startswith(("via:", "from:", "call-id:", "cseq:", "record-route:"))
        ]
        to = next(line for line in lines if line.lower().startswith("to:"))
        body = ""
        if method == "INVITE":
            to += f";tag=t{next(self.tags)}"
            media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            media.bind(("127.0.0.1", 0))
            media.setblocking(False)
            port = int(text.partition("m=audio ")[2].split(" ")[0])
            self.media.append((media, ("127.0.0.1", port)))
            body = SDP.format(port=media.getsockname()[1])
        own = self.transport.get_extra_info("sockname")[1]
        answer = ["SIP/2.0 200 OK", *kept, to, f"Contact: <sip:bench@127.0.0.1:{own}>"]
        answer += ["Content-Type: application/sdp"] if body else []
        answer += [f"Content-Length: {len(body)}", "", body]
        self.transport.sendto("\r\n".join(answer).encode(), addr)


def ask(switch: Server, method: str, path: str, body: dict[str, object] | None = None) -> dict[str, object]:
    """Ask the call control something."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{switch.port}/v1/call{path}",
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
    )
    with urllib.request.urlopen(request) as response:  # noqa: S310
        return dict(json.load(response))


async def load(switch: Server, calls: int, seconds: float, kind: str) -> tuple[float, float, np.ndarray]:
    """Run the calls; return CPU per call and 20 ms without and with streams, and the bot's gaps in ms."""
    loop = asyncio.get_running_loop()
    Bot.everybody.clear()
    bots = await loop.create_server(Bot, "127.0.0.1", 0, backlog=1000)
    url = f"ws://127.0.0.1:{bots.sockets[0].getsockname()[1]}/"
    transport, phone = await loop.create_datagram_endpoint(Phone, local_addr=("127.0.0.1", 0))
    to = "echo" if kind == "echo" else f"sip:bench@127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    ids = []
    for _ in range(calls):
        call = await asyncio.to_thread(ask, switch, "POST", "", {"from": "100", "to": to})
        ids.append(str(call["uuid"]))
    talking = asyncio.ensure_future(talk(phone))
    await asyncio.sleep(WARM_UP_S)
    plain = await measured(switch, calls, seconds / 2)
    wish = {"stream_url": url, "stream_type": "twoway", "stream_channel": "inbound"}
    for one in ids:
        await asyncio.to_thread(ask, switch, "POST", f"/{one}/streams", wish)
    await asyncio.sleep(WARM_UP_S)
    for bot in Bot.everybody:
        bot.gaps.clear()
    streamed = await measured(switch, calls, seconds)
    gaps = np.concatenate([bot.gaps for bot in Bot.everybody]) * 1000
    assert len(Bot.everybody) == calls, len(Bot.everybody)
    talking.cancel()
    for one in ids:
        await asyncio.to_thread(ask, switch, "DELETE", f"/{one}")
    bots.close()
    transport.close()
    for media, _ in phone.media:
        media.close()
    return plain, streamed, gaps


async def measured(switch: Server, calls: int, seconds: float) -> float:
    """Return microseconds of the switch's CPU per call and 20 ms."""
    before, began = switch.cpu_seconds(), time.monotonic()
    await asyncio.sleep(seconds)
    return (switch.cpu_seconds() - before) / (time.monotonic() - began) / calls * TICK_S * 1e6


async def talk(phone: Phone) -> None:
    """Send a packet for every telephone each 20 ms, in groups spread over it; drop what they hear."""
    head = struct.Struct("!BBHII")
    payload = bytes(np.random.default_rng(1).integers(100, 156, 160, np.uint8))
    start, count = time.monotonic(), 0
    while True:
        number = count // PARTS
        packet = head.pack(0x80, 0, number & 0xFFFF, number * 160 & 0xFFFFFFFF, 7) + payload
        for media, place in phone.media[count % PARTS :: PARTS]:
            media.sendto(packet, place)
        count += 1
        await asyncio.sleep(max(0.0, start + count * TICK_S / PARTS - time.monotonic()))


def main() -> None:
    """Print the figures."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 15.0
    kinds = [sys.argv[3]] if len(sys.argv) > 3 else ["sip", "echo"]
    loop = sys.argv[4] if len(sys.argv) > 4 else "uvloop"
    words = ("leg", "loop", "calls", "plain", "streamed", "gap p50", "p99 ms", "max ms")
    print("".join(f"{word:>9}" for word in words), " (plain, streamed: us of CPU a call and 20 ms)")
    for kind in kinds:
        with server(HTTP_LOOP=loop, EGRESS_ALLOW="127.0.0.0/8") as switch:
            plain, streamed, gaps = asyncio.run(load(switch, calls, seconds, kind))
        figures = (plain, streamed, *np.percentile(gaps, (50, 99)), gaps.max())
        print(f"{kind:>9}{loop:>9}{calls:9}" + "".join(f"{figure:9.1f}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
