"""Check of speech: synthesize a sentence and recognize it."""

import asyncio
import time

import msgspec

from softswitch.cli.checks.finding import Finding, fail, ok, warn
from softswitch.errors import SoftswitchError
from softswitch.settings import Settings
from softswitch.speech.builtin.items import words
from softswitch.speech.builtin.neural_voice import installed as neural_voice_installed
from softswitch.speech.interface import AsrFinal, AsrOptions, AsrStream, TtsAudio, TtsOptions
from softswitch.speech.provider import OFF, Providers

SENTENCE = "one two three four five"
PIECE_S = 0.02
TIMEOUT_S = 30.0
_INSTALL = "pip install 'softswitch[speech]'"


class Speech(msgspec.Struct, frozen=True):
    """Synthesized sentence."""

    pcm: bytes
    sample_rate: int
    first_audio_ms: float


def check(settings: Settings) -> list[Finding]:
    """Return the findings for the providers of the settings."""
    return asyncio.run(_check(settings))


async def _check(settings: Settings) -> list[Finding]:
    providers = Providers(settings.speech)
    try:
        found, speech = await voice(providers, settings)
        found.append(await recognition(providers, settings, speech))
    finally:
        await providers.close()
    return [*found, detection(providers, settings)]


async def voice(providers: Providers, settings: Settings) -> tuple[list[Finding], Speech | None]:
    """Synthesize the sentence; return the findings and the audio."""
    name = settings.speech.tts
    if name in OFF:
        return [ok("voice", "switched off ([speech] tts)")], None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            speech = await speak(providers, name, settings.speech.voice)
    except (SoftswitchError, TimeoutError) as error:
        return [fail("voice", f"{name}: {error or 'silent'}", _INSTALL)], None
    voices = providers.tts(name).voices()
    text = f"{name} speaks after {speech.first_audio_ms:.0f} ms, {len(voices)} voices"
    if name == "builtin" and not neural_voice_installed():
        return [warn("voice", f"{text}, but not the neural one", _INSTALL)], speech
    return [ok("voice", text)], speech


async def speak(providers: Providers, name: str, wanted: str = "") -> Speech:
    """Synthesize the sentence.

    Raises:
        SoftswitchError: the provider cannot be opened, or says nothing.
    """
    stream = await providers.tts(name).open(TtsOptions(provider=name, voice=wanted))
    begin = time.monotonic()
    stream.push_text(SENTENCE)
    stream.flush()
    pieces, rate, first_ms = [], 0, 0.0
    async for output in stream:
        if isinstance(output, TtsAudio) and output.pcm:
            first_ms = first_ms or 1000 * (time.monotonic() - begin)
            rate = output.sample_rate
            pieces.append(output.pcm)
    if not pieces:
        raise SoftswitchError("no audio")
    return Speech(b"".join(pieces), rate, first_ms)


async def recognition(providers: Providers, settings: Settings, speech: Speech | None) -> Finding:
    """Recognize the synthesized audio; return the finding."""
    name = settings.speech.asr
    if name in OFF:
        return ok("recognition", "switched off ([speech] asr)")
    if speech is None:
        return warn("recognition", f"{name} was not tested, because there is no audio", "fix the voice first")
    try:
        async with asyncio.timeout(TIMEOUT_S):
            options = AsrOptions(provider=name, sample_rate=speech.sample_rate)
            text, seconds = await listen(await providers.asr(name).open(options), speech)
    except (SoftswitchError, TimeoutError) as error:
        return fail("recognition", f"{name}: {error or 'no answer'}", _INSTALL)
    right = len(set(words(text)) & set(SENTENCE.split()))
    said = f"{name} heard {text!r} {1000 * seconds:.0f} ms after the end"
    if right >= 3:
        return ok("recognition", said)
    return warn("recognition", f"{said}, {SENTENCE!r} was spoken", "try another voice, or a hosted provider")


async def listen(stream: AsrStream, speech: Speech) -> tuple[str, float]:
    """Feed the audio and one second of silence; return the text and the seconds after the audio."""
    size = 2 * int(speech.sample_rate * PIECE_S)
    audio = speech.pcm + bytes(2 * speech.sample_rate)
    for start in range(0, len(audio), size):
        stream.push(audio[start : start + size])
        await asyncio.sleep(PIECE_S / 10)  # ten times as fast as speech; still within its buffers
    begin = time.monotonic()
    stream.finalize()
    try:
        async for output in stream:
            if isinstance(output, AsrFinal) and output.text:
                return output.text, time.monotonic() - begin
    finally:
        stream.close()
    return "", time.monotonic() - begin


def detection(providers: Providers, settings: Settings) -> Finding:
    """Check that voice activity detection is available."""
    name = settings.speech.vad
    try:
        providers.vad(name)
    except (SoftswitchError, ImportError, OSError) as error:
        return fail("speech detection", f"{name}: {error}", _INSTALL)
    return ok("speech detection", f"{name}; available: {', '.join(providers.vads())}")
