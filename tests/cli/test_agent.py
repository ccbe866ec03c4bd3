"""`softswitch agent` as a process: a switch announces a call of a telephone to it."""

import asyncio
import signal

import aiohttp
import pytest

from tests.cli.program import PATIENCE_S, Run, start
from tests.support import sound
from tests.support.chat import ScriptedModel
from tests.support.ports import free_port
from tests.support.switch import SwitchThread

AGENT = """
prompt = "You are a clerk."
greeting = "Good day."
[model]
url = "{url}"
model = "scripted"
"""


@pytest.mark.slow
async def test_announced_call_is_greeted_and_ends_with_the_agent(tmp_path) -> None:
    port, sip_port = free_port(), free_port()
    sections = {
        "auth": {"api_keys": ["clerk:clerk-secret-key:call", "caller:caller-secret-key:call"]},
        "sip": {"port": sip_port},
        "webhook": {"url": f"http://127.0.0.1:{port}/"},
        # The call comes back over a trunk that leads to the switch itself.
        "trunk": [{"name": "loopback", "servers": [f"127.0.0.1:{sip_port}"]}],
    }
    agent = tmp_path / "agent.toml"
    async with ScriptedModel(lambda _: ["Yes?"]) as model:
        agent.write_text(AGENT.format(url=model.url))
        with SwitchThread(tmp_path / "data", sections, {"token": "caller-secret-key"}) as switch:
            place = f"ws://127.0.0.1:{switch.port}/call/sip"
            process = await start(
                "agent", "--config", agent, "--switch", place, "--port", str(port), key="clerk-secret-key"
            )
            try:
                await answers(f"http://127.0.0.1:{port}/")
                async with switch.client() as client:
                    await client.invite(vad=False)
                    await client.send("refer", callee="100")
                    await client.until(
                        lambda: sound.loud_ms(client.heard(), threshold=500) > 300, timeout=PATIENCE_S
                    )
                    process.send_signal(signal.SIGTERM)
                    assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
                    async with asyncio.timeout(PATIENCE_S):
                        while switch.calls_now() > 1:
                            await asyncio.sleep(0.02)
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            switch.check()


async def answers(url: str) -> None:
    """Wait until the program answers; it refuses what is no announcement."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with session.post(url, json={}) as response:
                    assert response.status == 400
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)


async def test_wrong_file_is_named(tmp_path, run: Run) -> None:
    code, _, err = await run("agent", "--config", tmp_path / "none.toml")
    assert code == 2
    assert "none.toml" in err
