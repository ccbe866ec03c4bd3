"""Runs SIPp with the scenarios of this folder, and makes what it plays."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from softswitch.audio import g711
from tests.conftest import require_tool
from tests.support.ports import free_port

FOLDER = Path(__file__).parent / "sipp"
HOST = "127.0.0.1"
LIMIT_S = 40


def scenario(name: str, **words: str) -> str:
    """Return the text of a scenario with its fragments and words in place."""
    text = (FOLDER / f"{name}.xml").read_text()
    offer = (FOLDER / "offer.txt").read_text().rstrip("\n") + "\n"
    fragments = {
        "hang_up": (FOLDER / "hang_up.txt").read_text().rstrip("\n"),
        "via": (FOLDER / "via.txt").read_text().rstrip("\n"),
        "reply": (FOLDER / "reply.txt").read_text().rstrip("\n"),
        "answer": (FOLDER / "answer.txt").read_text(),
        "echoed": (FOLDER / "echoed.txt").read_text(),
        "offer": offer.replace("@VERSION@", "1").replace("@DIRECTION@", "sendrecv"),
        "holding": offer.replace("@VERSION@", "2").replace("@DIRECTION@", "sendonly"),
        "resuming": offer.replace("@VERSION@", "3").replace("@DIRECTION@", "sendrecv"),
    }
    for word, replacement in {**fragments, "PLAY": "", "STAY": "200", **words}.items():
        text = text.replace(f"@{word}@", replacement)
    return text


class Sipp:
    """A run of SIPp."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, folder: Path) -> None:
        self.process = process
        self.port = port
        self.folder = folder

    async def good(self) -> None:
        """Wait for its end, and make sure that every call went as the scenario says."""
        async with asyncio.timeout(LIMIT_S):
            code = await self.process.wait()
        assert code == 0, self.told()

    def told(self) -> str:
        """Return what it wrote."""
        errors = [path.read_text(errors="replace")[-4000:] for path in sorted(self.folder.glob("*.log"))]
        return "\n".join(errors)


@asynccontextmanager
async def sipp(
    folder: Path,
    text: str,
    to: int | None = None,
    *options: str,
    user: str = "caller",
    service: str = "echo",
    port: int = 0,
) -> AsyncIterator[Sipp]:
    """Run a scenario: as the caller of a port, or as the one who is called."""
    program = require_tool("sipp")
    folder.mkdir(exist_ok=True)
    path, port, media = folder / "scenario.xml", port or free_port(HOST), free_port(HOST, 9)
    path.write_text(text)
    command = [
        program, "-sf", str(path), "-i", HOST, "-p", str(port), "-mi", HOST, "-mp", str(media),
        "-nostdin", "-key", "user", user, "-s", service, "-timeout", str(LIMIT_S - 5), "-timeout_error",
        "-trace_err", "-error_file", str(folder / "errors.log"),
        "-trace_msg", "-message_file", str(folder / "messages.log"), *options,
    ]  # fmt: skip
    if "-m" not in options:
        command += ["-m", "1"]
    if to is not None:
        command.append(f"{HOST}:{to}")
    with (folder / "screen.txt").open("wb") as screen:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=screen, stderr=screen, stdin=asyncio.subprocess.DEVNULL, cwd=folder
        )
        run = Sipp(process, port, folder)
        try:
            if to is None:
                await _listening(port, process, "t1" in options)
            yield run
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _listening(port: int, process: asyncio.subprocess.Process, tcp: bool) -> None:
    """Wait until SIPp has bound its port."""
    for _ in range(400):
        if process.returncode is not None:
            return
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                return
        await asyncio.sleep(0.02)
    raise AssertionError("SIPp does not listen")


def play(path: Path) -> str:
    """Return the action that plays a capture."""
    return f'<nop><action><exec play_pcap_audio="{path}"/></action></nop>'


def capture(path: Path, packets: Iterator[tuple[float, bytes]]) -> Path:
    """Write RTP packets with their times in seconds as a capture (pcap, Ethernet)."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for at, payload in packets:
            frame = _ethernet(payload)
            file.write(struct.pack("<IIII", int(at), int(at % 1 * 1e6), len(frame), len(frame)))
            file.write(frame)
    return path


def tone_packets(hz: float, seconds: float, ptime_ms: int) -> Iterator[tuple[float, bytes]]:
    """Yield a tone as A-law RTP in packets of this length."""
    samples = 8 * ptime_ms
    count = int(seconds * 8000) // samples
    wave = 8000 * np.sin(2 * np.pi * hz * np.arange(count * samples) / 8000)
    data = g711.encode(g711.ALAW_ENCODE, wave.astype(np.float32)).tobytes()
    for number in range(count):
        body = data[number * samples : (number + 1) * samples]
        yield number * ptime_ms / 1000, _rtp(8, number, number * samples, body, marker=not number)


def digit_packets(digits: str) -> Iterator[tuple[float, bytes]]:
    """Yield digits as RFC 4733 events, 100 ms each with their three ends, 100 ms apart."""
    events = "0123456789*#ABCD"
    sequence, at = 500, 0.0
    for digit in digits:
        stamp = int(at * 8000)
        for step in range(1, 8):
            ended = step > 5
            duration = 160 * min(step, 5)
            event = struct.pack("!BBH", events.index(digit), 0x80 * ended | 10, duration)
            yield at + 0.02 * min(step, 6), _rtp(101, sequence, stamp, event, marker=step == 1)
            sequence += 1
        at += 0.2


def _rtp(kind: int, sequence: int, stamp: int, payload: bytes, *, marker: bool) -> bytes:
    return struct.pack("!BBHII", 0x80, 0x80 * marker | kind, sequence, stamp, 0x51BB) + payload


def _ethernet(payload: bytes) -> bytes:
    udp = struct.pack("!HHHH", 6000, 6000, 8 + len(payload), 0) + payload
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, *2 * [bytes([127, 0, 0, 1])])
    return bytes(12) + b"\x08\x00" + ip + udp
