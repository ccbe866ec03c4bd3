"""The page calls the receptionist of `examples/`: greeted, understood, connected with sales."""

import asyncio
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Playwright, expect

from tests.browser.conftest import MIC_RATE, launch, open_page, write_wav
from tests.browser.listen import call_from, until_heard, until_page_hears
from tests.browser.real_switch import real_switch, spoken
from tests.conftest import ROOT
from tests.support.chat import ScriptedModel, last_user

pytestmark = [pytest.mark.client, pytest.mark.asyncio(loop_scope="package")]

EXAMPLE = ROOT / "examples/receptionist/receptionist.toml"
WORDS = "I would like to talk to sales, please."
TONE_HZ = 440.0
"""Of the callee `tone`, which is sales here."""
BEFORE_S = 14.0
"""The microphone is silent until the greeting is over."""


def script(messages: list[dict[str, Any]]) -> list[Any]:
    if "sales" in last_user(messages):
        return ["One moment, ", "I connect you.", {"name": "transfer", "to": "sales"}]
    return ["Which department would you like?"]


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel(script) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def switch(model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Give the address of a switch with the receptionist."""
    folder = tmp_path_factory.mktemp("receptionist")
    agent, settings = folder / "receptionist.toml", folder / "softswitch.toml"
    text = EXAMPLE.read_text(encoding="utf-8")
    config = tomllib.loads(text)
    agent.write_text(
        text.replace(config["model"]["url"], model.url).replace(
            config["transfer"]["sales"]["callee"], "tone"
        ),
        encoding="utf-8",
    )
    settings.write_text(f'[[agent]]\nname = "receptionist"\nfile = "{agent}"\n')
    (folder / "data").mkdir()
    async with real_switch(folder / "data", settings, SPEECH_PRELOAD="true") as url:
        yield url


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_page_talks_to_the_receptionist_and_is_connected(
    playwright: Playwright, switch: str, model: ScriptedModel, tmp_path: Path
) -> None:
    words = await spoken(switch, WORDS)
    pcm = np.concatenate(
        [np.zeros(int(BEFORE_S * MIC_RATE), np.int16), words, np.zeros(60 * MIC_RATE, np.int16)]
    )
    async with (
        launch(playwright, write_wav(tmp_path / "mic.wav", pcm)) as browser,
        open_page(browser, switch) as page,
    ):
        await page.fill("#setup [name=greeting]", "")
        await page.get_by_text("Options", exact=True).click()
        await page.fill("#setup [name=callee]", "agent:receptionist")
        await call_from(page)
        await until_heard(page, "far", seconds=20)
        async with asyncio.timeout(60):
            while not any("sales" in last_user(request["messages"]) for request in model.requests):
                await asyncio.sleep(0.05)
        # It is connected with the tone once all was heard.
        await until_page_hears(page, TONE_HZ, seconds=60)
        await page.click("#hangup")
        await expect(page.locator("#connection")).to_have_text("Disconnected")
