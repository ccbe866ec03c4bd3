"""Measure what a call with a stream costs: telephones in G.711, each streamed both ways to one bot.

The switch runs as its own process and calls telephones of this bench over SIP (or its own `echo`, for
comparison). Every telephone sends a packet every 20 ms; the bot answers each frame with a frame of its own.
CPU is that of the switch's process over the measured time. One more call is a probe: how long after its last
sound reached the telephone a mark is acknowledged, and how long sound goes on after a `clear` was sent. At
the end 84 calls have six streams each: is any mark or stop lost?

    python bench/wavix_streams.py [calls [seconds [sip|echo|crowd [loop]]]]
"""

import asyncio
import base64
import contextlib
import hashlib
import itertools
import json
import socket
import struct
import sys
import time
import urllib.request
from collections.abc import AsyncIterator

import numpy as np

from bench._server import Server, server
from bench.crowd import metric

TICK_S = 0.02
PARTS = 4
WARM_UP_S = 3.0
MOST = 0xFFFF
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


def framed(text: bytes) -> bytes:
    """Return a server's text frame."""
    length = len(text)
    if length > MOST:
        return struct.pack("!BBQ", 0x81, 127, length) + text
    head = bytes((0x81, length)) if length < 126 else struct.pack("!BBH", 0x81, 126, length)
    return head + text


def message(event: str, **fields: object) -> bytes:
    """Return a message of the bot as a frame."""
    return framed(json.dumps({"event": event, **fields}).encode())


def spoken(pcm: bytes) -> bytes:
    """Return audio of the bot as a frame."""
    return message("media", media={"payload": base64.b64encode(pcm).decode()})


TONE = (4000 * np.sin(np.arange(480) * 2 * np.pi / 48)).astype("<i2").tobytes()
FRAME = spoken(TONE)


class Bot(asyncio.Protocol):
    """One stream at the bot: answers each frame with one of its own."""

    made: list["Bot"] = []  # noqa: RUF012
    least = 1000
    """Bytes from which a message is one of audio."""

    def __init__(self) -> None:
        """Wait for the handshake."""
        self.pending = b""
        self.up = False
        self.last = 0.0
        self.gaps: list[float] = []
        self.frames = 0
        self.answers = True
        """Whether each frame is answered by one."""
        self.frame = FRAME
        self.controls: list[tuple[float, bytes]] = []
        """Everything but audio, with the time it came."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def begun(self, head: bytes) -> None:
        """Note what the path of the handshake asks for."""
        self.answers = head.startswith(b"GET /answers")

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
            self.begun(head)
            self.made.append(self)
        pending, at, now = self.pending, 0, time.monotonic()
        while len(pending) - at >= 8:
            length, head = pending[at + 1] & 127, 6
            if length == 126:
                length, head = pending[at + 2] << 8 | pending[at + 3], 8
            if len(pending) - at < head + length:
                break
            opcode, start, at = pending[at] & 0x0F, at + head, at + head + length
            if opcode == 8:  # Close (RFC 6455 section 5.5.1).
                self.transport.write(b"\x88\x00")
                self.transport.close()
                break
            if length > self.least:
                if self.last:
                    self.gaps.append(now - self.last)
                self.last = now
                self.frames += 1
                if self.answers:
                    self.transport.write(self.frame)
            else:
                key = pending[start - 4 : start]
                text = bytes(byte ^ key[place % 4] for place, byte in enumerate(pending[start:at]))
                self.controls.append((now, text))
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


@contextlib.asynccontextmanager
async def calling(switch: Server, calls: int, to: str = "") -> AsyncIterator[tuple[list[str], Phone]]:
    """Give the ids of calls to telephones that talk, or to another callee; end them and the telephones."""
    loop = asyncio.get_running_loop()
    transport, phone = await loop.create_datagram_endpoint(Phone, local_addr=("127.0.0.1", 0))
    to = to or f"sip:bench@127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    ids = []
    for _ in range(calls):
        call = await asyncio.to_thread(ask, switch, "POST", "", {"from": "100", "to": to})
        ids.append(str(call["uuid"]))
    talking = asyncio.ensure_future(talk(phone))
    try:
        yield ids, phone
    finally:
        talking.cancel()
        for one in ids:
            await asyncio.to_thread(ask, switch, "DELETE", f"/{one}")
        transport.close()
        for media, _ in phone.media:
            media.close()


async def load(switch: Server, calls: int, seconds: float, kind: str) -> tuple[float, float, np.ndarray]:
    """Run the calls; return CPU per call and 20 ms without and with streams, and the bot's gaps in ms."""
    loop = asyncio.get_running_loop()
    Bot.made.clear()
    bots = await loop.create_server(Bot, "127.0.0.1", 0, backlog=1000)
    url = f"ws://127.0.0.1:{bots.sockets[0].getsockname()[1]}/answers"
    async with calling(switch, calls, "echo" if kind == "echo" else "") as (ids, _):
        await asyncio.sleep(WARM_UP_S)
        plain = await measured(switch, calls, seconds / 2)
        wish = {"stream_url": url, "stream_type": "twoway", "stream_channel": "inbound"}
        for one in ids:
            await asyncio.to_thread(ask, switch, "POST", f"/{one}/streams", wish)
        await asyncio.sleep(WARM_UP_S)
        for bot in Bot.made:
            bot.gaps.clear()
        streamed = await measured(switch, calls, seconds)
        gaps = np.concatenate([bot.gaps for bot in Bot.made]) * 1000
        assert len(Bot.made) == calls, len(Bot.made)
    bots.close()
    return plain, streamed, gaps


async def probe(switch: Server, rounds: int = 25) -> tuple[np.ndarray, np.ndarray]:
    """Return by how many ms marks come after the last sound at a telephone, and sound after a clear."""
    loop = asyncio.get_running_loop()
    Bot.made.clear()
    bots = await loop.create_server(Bot, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{bots.sockets[0].getsockname()[1]}/probe"
    async with calling(switch, 1) as ([call], phone):
        while not phone.media:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        wish = {"stream_url": url, "stream_type": "twoway", "stream_channel": "inbound"}
        await asyncio.to_thread(ask, switch, "POST", f"/{call}/streams", wish)
        media, loud = phone.media[0][0], [0.0]

        def hear() -> None:
            for payload in iter(lambda: received(media), b""):
                if (
                    len(payload) > 150
                    and min(payload[20:] or b"\xff", key=lambda byte: byte & 0x7F) & 0x7F < 0x50
                ):
                    loud[0] = time.monotonic()

        loop.add_reader(media, hear)
        while not Bot.made or not Bot.made[0].frames:
            await asyncio.sleep(0.05)
        bot = Bot.made[0]
        marks, clears = [], []
        for number in range(rounds):
            seen = len(bot.controls)
            bot.transport.write(spoken(TONE * 15) + message("mark", mark={"name": str(number)}))
            while len(bot.controls) == seen:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.1)
            marks.append(bot.controls[-1][0] - loud[0])
            bot.transport.write(spoken(TONE * 100))
            await asyncio.sleep(0.3)
            sent = time.monotonic()
            bot.transport.write(message("clear"))
            await asyncio.sleep(0.2)
            clears.append(loud[0] - sent)
        loop.remove_reader(media)
    bots.close()
    return np.array(marks) * 1000, np.array(clears) * 1000


def received(media: socket.socket) -> bytes:
    """Return the next packet; empty if there is no packet."""
    try:
        return media.recv(2048)
    except BlockingIOError:
        return b""


async def crowd(switch: Server, calls: int = 84, rounds: int = 10) -> str:
    """Open six streams on each of many calls and count what comes of marks and stops."""
    loop = asyncio.get_running_loop()
    Bot.made.clear()
    bots = await loop.create_server(Bot, "127.0.0.1", 0, backlog=1000)
    url = f"ws://127.0.0.1:{bots.sockets[0].getsockname()[1]}"
    ids = []
    for _ in range(calls):
        call = await asyncio.to_thread(ask, switch, "POST", "", {"from": "100", "to": "echo"})
        ids.append(str(call["uuid"]))
        for number in range(6):
            kind, path = ("twoway", "answers") if number == 0 else ("oneway", "listens")
            wish = {"stream_url": f"{url}/{path}", "stream_type": kind, "stream_channel": "inbound"}
            await asyncio.to_thread(ask, switch, "POST", f"/{ids[-1]}/streams", wish)
    while len(Bot.made) < 6 * calls:
        await asyncio.sleep(0.1)
    speaking = [bot for bot in Bot.made if bot.answers]
    for number in range(rounds):
        for bot in speaking:
            bot.transport.write(message("mark", mark={"name": str(number)}))
        await asyncio.sleep(1.0)
    await asyncio.sleep(3.0)
    for one in ids:
        await asyncio.to_thread(ask, switch, "DELETE", f"/{one}")
    await asyncio.sleep(3.0)
    texts = [text for bot in Bot.made for _, text in bot.controls]
    marks = sum(b'"event":"mark"' in text for text in texts)
    stops = sum(b'"event":"stop"' in text for text in texts)
    dropped = await asyncio.to_thread(metric, switch.port, "stream_media_dropped_total")
    frames = sum(bot.frames for bot in Bot.made)
    bots.close()
    return (
        f"{len(Bot.made)} streams at once: {marks} of {rounds * len(speaking)} marks and {stops} of"
        f" {len(Bot.made)} stops came; {frames} frames, {dropped:.0f} dropped"
    )


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
    kinds = [sys.argv[3]] if len(sys.argv) > 3 else ["sip", "echo", "crowd"]
    loop = sys.argv[4] if len(sys.argv) > 4 else "uvloop"
    words = ("leg", "loop", "calls", "plain", "streamed", "gap p50", "p99 ms", "max ms")
    print("".join(f"{word:>9}" for word in words), " (plain, streamed: us of CPU a call and 20 ms)")
    for kind in [kind for kind in kinds if kind != "crowd"]:
        with server(HTTP_LOOP=loop, EGRESS_ALLOW="127.0.0.0/8") as switch:
            plain, streamed, gaps = asyncio.run(load(switch, calls, seconds, kind))
            figures = (plain, streamed, *np.percentile(gaps, (50, 99)), gaps.max())
            print(
                f"{kind:>9}{loop:>9}{calls:9}" + "".join(f"{figure:9.1f}" for figure in figures), flush=True
            )
    with server(HTTP_LOOP=loop, EGRESS_ALLOW="127.0.0.0/8") as switch:
        marks, clears = asyncio.run(probe(switch))
        for what, times in (("last sound to mark", marks), ("clear to silence", clears)):
            p50, p99 = np.percentile(times, (50, 99))
            print(f"{what}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {times.max():.1f} ms", flush=True)
        if "crowd" in kinds:
            print(asyncio.run(crowd(switch)))


if __name__ == "__main__":
    main()
