"""Sounds that the switch makes itself."""

import asyncio
import logging

import numpy as np
import pytest

from softswitch.audio import hold_music
from softswitch.switch.rendered_sounds import RenderedSounds


async def test_music_is_rendered_once_for_all_calls_also_if_one_of_them_ends(monkeypatch):
    rounds = []
    render = hold_music.render

    def counted(rate: int) -> object:
        rounds.append(rate)
        return render(rate)

    monkeypatch.setattr(hold_music, "render", counted)
    sounds = RenderedSounds()
    first, second = (asyncio.create_task(sounds.music()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    pcm = await second
    assert rounds == [24000]
    assert len(pcm) == 24 * 24000 * 2
    assert await sounds.music() is pcm


async def test_ringback_begins_with_a_second_of_its_tone():
    pcm = np.frombuffer(await RenderedSounds().ringback(), np.int16).astype(float)
    assert len(pcm) == 5 * 24000
    assert np.sqrt(np.mean(pcm[:24000] ** 2)) > 3000
    assert not pcm[24000:].any()
    power = np.abs(np.fft.rfft(pcm[:24000]))
    assert power.argmax() == 425


async def test_file_that_cannot_be_played_is_logged_once(caplog: pytest.LogCaptureFixture):
    sounds = RenderedSounds()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            sounds.failed("/no/where.wav", OSError("no such file"))
    assert len(caplog.records) == 1
