"""The real switch as its own process, and what the tests ask of it besides the page."""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from tests.support.ports import free_port

SPOKEN_RATE = 48000
READY_S = 60.0


@contextlib.asynccontextmanager
async def real_switch(data: Path, file: Path | None = None, **settings: str) -> AsyncIterator[str]:
    """Run `python -m softswitch` with everything embedded; give its address.

    `file` is its settings file; `settings` are environment variables without their prefix:
    `AUTH_API_KEYS="..."`.
    """
    port = free_port()
    environment = {
        **os.environ,
        "SOFTSWITCH_HTTP_PORT": str(port),
        "SOFTSWITCH_PATHS_DATA": str(data),
        "SOFTSWITCH_SIP_PORT": "0",
        "SOFTSWITCH_LIMITS_OVERLOAD": "false",  # machines that test are loaded
        **{f"SOFTSWITCH_{name}": value for name, value in settings.items()},
    }
    with (data / "switch.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "softswitch"),
            *(("serve", "--config", str(file)) if file else ()),
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{port}/"
        await until_ready(url, process, data / "switch.log")
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 20)


async def until_ready(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    """Wait until the switch takes calls."""
    async with aiohttp.ClientSession() as client, asyncio.timeout(READY_S):
        while True:
            assert process.returncode is None, log.read_text(encoding="utf-8")[-4000:]
            with contextlib.suppress(aiohttp.ClientError):
                async with client.get(f"{url}readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)


class Cable:
    """A wire to the switch that a test can cut: a plain TCP relay."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = ""
        self._ends: set[asyncio.StreamWriter] = set()
        self._relays: set[asyncio.Task[None]] = set()

    def serve(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        """Take a connection; the relay of it is kept until it has closed both of its ends."""
        relay = asyncio.get_running_loop().create_task(self._serve(near, near_out))
        self._relays.add(relay)
        relay.add_done_callback(self._relays.discard)

    async def _serve(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(near_out.transport.abort)
            far, far_out = await asyncio.open_connection("127.0.0.1", self.port)
            stack.callback(far_out.transport.abort)
            self._ends |= {near_out, far_out}
            stack.callback(self._ends.difference_update, {near_out, far_out})
            await asyncio.gather(self._relay(near, far_out), self._relay(far, near_out))
            await asyncio.gather(near_out.wait_closed(), far_out.wait_closed(), return_exceptions=True)

    async def _relay(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()

    def cut(self) -> None:
        """Break every connection without a goodbye."""
        for end in self._ends:
            end.transport.abort()

    async def close(self) -> None:
        """Break every connection, and wait until nothing of them is left."""
        self.cut()
        relays = [*self._relays]
        for relay in relays:
            relay.cancel()
        await asyncio.gather(*relays, return_exceptions=True)


@contextlib.asynccontextmanager
async def cable(url: str) -> AsyncIterator[Cable]:
    """Relay connections to the switch at `url` until the end."""
    line = Cable(int(url.rstrip("/").rsplit(":", 1)[1]))
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    line.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield line
    finally:
        server.close()
        await line.close()


async def spoken(url: str, text: str, **tts: Any) -> np.ndarray:
    """Return `text` in the switch's own voice as a client of `/call` receives it: PCM16 at 48 kHz."""
    option = {"samplerate": SPOKEN_RATE, "vad": False, "tts": {"provider": "builtin", **tts}}
    address = f"{url.replace('http', 'ws')}call?dump=false"
    async with aiohttp.ClientSession() as client, asyncio.timeout(60), client.ws_connect(address) as ws:
        await ws.send_json({"command": "invite", "option": option})
        await ws.send_json({"command": "tts", "text": text, "playId": "say", "autoHangup": True})
        pieces = [message.data async for message in ws if message.type is aiohttp.WSMsgType.BINARY]
    return np.frombuffer(b"".join(pieces), "<i2")


async def get_json(url: str) -> Any:
    """Ask the switch for JSON."""
    async with aiohttp.ClientSession(raise_for_status=True) as client, client.get(url) as answer:
        return await answer.json()


async def get_bytes(url: str) -> bytes:
    """Ask the switch for a file."""
    async with aiohttp.ClientSession(raise_for_status=True) as client, client.get(url) as answer:
        return await answer.read()


def word_error_rate(said: str, heard: str) -> float:
    """Return the share of words that were left out, added or taken for others."""
    reference, hypothesis = words(said), words(heard)
    row = list(range(len(hypothesis) + 1))
    for at, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], at
        for column, other in enumerate(hypothesis, 1):
            diagonal, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other)),
            )
    return row[-1] / len(reference)


def words(text: str) -> list[str]:
    """Return the words of a text without case and punctuation."""
    return re.findall(r"[a-z0-9']+", text.lower())
