"""The built-in speech: word errors, phrases, how soon texts, voices and turns come, machines, memory.

python bench/speech.py [--only errors,phrases,finals,voice,turns,machines,memory] [--sentences 100] [--first]

With `--first` the processes measured go before all others of a shared machine, which needs root.
"""

import argparse
import asyncio
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import softswitch  # noqa: F401, I001  (before numpy: it sets the number of BLAS threads)
import numpy as np

from bench import _speech_sounds as sounds
from bench._speech_sentences import SENTENCES
from softswitch.app.serve import SWITCH_INTERVAL_S
from softswitch.call.turns import BETWEEN, LONGER, UNSURE, patience
from softswitch.call.vocabulary.commands import EouOption
from softswitch.media.engine.engine import Engine
from softswitch.media.messages import AddFeedPort
from softswitch.speech.answering_machine import Answer, AnsweringMachine
from softswitch.speech.builtin import neural_ears, neural_voice
from softswitch.speech.builtin.asr import BuiltinAsr
from softswitch.speech.builtin.items import Items, words
from softswitch.speech.builtin.tts import BuiltinTts
from softswitch.speech.builtin.worker import NICENESS
from softswitch.speech.endpointer import Endpointer
from softswitch.speech.interface import (
    AsrFinal,
    AsrOptions,
    AsrTurn,
    Grammar,
    SpeechError,
    TtsAudio,
    TtsOptions,
)
from softswitch.speech.phrases import PhraseCache

LINES: dict[str, tuple[Callable[[sounds.Sound, int], sounds.Sound], float]] = {
    "PCM, 16 kHz": (sounds.wideband, 0.03),
    "Opus": (sounds.opus, 0.04),
    "PCMU": (sounds.pcmu, 0.06),
    "PCMU, noise at 10 dB": (sounds.noisy, 0.15),
    "Opus, 5 % lost": (sounds.lossy_opus, 0.15),
    "PCMU, 5 % lost": (sounds.lossy_pcmu, 0.15),
}
"""Ways of a sound, and the most word errors."""
SPELLINGS = {"neighbor": "neighbour", "someone": "some one", "todays": "today's", "ok": "okay"}
"""The same words, written in two ways."""


def plain(text: str) -> list[str]:
    """Return the words of a text, written in one way."""
    text = re.sub(r"(?<=[a-z])-(?=[a-z])", "", text.lower())
    found = words(text)
    return " ".join(SPELLINGS.get(word, word) for word in found).split()


def row(what: str, figure: str, goal: str) -> None:
    """Print a line of a table."""
    print(f"| {what} | {figure} | {goal} |", flush=True)


def table(title: str) -> None:
    """Begin a table."""
    print(f"\n| {title} | measured | goal |\n|---|---|---|", flush=True)


def percentiles(values: Sequence[float]) -> str:
    """Return the middle of some times and what 95 % of them are below, in ms."""
    return f"{np.percentile(values, 50):.0f} / {np.percentile(values, 95):.0f} ms"


TICKING = 20
"""Ports of an engine that ticks while voices are made."""
FIRST = -19
"""Niceness of the processes measured, with `--first`."""
first = False


def go_first(*pools: object) -> None:
    """Let this process and those of pools go before others, where that is wanted.

    Linux groups processes by session; a pool has a session of its own.
    """
    if first:
        Path("/proc/self/autogroup").write_text(str(FIRST))
        for pool in pools:
            pid = pool._server.pid  # type: ignore[attr-defined]  # noqa: SLF001
            Path(f"/proc/{pid}/autogroup").write_text(str(FIRST + NICENESS))


# --- recognition ------------------------------------------------------------------


def measure_errors(spoken: list[tuple[str, str, sounds.Sound]], ears: neural_ears.NeuralEars) -> None:
    """Print the word errors of sentences over the lines, and of the built-in voice at 8 kHz beside people."""
    table("word errors")
    rates: dict[str, dict[str, float]] = {}
    for line, (way, goal) in LINES.items():
        wrong: dict[str, list[int]] = {}
        for index, (voice, text, sound) in enumerate(spoken):
            heard = way(sounds.around(sound), index)
            result = ears.work({}, heard.astype("<i2").tobytes(), lambda _: None)
            said = plain(text)
            wrong.setdefault(voice, []).extend([sounds.errors(said, plain(result["text"])), len(said)])
        of = {voice: sum(pairs[::2]) / sum(pairs[1::2]) for voice, pairs in wrong.items()}
        rates[line] = of
        people = [pairs for voice, pairs in wrong.items() if voice != "espeak"]
        rate = sum(sum(pairs[::2]) for pairs in people) / sum(sum(pairs[1::2]) for pairs in people)
        by_voice = ", ".join(f"{voice} {100 * figure:.1f}" for voice, figure in of.items())
        row(line, f"{100 * rate:.1f} % ({by_voice})", f"{100 * goal:.0f} %")
    others = [rate for voice, rate in rates["PCM, 16 kHz"].items() if voice in {"slt", "rms", "awb"}]
    own = rates["PCMU"].get("heart")
    if own is not None and others:
        least = 100 * sum(others) / len(others)
        row(
            "the built-in voice at 8 kHz, heard by the same recogniser",
            f"{100 * own:.1f} %",
            f"{least:.1f} % of the others in wideband + 2",
        )


def measure_phrases(people: list[sounds.Voice], ears: neural_ears.NeuralEars) -> None:
    """Print how many phrases are told rightly, and how many others are taken for one."""
    table("lists of phrases, through PCMU")
    spoken = [
        (text, sounds.pcmu(sounds.around(voice.speak(text))).astype("<i2").tobytes())
        for voice in people
        for text in (*sounds.PHRASES, *sounds.OTHERS)
    ]
    for count in (20, 3):
        items = Items(Grammar("phrases", sounds.PHRASES[:count]))
        right, false = [], []
        for text, sound in spoken:
            verdict = items.judge(ears.work({"phrases": items.phrases}, sound, lambda _: None))
            if text in sounds.PHRASES[:count]:
                right.append(verdict.match == text)
            else:
                false.append(not verdict.rejected)
        figure = (
            f"{100 * np.mean(right):.1f} % of {len(right)} / {100 * np.mean(false):.1f} % of {len(false)}"
        )
        row(f"{count} phrases: right / falsely accepted", figure, "98 % / 2 %")


async def one_final(asr: BuiltinAsr, sound: sounds.Sound, wait_s: float) -> float:
    """Speak in real time; return how long after the end of the speech its text came, ms."""
    await asyncio.sleep(wait_s)
    stream = await asr.open(AsrOptions())
    loop = asyncio.get_running_loop()
    data = sounds.around(sound, 0.3, 2.5).astype("<i2").tobytes()
    begin = loop.time()
    ended = begin + 0.3 + len(sound) / sounds.RATE

    async def speak() -> None:
        for number, at in enumerate(range(0, len(data), 640)):
            await asyncio.sleep(max(begin + 0.02 * (number + 1) - loop.time(), 0))
            stream.push(data[at : at + 640])
            if begin + 0.02 * number < ended + 0.36 <= begin + 0.02 * (number + 1):
                stream.finalize()  # As a call does: silence is told after 300 ms, and 60 ms more are given.

    speaking = asyncio.ensure_future(speak())
    try:
        async with asyncio.timeout(30):
            async for output in stream:
                if isinstance(output, AsrFinal):
                    return 1000 * (loop.time() - ended)
                if isinstance(output, SpeechError):
                    print("   ", output.error)
    except TimeoutError:
        pass
    finally:
        speaking.cancel()
        stream.close()
    return float("inf")


async def measure_finals(spoken: list[tuple[str, str, sounds.Sound]]) -> None:
    """Print how soon after the end of speech the final text comes."""
    table("final text after the end of speech, p50 / p95")
    asr = BuiltinAsr(2)
    await asr.load()
    go_first(asr._ears)  # noqa: SLF001
    rng = np.random.default_rng(1)
    one = [await one_final(asr, sound, 0.0) for _, _, sound in spoken[:20]]
    row("one call", percentiles(one), "500 / 900 ms")
    eight: list[float] = []
    for round_ in range(4):
        part = spoken[round_ * 8 : round_ * 8 + 8]
        eight += await asyncio.gather(
            *(one_final(asr, sound, float(rng.random() * 2)) for _, _, sound in part)
        )
    row("eight calls", percentiles(eight), "800 / 1500 ms")
    print("\n", {name: count for name, count in asr.counters.items() if count})
    await asr.close()


# --- voices -----------------------------------------------------------------------


async def first_audio(tts: BuiltinTts, text: str) -> float:
    """Return how long a sentence's first sound takes, ms."""
    stream = await tts.open(TtsOptions())
    begin = time.monotonic()
    stream.push_text(text)
    stream.flush()
    first = float("inf")
    async for output in stream:
        if isinstance(output, TtsAudio) and output.pcm:
            first = min(first, 1000 * (time.monotonic() - begin))
    return first


async def measure_voice() -> None:
    """Print how soon voices begin, alone and at once."""
    table("first sound of the built-in voice, p50 / p95")
    tts = BuiltinTts(PhraseCache(0))
    await tts.load()
    go_first(tts._neural)  # noqa: SLF001
    for text in SENTENCES[90:]:
        await first_audio(tts, text)
    row("one after another", percentiles([await first_audio(tts, t) for t in SENTENCES[:40]]), "60 / 120 ms")
    engine = Engine()
    for port in range(TICKING):
        engine.post(AddFeedPort(port + 1, 1))
    engine.start(lambda _: None)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    await asyncio.sleep(1)
    still = dict(engine.counters)
    await asyncio.sleep(4)
    before = dict(engine.counters)
    for count, goal in ((8, "150 ms"), (60, "p95 600 ms")):
        rounds = [
            await asyncio.gather(
                *(first_audio(tts, f"{text[:-1]} {number}{text[-1]}") for text in SENTENCES[:count])
            )
            for number in range(3)
        ]
        best = min(rounds, key=lambda times: float(np.percentile(times, 95)))
        row(f"{count} at once, different texts", percentiles(best), goal)
    names = "late_ticks", "ticks"
    late = " of ".join(str(engine.counters[name] - before[name]) for name in names)
    alone = " of ".join(str(before[name] - still[name]) for name in names)
    what = f"late ticks of an engine with {TICKING} ports meanwhile, and without voices"
    row(what, f"{late}, {alone}", "none")
    engine.stop()
    same = await asyncio.gather(*(first_audio(tts, "The very same text for all.") for _ in range(60)))
    row("60 at once, the same text", percentiles(same), "")
    await tts.close()


# --- turns ------------------------------------------------------------------------


def measure_turns(people: list[sounds.Voice], ears: neural_ears.NeuralEars) -> None:
    """Print how often a pause of 700 ms in a sentence is taken for its end, and how often an end is sure."""
    table("ends of turns, by sound and text, through PCMU")
    ends: dict[str, list[bool]] = {"a whole sentence": [], "a half, spoken as one": [], "cut anywhere": []}
    for index, text in enumerate(SENTENCES[:60]):
        voice = people[index % len(people)]
        whole = voice.speak(text)
        kinds = (whole, voice.speak(f"{sounds.halves(text)[0]},"), whole[: sounds.gap(whole)])
        for kind, sound in zip(ends, kinds, strict=True):
            line = sounds.pcmu(sounds.around(sound, 0.3, 0.2)).astype("<i2").tobytes()
            told = ears.work({"turn": True}, line, lambda _: None)
            sure = told["turn"] >= EouOption().threshold and patience(told["text"].rstrip(".")) < LONGER
            ends[kind].append(sure)
    whole_, half, cut = (100 * float(np.mean(sure)) for sure in ends.values())
    row("ends that end the turn after 200 ms (others after 750 or 1500)", f"{whole_:.0f} %", "half")
    row("pauses of 700 ms after half of a sentence, taken for its end", f"{half:.1f} %", "5 %")
    row("the same, cut out of the whole without any melody of going on", f"{cut:.1f} %", "")


async def one_end(asr: BuiltinAsr, sound: sounds.Sound) -> tuple[float, float] | None:
    """Speak in real time; return when the turn was judged after the end of speech, and when it ended, ms."""
    stream = await asr.open(AsrOptions())
    loop = asyncio.get_running_loop()
    begin = loop.time()
    ended = begin + 0.3 + len(sound) / sounds.RATE
    data = sounds.around(sound, 0.3, 1.0).astype("<i2").tobytes()

    async def speak() -> None:
        for number, at in enumerate(range(0, len(data), 640)):
            await asyncio.sleep(max(begin + 0.02 * (number + 1) - loop.time(), 0))
            stream.push(data[at : at + 640])
            if begin + 0.02 * number < ended + 0.36 <= begin + 0.02 * (number + 1):
                stream.finalize()  # As in `one_final`.

    speaking = asyncio.ensure_future(speak())
    judged = told = probability = None
    text = ""
    try:
        async with asyncio.timeout(len(data) / 2 / sounds.RATE + 2.0):
            async for output in stream:
                if loop.time() <= ended:
                    continue
                if isinstance(output, AsrTurn) and judged is None:
                    judged, probability = 1000 * (loop.time() - ended), output.probability
                elif isinstance(output, AsrFinal):
                    told, text = 1000 * (loop.time() - ended), output.text
                    break
    except TimeoutError:
        pass
    finally:
        speaking.cancel()
        stream.close()
    if judged is None or told is None or probability is None:
        return None
    return judged, max(judged, told, silence_ms(probability, text))


def silence_ms(probability: float, text: str) -> float:
    """Return how much silence ends a turn by default; see :class:`softswitch.call.turns.Turns`."""
    option = EouOption()
    if probability < UNSURE or patience(text.rstrip(".")) >= LONGER:
        return option.most_ms
    return option.least_ms if probability >= option.threshold else option.silence_ms * BETWEEN


async def measure_delays(spoken: list[tuple[str, str, sounds.Sound]]) -> None:
    """Print how soon after the end of speech the turn is judged, and when it ends with its text."""
    asr = BuiltinAsr(2)
    await asr.load()
    go_first(asr._ears)  # noqa: SLF001
    ends = [end for _, _, sound in spoken[:40] if (end := await one_end(asr, sound)) is not None]
    if ends:
        judged, ended = zip(*ends, strict=True)
        row("turn judged after the end of speech, p50 / p95", percentiles(judged), "350 ms")
        row("`eou` with its text after the end of speech, p50 / p95", percentiles(ended), "")
    await asr.close()


# --- answering machines -----------------------------------------------------------


def answer(sound: sounds.Sound, ears: neural_ears.NeuralEars) -> list[Answer]:
    """Return what is told of a call; texts come as from a stream, 0.4 s after what they are of."""
    machine, cutter = AnsweringMachine(), Endpointer(800, 20.0)
    told: list[Answer] = []
    line = bytearray()
    due: list[tuple[int, str]] = []
    heard = 0
    for tick, begin in enumerate(range(0, len(sound) - 319, 320)):
        frame = sound[begin : begin + 320]
        piece = cutter.push(frame)
        if piece is not None and machine.result is None:
            line += piece.astype("<i2").tobytes()
            if cutter.quiet_ms == 200 or (not cutter.quiet_ms and len(line) - heard >= 32000):
                heard = len(line)
                due.append((tick + 20, ears.work({}, bytes(line), lambda _: None)["text"]))
        while due and due[0][0] <= tick:
            told += machine.heard(0, due.pop(0)[1])
        told += machine.push(frame)
    return told


def measure_machines(people: list[sounds.Voice], ears: neural_ears.NeuralEars) -> None:
    """Print how many greetings are told rightly and in time, and how many beeps."""
    table("who answers, through PCMU")
    rng = np.random.default_rng(7)
    right: dict[str, list[bool]] = {"people": [], "machines": [], "beeps": []}
    for index, text in enumerate((*sounds.PEOPLE, *sounds.MACHINES)):
        machine = index >= len(sounds.PEOPLE)
        speech = people[index % len(people)].speak(text)
        before_s = float(rng.uniform(0.2, 1.5))
        parts = [np.zeros(int(before_s * sounds.RATE), np.float32), speech]
        ended_s = 0.0
        if machine and index % 5 < 3:
            seconds, hz = float(rng.uniform(0.2, 1.0)), float(rng.choice([440, 850, 1000, 1400]))
            at = np.arange(int(seconds * sounds.RATE)) / sounds.RATE
            gap = np.zeros(int(rng.uniform(0.3, 1.0) * sounds.RATE), np.float32)
            parts += [gap, (4000 * np.sin(2 * np.pi * hz * at)).astype(np.float32)]
            ended_s = sum(map(len, parts)) / sounds.RATE
        parts.append(np.zeros(4 * sounds.RATE, np.float32))
        told = answer(sounds.pcmu(sounds.around(np.concatenate(parts), 0.0, 0.0)), ears)
        first = told[0] if told else None
        in_time = first is not None and first.speech_s is not None and first.at_s - first.speech_s <= 3.5
        good = in_time and first is not None and first.result == ("machine" if machine else "human")
        right["machines" if machine else "people"].append(good)
        if not good:
            print(f"    {text!r}: {first}")
        if ended_s:
            beeps = [answer.at_s - ended_s for answer in told if answer.result == "beep"]
            right["beeps"].append(bool(beeps) and -0.05 <= beeps[0] <= 0.3)
    total = [good for goods in right.values() for good in goods]
    row(f"{len(total)} greetings and beeps, right in time", f"{100 * np.mean(total):.1f} %", "95 %")
    for name, goods in right.items():
        row(name, f"{sum(goods)} of {len(goods)}", "")


# --- memory -----------------------------------------------------------------------


async def measure_memory() -> None:
    """Print what the processes of speech take, shared pages counted once."""
    table("memory of the processes of speech, loaded and used")
    tts, asr = BuiltinTts(PhraseCache(0)), BuiltinAsr(2)
    await tts.load()
    await asr.load()
    await asyncio.gather(*(first_audio(tts, text) for text in SENTENCES[:4]))
    tone = (np.sin(np.arange(32000) * 0.1) * 3000).astype("<i2").tobytes()
    await asyncio.gather(
        *(asr._ears.result({}, tone, rank=0, cost=1, patience_s=9) for _ in range(4))  # noqa: SLF001
    )
    for name, pools in (("voices", (tts._neural, tts._library)), ("recognition", (asr._ears,))):  # noqa: SLF001
        row(name, f"{sum(_memory_mb(pool) for pool in pools):.0f} MB", "")
    row("both", f"{sum(_memory_mb(p) for p in (tts._neural, tts._library, asr._ears)):.0f} MB", "700 MB")  # noqa: SLF001
    await tts.close()
    await asr.close()


def _memory_mb(pool: object) -> float:
    server = pool._server.pid  # type: ignore[attr-defined]  # noqa: SLF001
    pids = [server, *map(int, Path(f"/proc/{server}/task/{server}/children").read_text().split())]
    found = [
        re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        for pid in pids
    ]
    return sum(int(match[1]) for match in found if match) / 1024


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="errors,phrases,finals,voice,turns,machines,memory")
    parser.add_argument("--sentences", type=int, default=100)
    parser.add_argument("--first", action="store_true", help="go before all other processes")
    arguments = parser.parse_args()
    global first  # noqa: PLW0603  (a program's option)
    first = arguments.first
    only = set(arguments.only.split(","))
    spoken: list[tuple[str, str, sounds.Sound]] = []
    if only & {"errors", "phrases", "finals", "turns", "machines"}:
        people = sounds.voices(neural_voice.NeuralVoice())
        for index, text in enumerate(SENTENCES[: arguments.sentences]):
            voice = people[index % len(people)]
            spoken.append((voice.name, text, voice.speak(text)))
    if only & {"errors", "phrases", "turns", "machines"}:
        ears = neural_ears.NeuralEars()
        if "errors" in only:
            measure_errors(spoken, ears)
        if "phrases" in only:
            measure_phrases(people, ears)
        if "machines" in only:
            measure_machines(people, ears)
        if "turns" in only:
            measure_turns([voice for voice in people if voice.name != "espeak"], ears)
            asyncio.run(measure_delays(spoken))
        del ears
    if "finals" in only:
        asyncio.run(measure_finals([entry for entry in spoken if entry[0] != "espeak"]))
    if "voice" in only:
        asyncio.run(measure_voice())
    if "memory" in only:
        asyncio.run(measure_memory())


if __name__ == "__main__":
    main()
