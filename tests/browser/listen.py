"""What the tests hear through the page's own meters."""

import asyncio
import time
from pathlib import Path

import numpy as np
from playwright.async_api import Page

PROBE = (Path(__file__).parent / "probe.js").read_text(encoding="utf-8")
HEARD_DB = -45.0


class Heard:
    """Levels (dBFS) and pitches (Hz, voiced moments only) of one side over a while."""

    def __init__(self, levels: list[float], pitches: list[float]) -> None:
        self.levels = levels
        self.pitches = pitches

    @property
    def loudest(self) -> float:
        return max(self.levels, default=-120.0)

    @property
    def pitch(self) -> float:
        return float(np.median(self.pitches)) if self.pitches else 0.0


async def listen(page: Page, side: str, seconds: float) -> Heard:
    """Measure `side` ("near" or "far") for a while."""
    levels: list[float] = []
    pitches: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = await page.evaluate(PROBE, side)
        levels.append(found["level"])
        if found["pitch"] and found["level"] > HEARD_DB:
            pitches.append(found["pitch"])
        await asyncio.sleep(0.05)
    return Heard(levels, pitches)


async def until_heard(page: Page, side: str, *, seconds: float = 60.0, above: float = HEARD_DB) -> float:
    """Wait until `side` sounds; return the level, or fail."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        level = float((await page.evaluate(PROBE, side))["level"])
        if level > above:
            return level
        await asyncio.sleep(0.05)
    raise AssertionError(f"nothing was heard on the {side} side within {seconds} s")


async def until(page: Page, expression: str, *, seconds: float = 60.0) -> None:
    """Wait until a JavaScript expression is true; Playwright's own way needs eval, which is forbidden."""
    end = time.monotonic() + seconds
    while not await page.evaluate(expression):
        assert time.monotonic() < end, f"never came true: {expression}"
        await asyncio.sleep(0.05)


async def call_from(page: Page, way: str = "WebRTC") -> None:
    """Choose a way, press Call, wait for the answer."""
    await page.get_by_text(way, exact=True).click()
    await page.click("#call")
    await until(page, "softswitch.session.state === 'connected'")


async def until_page_hears(page: Page, hz: float, seconds: float = 60.0) -> None:
    """Wait until the page's own meter of the far side has its peak at a pitch, for a second."""
    peak = """() => {
        const meter = softswitch.session.sound.far;
        const levels = new Float32Array(meter.frequencyBinCount);
        meter.getFloatFrequencyData(levels);
        const best = levels.indexOf(Math.max(...levels));
        return [best * meter.context.sampleRate / meter.fftSize, levels[best]];
    }"""
    found: list[tuple[float, float]] = []
    for _ in range(round(seconds * 10)):
        found.append(tuple(await page.evaluate(peak)))
        if len(found) >= 10 and all(abs(at - hz) < 30 and level > -50 for at, level in found[-10:]):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"the page hears {found[-5:]}, not {hz} Hz")
