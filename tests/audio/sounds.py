"""Sounds the tests of this folder are tried on, all computed."""

import numpy as np


def sine(frequency, seconds, sample_rate, amplitude=8000.0):
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def noise(samples, amplitude=3000.0, seed=1):
    return (np.random.default_rng(seed).standard_normal(samples) * amplitude).astype(np.float32)


def voice(seconds, sample_rate, pitch=120.0, seed=1):
    """Return something like a sung vowel whose pitch and level wander, with formants and breath."""
    samples = round(seconds * sample_rate)
    time = np.arange(samples) / sample_rate
    wandering = pitch * (1 + 0.06 * np.sin(2 * np.pi * 0.7 * time + seed))
    phase = 2 * np.pi * np.cumsum(wandering) / sample_rate
    sound = np.zeros(samples)
    for harmonic in range(1, int(min(3400, sample_rate / 2.2) / pitch)):
        frequency = harmonic * pitch
        formants = sum(1 / (1 + ((frequency - centre) / width) ** 2) for centre, width in FORMANTS)
        sound += formants * np.sin(harmonic * phase + harmonic * seed)
    breath = np.random.default_rng(seed).standard_normal(samples) * 0.01
    level = 0.6 + 0.4 * np.sin(2 * np.pi * 2.3 * time + seed)
    shaped = (sound / np.abs(sound).max() + breath) * level
    return (shaped * 12000).astype(np.float32)


FORMANTS = ((500.0, 100.0), (1500.0, 150.0), (2500.0, 200.0))


def frames(pcm, samples):
    return pcm[: len(pcm) // samples * samples].reshape(-1, samples)


def spectrum_db(pcm, sample_rate):
    """Return frequencies and the level of each in decibels, 0 for a full-scale sine."""
    window = np.kaiser(len(pcm), 14.0)
    magnitude = np.abs(np.fft.rfft(pcm * window)) * 2 / window.sum() / 32768.0
    return np.fft.rfftfreq(len(pcm), 1 / sample_rate), 20 * np.log10(np.maximum(magnitude, 1e-9))
