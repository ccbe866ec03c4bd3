"""Tones of the network on a line before the answer."""

import numpy as np
import pytest

from softswitch.audio import g711
from softswitch.audio.pcm import Pcm
from softswitch.audio.tone import Tone as Sound
from softswitch.speech.progress_tones import FRAME, RATE, ProgressTones, Tone

SIT = ((985.2, 380), (1370.6, 274), (1776.7, 380))


def line(sound: Sound, seconds: float = 7.0, seed: int = 1) -> Pcm:
    return noisy(sound.render(0, int(seconds * RATE), RATE), seed)


def noisy(sound: Pcm, seed: int = 1) -> Pcm:
    """Return a sound after a second of a quiet line, through G.711."""
    rng = np.random.default_rng(seed)
    sound = np.concatenate([np.zeros(RATE, np.float32), sound])
    sound = sound + rng.standard_normal(sound.size).astype(np.float32) * 8.0
    return g711.decode(g711.ULAW_DECODE, g711.encode(g711.ULAW_ENCODE, sound.astype(np.float32)))


def heard(sound: Pcm) -> list[Tone]:
    tones = ProgressTones()
    found = [tones.push(sound[at : at + FRAME]) for at in range(0, len(sound) - FRAME + 1, FRAME)]
    return [tone for tone in found if tone is not None]


def steps(*parts: tuple[float, int]) -> Pcm:
    sounds = [Sound((hertz,)).render(0, ms * RATE // 1000, RATE) for hertz, ms in parts]
    return np.concatenate([*sounds, np.zeros(RATE, np.float32)])


@pytest.mark.parametrize(
    ("kind", "frequencies", "cadence"),
    [
        ("ringback", (440.0, 480.0), (2000, 4000)),  # North America
        ("ringback", (425.0,), (1000, 4000)),  # Germany and most of Europe
        ("ringback", (400.0, 450.0), (400, 200, 400, 2000)),  # United Kingdom
        ("ringback", (440.0,), (1500, 3500)),  # France
        ("ringback", (450.0,), (1000, 4000)),  # China
        ("busy", (480.0, 620.0), (500, 500)),  # North America
        ("busy", (425.0,), (480, 480)),  # Germany
        ("busy", (400.0,), (375, 375)),  # United Kingdom
        ("busy", (450.0,), (350, 350)),  # China
        ("congestion", (480.0, 620.0), (250, 250)),  # North America
        ("congestion", (425.0,), (240, 240)),  # Germany
        ("congestion", (425.0,), (200, 200)),  # Italy
    ],
)
def test_tones_of_countries_are_told_once_with_their_frequencies(kind, frequencies, cadence):
    (tone,) = heard(line(Sound(frequencies, cadence), 12.0))
    assert tone.kind == kind
    assert tone.frequencies == pytest.approx(frequencies, abs=4)
    assert tone.at_s < 1.0 + (4.2 if kind == "ringback" else 2.6)


def test_japanese_ringback_wavers_and_is_one_tone():
    at = np.arange(7 * RATE) / RATE
    wave = 3000.0 * np.sin(2 * np.pi * 400 * at) * (1 + 0.8 * np.sin(2 * np.pi * 16 * at)) * (at % 3.0 < 1.0)
    (tone,) = heard(noisy(wave.astype(np.float32)))
    assert (tone.kind, len(tone.frequencies)) == ("ringback", 1)


def test_special_information_tones_are_told_with_their_three_steps():
    (tone,) = heard(noisy(steps(*SIT)))
    assert tone.kind == "sit"
    assert tone.frequencies == pytest.approx((985, 1371, 1777), abs=5)
    assert heard(noisy(steps(*reversed(SIT)))) == []


def test_ringback_that_turns_into_busy_is_told_as_both():
    ring = Sound((440.0, 480.0), (2000, 4000)).render(0, 12 * RATE, RATE)
    busy = Sound((480.0, 620.0), (500, 500)).render(0, 5 * RATE, RATE)
    assert [tone.kind for tone in heard(noisy(np.concatenate([ring, busy])))] == ["ringback", "busy"]


def test_noise_speech_like_sound_and_a_steady_tone_are_none():
    rng = np.random.default_rng(3)
    at = np.arange(8 * RATE) / RATE
    pitch = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 0.7 * at)) / RATE
    voice = sum(np.sin(k * pitch) / k for k in range(1, 12)) * 2000.0 * (np.sin(2 * np.pi * 2 * at) > -0.3)
    assert heard(noisy(voice.astype(np.float32))) == []
    assert heard((rng.standard_normal(8 * RATE) * 2000.0).astype(np.float32)) == []
    assert heard(line(Sound((440.0,)), 8.0)) == []
