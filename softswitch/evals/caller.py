"""The caller of a scenario: speaks, interrupts, and hears what the bot does."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np

from softswitch.client import AsrFinal, Call, TrackEnd, connect
from softswitch.evals.measures import CUT_S, Ear, Report, TurnResult, missing
from softswitch.evals.scenario import Scenario, Turn

RATE, FRAME_S = 16000, 0.02
FRAME = int(RATE * FRAME_S) * 2
SPEECH_TIMEOUT_S = 120.0
"""Longest wait for the voice or the recognition of the switch, seconds; they load their models first."""
POLL_S = 0.01


async def speech_of(url: str, token: str | None, text: str, voice: dict[str, Any]) -> bytes:
    """Return a text as the switch speaks it, PCM16 of `RATE` without the silence around it."""
    option = {"samplerate": RATE, "vad": False, **({"tts": voice} if voice else {})}
    async with connect(url, token=token, option=option) as call:
        heard = bytearray()

        async def listen() -> None:
            async for pcm in call.audio():
                heard.extend(pcm)

        listening = asyncio.create_task(listen())
        await call.say(text, play_id="turn", end_of_stream=True)
        await call.wait(TrackEnd, SPEECH_TIMEOUT_S, play_id="turn")
        await call.hangup()
        await listening
    samples = np.frombuffer(bytes(heard), "<i2")
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 200)
    if not loud.size:
        raise ValueError(f"the switch did not speak {text!r}")
    return samples[loud[0] : loud[-1] + 1].tobytes()


async def words_of(url: str, token: str | None, pcm: bytes) -> str:
    """Return what the switch understands of some audio."""
    option = {"samplerate": RATE, "asr": {"provider": "builtin"}}
    texts: list[str] = []
    async with connect(url, token=token, option=option) as call:
        await call.stream(pcm + bytes(2 * RATE))
        with suppress(TimeoutError):
            texts.append((await call.wait(AsrFinal, SPEECH_TIMEOUT_S)).text)
            while True:
                texts.append((await call.wait(AsrFinal, 3.0)).text)
    return " ".join(texts)


class Caller:
    """One end of a call to a bot: sends a frame every 20 ms, of speech or of noise, and listens."""

    def __init__(self, call: Call, noise_db: float | None) -> None:
        self.ear = Ear()
        self._call = call
        self._speech: deque[bytes] = deque()
        self._random = np.random.default_rng(0)
        self._amplitude = 0.0 if noise_db is None else 32768 * 10 ** (noise_db / 20)

    @asynccontextmanager
    async def on_the_line(self) -> AsyncIterator[None]:
        """Send and listen while the block runs."""
        tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._listen())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self._call.end is not None

    @property
    def now(self) -> float:
        """Return the clock of all moments, seconds."""
        return asyncio.get_running_loop().time()

    async def say(self, pcm: bytes) -> tuple[float, float]:
        """Speak; return the moments of the first and after the last frame."""
        self._speech.extend(pcm[at : at + FRAME].ljust(FRAME, b"\0") for at in range(0, len(pcm), FRAME))
        begin = self.now
        await self.until(lambda: not self._speech, len(pcm) / 2 / RATE + 5.0)
        return begin, self.now

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until something holds; return False if it does not in time, or the call ends."""
        end = self.now + seconds
        while not holds():
            if self.over or self.now > end:
                return False
            await asyncio.sleep(POLL_S)
        return True

    async def _send(self) -> None:
        begin, number = self.now, 0
        while True:
            frame = self._speech.popleft() if self._speech else bytes(FRAME)
            if self._amplitude:
                noise = self._random.normal(0.0, self._amplitude, FRAME // 2)
                mixed = np.frombuffer(frame, "<i2") + noise
                frame = np.clip(mixed, -32768, 32767).astype("<i2").tobytes()
            await self._call.send(frame)
            number += 1
            await asyncio.sleep(begin + number * FRAME_S - self.now)

    async def _listen(self) -> None:
        async for pcm in self._call.audio():
            at = self.now
            for start in range(0, len(pcm), FRAME):
                self.ear.hear(pcm[start : start + FRAME], at)


async def evaluate(scenario: Scenario, url: str, token: str | None = None) -> Report:
    """Play a scenario to its bot and return what came of it.

    Args:
        scenario: The scenario.
        url: ``/call`` of the switch.
        token: Key or token for it.

    Raises:
        ClientError: The switch cannot be reached, or refuses.
        ValueError: The switch cannot speak a turn.
    """
    turns = [(turn, await speech_of(url, token, turn.say, scenario.voice)) for turn in scenario.turn]
    bot = scenario.bot
    option: dict[str, Any] = {"samplerate": RATE, "vad": False, **bot.option}
    if bot.url:
        option["mediaPass"] = {"url": bot.url, "protocol": bot.protocol}
    elif bot.callee.startswith(("agent:", "stream:", "room:")) or bot.callee in ("echo", "tone"):
        option["callee"] = bot.callee
    report = Report()
    replies: list[bytes] = []
    async with connect(url, token=token, option=option) as call:
        caller = Caller(call, scenario.noise_db)
        begin = caller.now
        async with caller.on_the_line():
            if not bot.url and "callee" not in option:  # A telephone: the switch calls it and joins both.
                await call.refer(bot.callee)
            if scenario.greets and await caller.until(
                lambda: bool(caller.ear.utterances), scenario.patience_s
            ):
                report.greeting_ms = round((caller.ear.utterances[0].begin - begin) * 1000)
            for turn, pcm in turns:
                result, reply = await _turn(caller, turn, pcm, scenario.patience_s)
                report.turns.append(result)
                replies.append(reply)
        if call.end is not None:
            report.ended_by = call.end.reason
    for turn, result, reply in zip(scenario.turn, report.turns, replies, strict=True):
        if turn.expect:
            result.heard = await words_of(url, token, reply) if reply else ""
            result.missing = missing(turn.expect, result.heard)
    expected = sum(len(turn.expect) for turn in scenario.turn)
    report.judge(scenario.limits, expected=expected, greets=scenario.greets)
    return report


async def _turn(caller: Caller, turn: Turn, pcm: bytes, patience_s: float) -> tuple[TurnResult, bytes]:
    """Play one turn; return what came of it and the audio of the reply."""
    ear, result = caller.ear, TurnResult(say=turn.say)
    if turn.interrupt_after_ms is None:
        await caller.until(lambda: not ear.speaking(caller.now), patience_s)
        _, spoken = await caller.say(pcm)
    else:
        await caller.until(lambda: ear.speaking(caller.now), patience_s)
        begun = ear.utterances[-1].begin if ear.utterances else caller.now
        await caller.until(lambda: caller.now - begun >= (turn.interrupt_after_ms or 0) / 1000, patience_s)
        saying = asyncio.ensure_future(caller.say(pcm))
        start, was_speaking = caller.now, ear.speaking(caller.now)
        if was_speaking:
            interrupted = ear.utterances[-1]
            await caller.until(lambda: caller.now - interrupted.end > CUT_S, patience_s)
            result.barge_in_ms = max(0, round((interrupted.end - start) * 1000))
        _, spoken = await saying
    if await caller.until(lambda: ear.since(spoken) is not None, patience_s):
        reply = ear.since(spoken)
        assert reply is not None  # noqa: S101  (it was waited for)
        result.response_ms = round((reply.begin - spoken) * 1000)
        if turn.expect:
            await caller.until(lambda: not ear.speaking(caller.now), patience_s)
        return result, bytes(reply.pcm)
    return result, b""
