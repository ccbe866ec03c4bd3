"""The echo bot of `examples/pipecat`, with pipecat's own serializers, in calls of a running switch.

It needs a Python with `pipecat-ai`: that of scripts/setup.sh, or the one that SOFTSWITCH_TEST_PIPECAT names.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from tests.conftest import ROOT, missing
from tests.support import sound
from tests.support.client import calling
from tests.support.ports import free_port
from tests.support.switch import Switch, SwitchThread

OWN = ROOT / ".venv/pipecat/bin/python"
PYTHON = os.environ.get("SOFTSWITCH_TEST_PIPECAT", "") or (str(OWN) if OWN.exists() else "")
pytestmark = pytest.mark.client


@pytest.fixture(scope="module")
def switch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switch]:
    if not PYTHON:
        missing("no Python with pipecat-ai: scripts/setup.sh test installs one")
    with SwitchThread(tmp_path_factory.mktemp("pipecat") / "data") as running:
        yield running


@asynccontextmanager
async def echo_bot(protocol: str) -> AsyncIterator[str]:
    port = free_port()
    program = [str(ROOT / "examples/pipecat/echo_bot.py"), "--protocol", protocol, "--port", str(port)]
    process = await asyncio.create_subprocess_exec(PYTHON, *program, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            while b"Running on" not in await process.stdout.readline():
                assert process.returncode is None, "the bot has ended"
        yield f"ws://127.0.0.1:{port}/"
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("protocol", ["twilio", "telnyx", "plivo", "exotel", "vonage", "audiohook"])
async def test_caller_hears_the_echo_of_the_bot(switch: Switch, protocol: str) -> None:
    async with (
        echo_bot(protocol) as url,
        calling(
            switch.socket_url("/call"), vad=False, mediaPass={"url": url, "protocol": protocol}
        ) as client,
    ):
        tone = sound.join(sound.tone(500, 2.0), sound.silence(3.0))
        hearing = asyncio.ensure_future(client.hear(4.5))
        await client.speak(tone)
        heard = await hearing
        # The resampler of pipecat holds back some 100 ms; late ticks of a loaded machine cost frames.
        assert 1400 < sound.loud_ms(heard, threshold=1000) < 2100
        loud = np.flatnonzero(abs(heard) > 1000)
        assert abs(sound.pitch(heard[loud[0] : loud[-1]]) - 500) < 15
