"""The receptionist of `examples/`: a telephone asks it for sales, in PCMU, and is connected with sales."""

import asyncio
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softswitch.agent import load_agent
from tests.clients.telephony import Telephony, hears, voice
from tests.conftest import ROOT
from tests.support.baresip import Baresip
from tests.support.chat import ScriptedModel, last_user
from tests.support.sound import Pcm, join, silence
from tests.support.speech_server import SpeechServer

pytestmark = pytest.mark.client

EXAMPLE = ROOT / "examples/receptionist/receptionist.toml"
WORDS = "I would like to talk to sales, please."

SETTINGS = """
[[user]]
name = "alice"
password = "alice-secret"

[[user]]
name = "sales"
password = "sales-secret"

[[agent]]
name = "receptionist"
file = "{agent}"

[[route]]
match = "100"
to = "agent:receptionist"
"""

KEY = "key-of-the-speech-server"
PROVIDER = """
[[speech.provider]]
name = "openai"
kind = "openai"
base_url = "{url}"
key = "{key}"
"""


def script(messages: list[dict[str, Any]]) -> list[Any]:
    if "sales" in last_user(messages):
        return ["One moment, ", "I connect you ", "with sales.", {"name": "transfer", "to": "sales"}]
    return ["Which department would you like?"]


def test_example_is_a_valid_agent():
    config = load_agent(EXAMPLE)
    assert [tool.name for tool in config.tool] == ["look_up"]
    assert set(config.transfer) == {"sales", "office"}


def at_8_khz(sound: Pcm) -> Pcm:
    """Return a sound of 16 kHz at 8 kHz."""
    taps = np.sinc(np.arange(-16, 17) / 2) * np.hamming(33) / 2
    return np.convolve(sound.astype(float), taps, "same")[::2].astype(np.int16)


async def test_caller_asks_for_sales_and_is_connected(tmp_path: Path) -> None:
    await ask_for_sales(tmp_path)


async def test_caller_is_understood_and_answered_by_a_speech_server(tmp_path: Path) -> None:
    async with SpeechServer(KEY) as server:
        await ask_for_sales(tmp_path, server)
    assert any("sales" in text.lower() for text in server.understood), server.understood
    greeting = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))["greeting"]
    said = " ".join(server.spoken)
    assert said.startswith(greeting), said
    assert "sales" in said.removeprefix(greeting), said


async def ask_for_sales(tmp_path: Path, server: SpeechServer | None = None) -> None:
    """Have a telephone ask the receptionist for sales, and be connected.

    Args:
        tmp_path: for the files of switch and telephones.
        server: the provider "openai" that listens and speaks for the receptionist; None: what is built in.
    """
    async with ScriptedModel(script) as model:
        text = EXAMPLE.read_text(encoding="utf-8")
        url = tomllib.loads(text)["model"]["url"]
        text, settings = text.replace(url, model.url), SETTINGS
        if server is not None:
            text = text.replace('provider = "builtin"', 'provider = "openai"')
            text += '\n[asr]\nprovider = "openai"\n'
            settings += PROVIDER.format(url=server.url("").rstrip("/"), key=KEY)
        agent = tmp_path / "receptionist.toml"
        agent.write_text(text, encoding="utf-8")
        preload = {"SOFTSWITCH_SPEECH_PRELOAD": "true"}
        with Telephony(tmp_path / "data", settings.format(agent=agent), preload) as switch:
            said = at_8_khz(await switch.spoken(WORDS))
            # A caller who is not answered says it again.
            again = [part for _ in range(5) for part in (silence(14.0, 8000), said)]
            speech = join(silence(7.0, 8000), said, *again, silence(60.0, 8000))
            accounts = [
                f"<sip:{name}@127.0.0.1:{switch.sip_port};transport=udp>;auth_user={name}"
                f";auth_pass={name}-secret;regint=60;audio_codecs=PCMU/8000/1"
                for name in ("alice", "sales")
            ]
            async with (
                Baresip(tmp_path / "alice", accounts[0], speech) as alice,
                Baresip(tmp_path / "sales", accounts[1], voice(1000, 8000)) as sales,
            ):
                await alice.registered()
                await sales.registered()
                alice.command("dial", "100")
                await alice.until("CALL_ESTABLISHED")
                await sales.until("CALL_ESTABLISHED", seconds=90)
                await asyncio.sleep(2)
                sales.command("hangup")
                await alice.until("CALL_CLOSED")
            await switch.no_calls()
            assert switch.tracebacks() == []
    heard = alice.heard()
    hears(heard[-3 * 8000 :], 8000, 1000)
    # Before, it heard the greeting.
    assert np.abs(heard[: 5 * 8000].astype(int)).max() > 1000
