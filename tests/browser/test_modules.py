"""The page's pure modules, run where they run: in the browser."""

from typing import Any

import pytest
from playwright.async_api import Browser

from tests.browser.conftest import open_page

pytestmark = [pytest.mark.client, pytest.mark.asyncio(loop_scope="package")]

RESAMPLE = """async ([from, to, hz]) => {
  const { Resampler } = await import("./static/js/call/resample.js");
  const resampler = new Resampler(from, to);
  const output = [];
  for (let at = 0; at < from / 2; at += 128) {
    const block = Float32Array.from({ length: 128 }, (_, i) => Math.sin(2 * Math.PI * hz * (at + i) / from));
    output.push(...resampler.push(block));
  }
  // A fifth of a second holds whole cycles of every tone used here: nothing leaks into the noise.
  const steady = output.slice(to / 8 | 0).slice(0, to / 5);
  let re = 0, im = 0, all = 0;
  steady.forEach((value, i) => {
    re += value * Math.cos(2 * Math.PI * hz * i / to);
    im += value * Math.sin(2 * Math.PI * hz * i / to);
    all += value * value;
  });
  const tone = 2 * (re * re + im * im) / steady.length;
  const noise = 10 * Math.log10(Math.abs(all - tone) / all + 1e-12);
  return { samples: output.length, gain: Math.sqrt(2 * all / steady.length), noise };
}"""

LATENCY = """async (steps) => {
  const { Latency } = await import("./static/js/view/latency.js");
  const latency = new Latency();
  return steps.map(([what, message, now]) => latency[what](message, now) ?? null);
}"""


async def evaluate(browser: Browser, url: str, script: str, argument: Any) -> Any:
    async with open_page(browser, url) as page:
        return await page.evaluate(script, argument)


@pytest.mark.parametrize(
    ("rate_in", "rate_out"), [(48000, 16000), (44100, 16000), (16000, 48000), (24000, 44100)]
)
async def test_resampler_keeps_a_tone_clean(browser: Browser, url: str, rate_in: int, rate_out: int) -> None:
    found = await evaluate(browser, url, RESAMPLE, [rate_in, rate_out, 1000])
    assert abs(found["samples"] - rate_out / 2) < rate_out / 100
    assert abs(found["gain"] - 1) < 0.01
    assert found["noise"] < -50


async def test_resampler_removes_what_the_lower_rate_cannot_carry(browser: Browser, url: str) -> None:
    found = await evaluate(browser, url, RESAMPLE, [48000, 16000, 10500])
    assert found["gain"] < 0.003


async def test_resampler_leaves_equal_rates_alone(browser: Browser, url: str) -> None:
    found = await evaluate(browser, url, RESAMPLE, [48000, 48000, 440])
    assert found["noise"] < -90


async def test_latency_measures_words_voice_and_barge_in(browser: Browser, url: str) -> None:
    found = await evaluate(
        browser,
        url,
        LATENCY,
        [
            ["sent", {"command": "tts", "playId": "a"}, 1000],
            ["heard", {"event": "trackStart", "playId": "a"}, 1045],
            ["heard", {"event": "trackStart"}, 1050],
            ["heard", {"event": "speaking", "timestamp": 5200, "startTime": 5000}, 0],
            ["heard", {"event": "interruption", "timestamp": 5300, "playId": "a"}, 0],
            ["heard", {"event": "interruption", "timestamp": 5900, "playId": "b"}, 0],
            ["heard", {"event": "asrFinal", "timestamp": 7000, "endTime": 6700, "text": "x"}, 0],
            ["heard", {"event": "asrFinal", "text": "no times"}, 0],
        ],
    )
    assert found == [
        None,
        {"kind": "tts", "ms": 45},
        None,
        None,
        {"kind": "barge", "ms": 300},
        None,
        {"kind": "asr", "ms": 300},
        None,
    ]


async def test_tone_pairs_are_those_of_the_recommendation(browser: Browser, url: str) -> None:
    script = """async () => {
      const { KEYS, tonePair } = await import("./static/js/call/tones.js");
      return Object.fromEntries(KEYS.flat().map((digit) => [digit, tonePair(digit)]));
    }"""
    found = await evaluate(browser, url, script, None)
    assert len(found) == 16
    assert (found["1"], found["0"], found["#"], found["D"]) == (
        [697, 1209],
        [941, 1336],
        [941, 1477],
        [941, 1633],
    )
