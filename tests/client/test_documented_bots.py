"""The programs of the README and the tutorials, as they stand there, against a real switch.

The bots are called over a trunk that leads back to the switch, as the tutorial of the first bot has it.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from softswitch.client import connect
from tests.conftest import ROOT
from tests.support.ports import free_port
from tests.support.servers import Files
from tests.support.sound import level, loud_ms, pcm
from tests.support.switch import SwitchThread

pytestmark = pytest.mark.slow

SENTENCE = "please tell me about the weather tomorrow"
ANSWER = ["It will ", "rain in the ", "morning. ", "Take an umbrella."]
START_S = 100.0
LOUD, QUIET = 300.0, 100.0
"""Root mean square of a frame, in PCM16 units."""


class Model:
    """A language model that always says the same, in pieces, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """Serve `POST /v1/chat/completions` as server-sent events."""
        self.asked.append(await request.json())
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in ANSWER:
            chunk = json.dumps({"choices": [{"delta": {"content": piece}}]})
            await response.write(f"data: {chunk}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response


@pytest.fixture
def bot_port() -> int:
    return free_port()


@pytest.fixture
def switch(tmp_path: Path, bot_port: int):
    sip_port = free_port()
    sections = {
        "sip": {"port": sip_port},
        "webhook": {"url": f"http://127.0.0.1:{bot_port}/"},
        "trunk": [{"name": "loopback", "servers": [f"127.0.0.1:{sip_port}"]}],
    }
    with SwitchThread(tmp_path / "data", sections) as running:
        yield running


def program(page: str, switch: SwitchThread, number: int = 0) -> str:
    """Return a Python program of a page, with the address of the switch under test."""
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```$", (ROOT / page).read_text("utf-8"))
    text: str = blocks[number]
    assert "127.0.0.1:8080" in text
    return text.replace("127.0.0.1:8080", f"127.0.0.1:{switch.port}")


@asynccontextmanager
async def running(*command: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a Python program while the block runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def until_served(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    while b"Running on" not in (line := await process.stdout.readline()):
        assert line, "the bot ended"


async def converse(switch: SwitchThread) -> bytes:
    """Call the bot, hear its greeting, say the sentence, and return what the bot says to it."""
    question = np.pad(await switch.spoken(SENTENCE), (0, 32000)).astype("<i2").tobytes()
    async with connect(switch.socket_url("/call")) as call:
        heard: list[bytes] = []
        listening = asyncio.create_task(keep(call.audio(), heard))
        await call.refer("bot")
        await until_loud(heard)
        await until_quiet(heard)
        heard.clear()  # the reply may begin while the silence behind the sentence is still sent
        await call.stream(question)
        await until_loud(heard)
        await until_quiet(heard)
        listening.cancel()
    return b"".join(heard)


async def keep(audio: AsyncIterator[bytes], heard: list[bytes]) -> None:
    async for piece in audio:
        heard.append(piece)  # noqa: PERF401  (read by others while it grows)


def levels(heard: list[bytes]) -> list[float]:
    """Return the levels of the last second."""
    return [level(np.frombuffer(piece, "<i2")) for piece in heard[-50:]]


async def until_loud(heard: list[bytes]) -> None:
    while not any(each > LOUD for each in levels(heard)):
        await asyncio.sleep(0.02)


async def until_quiet(heard: list[bytes]) -> None:
    while len(heard) < 50 or any(each > QUIET for each in levels(heard)):
        await asyncio.sleep(0.02)


async def lasts_like(switch: SwitchThread, said: bytes, text: str) -> bool:
    """Tell whether speech lasts about as long as a text that the switch speaks."""
    wanted = loud_ms(await switch.spoken(text))
    return 0.6 * wanted < loud_ms(pcm(said)) < 1.6 * wanted


async def test_bot_of_the_readme_says_back_what_it_hears(switch, bot_port, tmp_path):
    text = program("README.md", switch)
    assert len([line for line in text.splitlines() if line.strip()]) <= 20
    file = tmp_path / "bot.py"
    file.write_text(text.replace("port=9000", f"port={bot_port}"), "utf-8")
    async with asyncio.timeout(START_S), running(str(file)) as bot:
        await until_served(bot)
        said = await converse(switch)
        assert await lasts_like(switch, said, f"You said: {SENTENCE}.")


async def test_bot_of_the_tutorial_speaks_the_reply_of_the_model(switch, bot_port):
    model = Model()
    async with Files() as server:
        server.answers["v1/chat/completions"] = model.complete
        environment = {"SWITCH": switch.socket_url("/call/sip"), "LLM_URL": server.url("v1")}
        command = (str(ROOT / "examples" / "llm_bot.py"), str(bot_port))
        async with asyncio.timeout(START_S), running(*command, **environment) as bot:
            await until_served(bot)
            said = await converse(switch)
            assert await lasts_like(switch, said, "".join(ANSWER))
    (asked,) = model.asked
    assert [message["role"] for message in asked["messages"]] == ["system", "assistant", "user"]
    assert "weather" in asked["messages"][-1]["content"]


async def test_program_of_the_first_call_is_greeted(switch):
    async with (
        asyncio.timeout(START_S),
        running("-c", program("docs/tutorial/first-call.md", switch)) as first,
    ):
        printed, _ = await first.communicate()
        assert first.returncode == 0
        assert re.fullmatch(r"heard for \d{3,4} ms\n", printed.decode())
