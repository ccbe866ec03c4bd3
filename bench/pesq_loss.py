"""PESQ wide-band of speech that crossed a bad network, through the real receive path.

Two RTP planes talk: one packs spoken sentences, a pretended network loses packets by a trace (singly, or in
bursts of three on average) or delays each by up to 100 ms, so that they overtake each other; the other plane
unpacks them with its jitter buffer, its concealment and its resamplers; reports travel back, so that the
encoder arms itself as it would in a call. What is judged is the fall against the same path without loss.

    python bench/pesq_loss.py [--json FILE] [--codec opus,PCMU,G722] [--seeds 4]
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import softswitch  # noqa: F401, I001  (before numpy: it sets the number of BLAS threads)
import numpy as np
from numpy.typing import NDArray
from pesq import pesq

from softswitch.audio.pcm import BUS_RATE, FRAME, Bytes, Indices, Pcm, from_bytes
from softswitch.audio.resample import StreamResampler
from softswitch.media.messages import PayloadFormat, RtpParameters
from softswitch.media.rtp.plane import RtpPlane
from softswitch.speech.builtin.tts import BuiltinTts
from softswitch.speech.interface import TtsAudio, TtsOptions
from softswitch.speech.phrases import PhraseCache

TRACES = Path(__file__).resolve().parents[1] / "tests" / "data" / "net" / "traces.json"
SENTENCES = (
    "Good morning, thank you for calling. How can I help you today?",
    "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background.",
    "Please press one to speak with sales, or stay on the line for the next free agent.",
    "Your appointment is on Thursday the fourteenth of March at half past nine.",
)
VOICES = ("slt", "rms", "awb")
"""Voices of flite; without them the default voice speaks everything."""

NETWORKS = ("1 % lost", "5 % lost", "10 % lost", "5 % lost in bursts of three", "100 ms of jitter")
FALLS = {"opus": (0.15, 0.75, 1.05), "PCMU": (0.2, 0.95, 1.35)}
"""The most that may be lost at 1, 5 and 10 % loss."""
JITTER_TICKS = 5
"""Longest delay of a packet on the network with jitter: 100 ms."""
_MANY = 3000

FORMATS = {
    "opus": PayloadFormat("opus", 111, 48000, "useinbandfec=1"),
    "PCMU": PayloadFormat("PCMU", 0, 8000),
    "PCMA": PayloadFormat("PCMA", 8, 8000),
    "G722": PayloadFormat("G722", 9, 8000),
}
_PESQ_RATE = 16000
_TICK = 0.02
_LEAD, _TAIL = 40, 40
"""Ticks of silence around a sentence: the buffer settles, the filters run out."""


@dataclass(frozen=True, slots=True)
class Score:
    """One line of the table."""

    codec: str
    network: str
    pesq: float
    fall: float
    limit: float | None
    """The most that `fall` may be; None where nothing is asked."""


async def speak(texts: Sequence[str]) -> list[Pcm]:
    """Return sentences spoken by the built-in voices, at the bus's rate."""
    tts = BuiltinTts(PhraseCache(0))
    try:
        return [await _speak(tts, text, VOICES[index % len(VOICES)]) for index, text in enumerate(texts)]
    finally:
        await tts.close()


async def _speak(tts: BuiltinTts, text: str, voice: str) -> Pcm:
    stream = await tts.open(TtsOptions(voice=voice))
    stream.push_text(text)
    stream.flush()
    pieces = [piece async for piece in stream if isinstance(piece, TtsAudio)]
    samples = from_bytes(b"".join(piece.pcm for piece in pieces))
    return resampled(samples, pieces[0].sample_rate, BUS_RATE)


def resampled(pcm: Pcm, rate_in: int, rate_out: int) -> Pcm:
    """Return a whole recording at another rate."""
    resampler = StreamResampler(rate_in, rate_out)
    return np.concatenate((resampler.process(pcm), resampler.flush()))


def network(kind: str, seed: int) -> NDArray[np.intp]:
    """Return the delay of each packet in ticks, -1 where it is lost; other places or chances by the seed."""
    if kind == "clean":
        return np.zeros(_MANY, np.intp)
    if kind.endswith("jitter"):
        return np.random.default_rng(seed).integers(0, JITTER_TICKS + 1, _MANY)
    percent, _, rest = kind.partition(" % lost")
    name = f"ge_3burst_{percent}" if rest else f"bernoulli_{percent}"
    trace = np.frombuffer(json.loads(TRACES.read_text())[name]["lost"].encode(), np.uint8)
    return np.where(np.roll(trace == ord("1"), -701 * seed), -1, 0)


def carry(
    speech: Pcm, name: str, delays: NDArray[np.intp], warmup_s: float = 12.0
) -> tuple[Pcm, dict[str, int]]:
    """Send speech at the bus's rate through both planes; return what comes out, and the receiver's counters.

    Args:
        speech: ``(samples,)`` at 24 kHz.
        name: of the codec.
        delays: of the packets, as :func:`network` returns them, from the first of the sentence on; they also
            rule the warm-up before, in which only reports matter.
        warmup_s: seconds of the same call before, so that the remote party has reported its losses.
    """
    form = FORMATS[name]
    near, far = RtpPlane(1), RtpPlane(1)
    now = 1000.0
    near.open(
        0, 1, RtpParameters((form,), form, ssrc=11, sequence=65000, timestamp=4294900000, cname="near"), now
    )
    far.open(0, 2, RtpParameters((form,), form, ssrc=22, sequence=100, timestamp=200, cname="far"), now)
    slot = np.zeros(1, np.intp)
    warmup = round(warmup_s / _TICK)
    frames = -(-len(speech) // FRAME)
    line = np.zeros((frames + _LEAD + _TAIL) * FRAME, np.float32)
    line[_LEAD * FRAME : _LEAD * FRAME + len(speech)] = speech
    before = np.resize(speech, warmup * FRAME)
    sent = np.concatenate((before, line)).reshape(-1, 1, FRAME)
    heard = np.zeros_like(sent)
    back = np.zeros((1, FRAME), np.float32)
    on_the_way: dict[int, list[tuple[Bytes, Indices, Indices]]] = {}
    for tick, frame in enumerate(sent):
        delay = int(delays[(tick - warmup) % len(delays)])
        packets = near.push(frame, slot, now)
        if delay >= 0:
            rows, lengths, slots = packets
            # The next push writes into the same rows.
            on_the_way.setdefault(tick + delay, []).append((rows.copy(), lengths.copy(), slots))
        for packets in on_the_way.pop(tick, ()):
            _deliver(packets, far, now)
        _deliver(far.push(back, slot, now), near, now)
        _deliver(near.control(now), far, now)
        _deliver(far.control(now), near, now)
        far.pull(slot, heard[tick], now)
        now += _TICK
    return heard[warmup:].reshape(-1), far.counters


def _deliver(packets: tuple[Bytes, Indices, Indices], to: RtpPlane, now: float) -> None:
    rows, lengths, slots = packets
    if len(slots) == 0:
        return
    padded = np.zeros((len(rows), 1536), np.uint8)
    padded[:, : rows.shape[1]] = rows
    to.receive(padded, lengths, slots, now)


def judge(speech: Pcm, heard: Pcm) -> float:
    """Return the wide-band PESQ of what was heard against what was said, both at 24 kHz."""
    reference = np.zeros_like(heard)
    reference[_LEAD * FRAME : _LEAD * FRAME + len(speech)] = speech
    pair = [resampled(pcm, BUS_RATE, _PESQ_RATE) / 32768.0 for pcm in (reference, heard)]
    return float(pesq(_PESQ_RATE, pair[0], pair[1], "wb"))


def measure(codecs: Sequence[str], seeds: int) -> Iterator[Score]:
    """Yield the mean score of each codec and network over all sentences and seeds."""
    spoken = asyncio.run(speak(SENTENCES))
    for codec in codecs:
        unspoilt = network("clean", 0)
        clean = float(np.mean([judge(speech, carry(speech, codec, unspoilt)[0]) for speech in spoken]))
        yield Score(codec, "clean", clean, 0.0, None)
        for index, kind in enumerate(NETWORKS):
            scores = [
                judge(speech, carry(speech, codec, network(kind, seed))[0])
                for speech, seed in product(spoken, range(seeds))
            ]
            limits = FALLS.get(codec, ())
            mean = float(np.mean(scores))
            yield Score(codec, kind, mean, clean - mean, limits[index] if index < len(limits) else None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 1 where a fall is more than it may be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--codec", default="opus,PCMU,G722", help="comma-separated")
    parser.add_argument("--seeds", type=int, default=4, help="places in the trace for each sentence")
    options = parser.parse_args(arguments)
    scores = []
    sys.stdout.write("| codec | network | PESQ-wb | fall | allowed |\n|---|---|---|---|---|\n")
    for score in measure(options.codec.split(","), options.seeds):
        scores.append(score)
        allowed = "" if score.limit is None else f"{score.limit:.2f}"
        sys.stdout.write(
            f"| {score.codec} | {score.network} | {score.pesq:.2f} | {score.fall:.2f} | {allowed} |\n"
        )
        sys.stdout.flush()
    if options.json:
        table = [{field: getattr(score, field) for field in Score.__slots__} for score in scores]
        options.json.write_text(json.dumps({"pesq_wb_at_loss": table}, indent=1) + "\n")
    return int(any(score.limit is not None and score.fall > score.limit for score in scores))


if __name__ == "__main__":
    sys.exit(main())
