"""What the measures of speech are made of: sentences, phrases, voices, lines and noises, all made here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from softswitch.audio import g711
from softswitch.audio.codec import OPUS
from softswitch.audio.opus import OpusBank
from softswitch.audio.pcm import from_bytes
from softswitch.audio.resample import StreamResampler
from softswitch.speech.builtin import espeak, flite, neural_voice, voice_frames
from softswitch.speech.builtin.voice_engine import Utterance
from softswitch.speech.interface import SpeechUnavailableError

Sound = NDArray[np.float32]
RATE = 16000
LOUDNESS = 3500.0
"""Root mean square of speech, PCM16 units: -19 dBFS."""

PHRASES = (
    *("sales", "technical support", "billing", "opening hours", "speak to an agent", "cancel my order"),
    *("track my package", "change my password", "store locations", "make a payment", "new account"),
    *("repeat the menu", "main menu", "report a problem", "internet problems", "human resources"),
    *("leave a message", "call me back", "thank you goodbye", "something else"),
)
OTHERS = (
    *("hello", "pizza with mushrooms", "my dog is hungry", "what time is it", "maybe tomorrow"),
    *("the weather is nice", "a red car", "who are you", "let me think", "open the window"),
)
"""Fit none of the phrases."""
PEOPLE = tuple(
    line.strip()
    for line in """
Hello?
Yes?
Hi, this is Anna.
John speaking.
Good morning.
Hello, who is this?
Hi there.
Yes, hello?
Hello. Hello?
Miller.
Good afternoon, how can I help you?
Yeah?
This is Peter, hello?
Hello, Sarah speaking, who's calling please?
Good morning, Smith and Partners, this is Anna speaking, how may I help you?
Front desk, what can I do for you?
Hello, you are speaking with David.
Yes, this is he.
Just a second please. Yes, hello?
Oh hi, is that you?
Hey, what's up?
Good evening, pizza place, your order please?
Hello, can you hear me?
Yes, go ahead.
One moment, I am driving. Hello?
""".strip().splitlines()
)
MACHINES = tuple(
    line.strip()
    for line in """
Hi, you have reached John Miller. I can't come to the phone right now. Please leave a message after the tone.
The person you are calling is not available. Please leave a message after the beep.
You've reached the voicemail of Anna. Leave your name and number and I will call you back.
Thank you for calling. Our office is currently closed. Our hours are nine to five.
Hello, this is Peter. Sorry I missed your call, please leave your name and number.
Your call has been forwarded to an automatic voice message system. At the tone, please record your message.
The number you have dialed is not in service. Please check the number and dial again.
We are unable to take your call right now. Please record your message after the tone.
Hi! We are not home right now. Leave us a message and we will get back to you.
To leave a message press one, or just hang up.
Hello. I am away from my desk at the moment. Please leave a message.
You have reached the mailbox of five five five, one two three four.
Hey, it's Tom. You know what to do at the beep.
The subscriber you have called is not reachable at the moment. Please try again later.
Good day. You have reached the dental practice of doctor Brown. We are on holiday until the tenth.
Hi, this is Susan. I'm probably on the other line, so leave me your number and I'll ring you back soon.
Welcome to the answering machine of the Johnson family. Please speak after the signal.
All our agents are busy. Your call is important to us. Please stay on the line.
Hello and thank you for calling. There is no one here to answer the phone right now.
This is an automated message. The customer you are calling cannot take your call.
Hi. I missed your call. Leave a message, thanks.
You've reached my cell phone. I'm either sleeping or ignoring you. Leave a message.
Please leave your message for the person you called. When you have finished, hang up or press pound.
Our offices are closed for the weekend. Please call back on Monday.
Sorry, the mailbox is full and cannot accept any messages at this time. Goodbye.
""".strip().splitlines()
)
UNTUNED = "awb"
"""A voice on which nothing was tuned."""


@dataclass(frozen=True, slots=True)
class Voice:
    """Something that speaks, in this process."""

    name: str
    speak: Callable[[str], Sound]


def voices(engine: neural_voice.NeuralVoice) -> list[Voice]:
    """Return the voices that this host has: the neural one, flite's, and espeak-ng's."""
    found = [Voice("heart", partial(_neural, engine))]
    found += [Voice(name, partial(_library, flite.engine, name)) for name in ("slt", "rms", "awb")]
    found.append(Voice("espeak", partial(_library, espeak.engine, "en-us")))
    usable = []
    for voice in found:
        try:
            voice.speak("one")
        except SpeechUnavailableError:
            continue
        usable.append(voice)
    return usable


def _neural(engine: neural_voice.NeuralVoice, text: str) -> Sound:
    pieces: list[bytes] = []
    engine.work({"text": text, "rate": 1.0, "pitch": 1.0}, b"", pieces.append)
    pcm = b"".join(piece[neural_voice.PIECE.size :] for piece in pieces)
    return _even(from_bytes(pcm), voice_frames.RATE)


def _library(engine: Callable[[], flite.Flite | espeak.Espeak], voice: str, text: str) -> Sound:
    pieces: list[bytes] = []
    rates: list[int] = []

    def take(pcm: bytes, rate: int) -> bool:
        pieces.append(pcm)
        rates.append(rate)
        return True

    engine().speak(Utterance(text, voice), take)
    return _even(from_bytes(b"".join(pieces)), rates[0])


def _even(sound: Sound, rate: int) -> Sound:
    sound = resampled(sound, rate, RATE)
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max())
    sound = sound[loud[0] : loud[-1] + 1]
    return (sound * np.float32(LOUDNESS / max(float(np.sqrt(np.square(sound).mean())), 1.0))).astype(
        np.float32
    )


def resampled(sound: Sound, rate: int, wanted: int) -> Sound:
    """Return a sound at another rate."""
    if rate == wanted:
        return sound
    return StreamResampler(rate, wanted).process(np.pad(sound, (0, rate // 50)))


def around(sound: Sound, before_s: float = 0.3, after_s: float = 0.4) -> Sound:
    """Return a sound with a quiet line around it."""
    size = len(sound) + int((before_s + after_s) * RATE)
    line = np.random.default_rng(len(sound)).standard_normal(size).astype(np.float32) * np.float32(4.0)
    begin = int(before_s * RATE)
    line[begin : begin + len(sound)] += sound
    heard: Sound = np.clip(line, -32768, 32767)
    return heard


def noise(size: int, seed: int) -> Sound:
    """Return the noise of a street or a hall: it falls by 3 dB an octave, and its loudness wavers."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), size * 50 / RATE))
    sound = np.fft.irfft(spectrum, size)
    sound *= 1.0 + 0.3 * np.sin(2 * np.pi * np.arange(size) / RATE / 1.7)
    even: Sound = (sound / np.sqrt(np.square(sound).mean())).astype(np.float32)
    return even


def wideband(sound: Sound, _seed: int) -> Sound:
    """Change nothing: PCM at 16 kHz."""
    return sound


def pcmu(sound: Sound, _seed: int = 0) -> Sound:
    """Send a sound through G.711."""
    narrow = resampled(sound, RATE, 8000)
    return resampled(g711.decode(g711.ULAW_DECODE, g711.encode(g711.ULAW_ENCODE, narrow)), 8000, RATE)


def noisy(sound: Sound, seed: int) -> Sound:
    """Send a sound through G.711 with noise 10 dB below it."""
    return pcmu(sound + noise(len(sound), seed) * np.float32(LOUDNESS / 10**0.5))


def opus(sound: Sound, seed: int = 0, loss: float = 0.0) -> Sound:
    """Send a sound through Opus; of what is lost, it is concealed."""
    bank = OpusBank(OPUS, 1)
    bank.open(0)
    slots = np.zeros(1, np.intp)
    rng = np.random.default_rng(seed)
    tick = bank.sample_rate // 50
    wide = resampled(sound, RATE, bank.sample_rate)
    out = []
    for begin in range(0, len(wide) - tick + 1, tick):
        payloads, lengths = bank.encode(wide[None, begin : begin + tick], slots)
        if rng.random() < loss:
            out.append(bank.conceal(slots, tick)[0].copy())
        else:
            out.append(bank.decode(payloads, lengths, slots)[0][0].copy())
    bank.close(0)
    return resampled(np.concatenate(out), bank.sample_rate, RATE)


def lossy_opus(sound: Sound, seed: int) -> Sound:
    """Send a sound through Opus and lose a packet of twenty."""
    return opus(sound, seed, 0.05)


def lossy_pcmu(sound: Sound, seed: int) -> Sound:
    """Send a sound through G.711 and lose a packet of twenty, without concealment (the worst there is)."""
    heard = pcmu(sound).copy()
    rng = np.random.default_rng(seed)
    for begin in range(0, len(heard), RATE // 50):
        if rng.random() < 0.05:
            heard[begin : begin + RATE // 50] = 0.0
    return heard


def paused(first: Sound, second: Sound, pause_s: float) -> Sound:
    """Return two halves of a sentence with a pause between them."""
    return np.concatenate([first, np.zeros(int(pause_s * RATE), np.float32), second])


def halves(text: str) -> tuple[str, str]:
    """Return a sentence in two, cut before the word in its middle."""
    words = text.split()
    cut = len(words) // 2
    return " ".join(words[:cut]), " ".join(words[cut:])


def gap(sound: Sound) -> int:
    """Return where a sentence is quietest around its middle."""
    size = RATE // 50
    power = np.square(sound[: len(sound) // size * size].reshape(-1, size)).mean(axis=1)
    low, high = int(len(power) * 0.35), int(len(power) * 0.65)
    return (low + int(power[low:high].argmin())) * size


def errors(said: Sequence[str], understood: Sequence[str]) -> int:
    """Return how many words are wrong, missing or too many."""
    row = list(range(len(understood) + 1))
    for index, word in enumerate(said, 1):
        before, row[0] = row[0], index
        for place, other in enumerate(understood, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1]
