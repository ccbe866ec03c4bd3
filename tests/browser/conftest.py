"""Chromium with a microphone of our own, pages that must stay free of errors, and a switch that pretends."""

import asyncio
import contextlib
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, ConsoleMessage, Page, Playwright, Request, async_playwright

from tests.browser.fake_switch import FakeSwitch
from tests.conftest import require_tool

MIC_RATE = 48000
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    # A host with nothing but `lo` would find no candidate at all.
    "--allow-loopback-in-peer-connection",
    # A name that is not localhost: the page has to tell that the microphone is out of reach there.
    "--host-resolver-rules=MAP switch.test 127.0.0.1",
]


def write_wav(path: Path, pcm: np.ndarray) -> Path:
    """Write what the fake microphone will say."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(MIC_RATE)
        file.writeframes(np.asarray(pcm, "<i2").tobytes())
    return path


def launch(playwright: Playwright, microphone: Path, *flags: str) -> AbstractAsyncContextManager[Browser]:
    """Start Chromium with this recording as its microphone, and further flags."""

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[Browser]:
        browser = await playwright.chromium.launch(
            executable_path=require_tool("chromium", "chromium-browser", "google-chrome"),
            args=[*FLAGS, *flags, f"--use-file-for-fake-audio-capture={microphone}"],
        )
        try:
            yield browser
        finally:
            await browser.close()

    return running()


class Watched:
    """A page whose every complaint is kept; the test fails on any it did not expect."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._console)
        self.network_changed = False
        """Chromium has given up requests since an interface of a new network namespace came up."""
        page.on("requestfailed", self._failed)

    async def load(self, url: str) -> None:
        """Open a page, again where the network was still changing."""
        for _ in range(5):
            self.network_changed = False
            await self.page.goto(url)
            if not self.network_changed:
                return
            self.complaints.clear()
            await asyncio.sleep(1.0)

    def _failed(self, request: Request) -> None:
        self.network_changed = self.network_changed or "ERR_NETWORK_CHANGED" in (request.failure or "")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)


@contextlib.asynccontextmanager
async def open_page(
    browser: Browser, url: str, *, quiet: bool = True, **context: object
) -> AsyncIterator[Page]:
    """Open `url` in a context of its own; with `quiet`, anything in the console fails the test."""
    context.setdefault("viewport", {"width": 1440, "height": 900})
    own = await browser.new_context(**context)  # type: ignore[arg-type]
    watched = Watched(await own.new_page())
    try:
        await watched.load(url)
        yield watched.page
    finally:
        await own.close()
    if quiet:
        assert watched.complaints == []


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def playwright() -> AsyncIterator[Playwright]:
    async with async_playwright() as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """Chromium whose microphone is silent for six seconds, then hums in syllables for two, over and over."""
    t = np.arange(2 * MIC_RATE) / MIC_RATE
    voice = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 6))
    hum = 6000 * voice * np.clip(np.sin(2 * np.pi * 3 * t) + 0.5, 0, 1)
    quiet = np.zeros(6 * MIC_RATE)
    wav = write_wav(tmp_path_factory.mktemp("mic") / "mic.wav", np.concatenate([quiet, hum, quiet]))
    async with launch(playwright, wav) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="package")
async def fake() -> AsyncIterator[FakeSwitch]:
    yield FakeSwitch()


@pytest_asyncio.fixture(loop_scope="package")
async def url(fake: FakeSwitch) -> AsyncIterator[str]:
    """Address of a fresh pretended switch."""
    async with TestServer(fake.app, host="127.0.0.1") as server:
        yield str(server.make_url("/"))


OpenPage = Callable[..., AbstractAsyncContextManager[Page]]
