"""Workers of pocketsphinx: each hears one utterance after another as it comes.

Run as ``python -m softswitch.speech.builtin.asr_worker FD``; see
:mod:`softswitch.speech.builtin.worker` for how they are forked.
"""

import json
import select
import socket
import sys
from typing import Any

import pocketsphinx

from softswitch.speech.builtin import grammar
from softswitch.speech.builtin import worker_wire as wire
from softswitch.speech.builtin.worker import greet, run

PARTIAL_SAMPLES = wire.RATE // 10
"""Between two partial results."""

WIDE = "35.80,1.55,5.14,15.05,-2.75,-0.92,3.06,-4.72,-3.11,-3.28,3.66,1.35,1.17"
NARROW = "31.69,18.99,-17.36,38.00,-18.81,6.49,4.10,-11.14,4.33,-9.69,7.39,0.33,1.38"
"""Mean cepstra of speech at about -27 dBFS, from the full band and through a telephone's (measured here).

A stream's first utterance starts from these and later ones from what was heard before. With the model's own
start, a third more words are wrong on 16 kHz and three times as many on 8 kHz.
"""

NEW_WORD = 0.01
"""How likely a grammar's next word is before it is heard.

With the model's own 0.65, breath and noise become digits: of 104 digits through a telephone's band 24 % were
wrong (most of them too many), with this 7 %; in the full band 4 and 0 %. Free speech needs the model's own.
"""

_NAME = "said"


class Recogniser:
    """Two decoders, for free speech and for grammars; one utterance at a time."""

    def __init__(self) -> None:
        """Load the models."""
        self._free = pocketsphinx.Decoder(loglevel="FATAL", cmninit=WIDE)
        self._strict = pocketsphinx.Decoder(loglevel="FATAL", cmninit=WIDE, lm=None, wip=NEW_WORD)
        self._decoder = self._free
        self._grammar: str | list[str] = ""
        self._phrases: dict[str, str] = {}
        self._unknown: list[str] = []
        self._in_utterance = False
        self._since_partial = 0
        self._said = ""

    def about(self) -> dict[str, Any]:
        """Return what the switch is told once a worker is there: nothing."""
        return {}

    def begin(self, option: dict[str, Any]) -> None:
        """Begin an utterance.

        Args:
            option: ``grammar`` (name or phrases), ``means`` (of the utterance before, or empty), ``narrow``.
        """
        if self._in_utterance:
            self.end()
        self._activate(option["grammar"])
        self._decoder.set_cmn(option["means"] or (NARROW if option["narrow"] else WIDE))
        self._decoder.start_utt()
        self._in_utterance = True
        self._since_partial = 0
        self._said = ""

    def _activate(self, wanted: str | list[str]) -> None:
        """Switch to a grammar, or to free speech."""
        if wanted == self._grammar:
            return
        self._grammar, self._phrases, self._unknown = wanted, {}, []
        text = ""
        if isinstance(wanted, list) or wanted not in grammar.FREE:
            text, self._phrases, self._unknown = grammar.build(wanted, self._known)
        self._decoder = self._strict if text else self._free
        if text:
            self._strict.add_jsgf_string(_NAME, text)
            self._strict.activate_search(_NAME)

    def _known(self, word: str) -> bool:
        return self._strict.lookup_word(word) is not None

    def audio(self, pcm: bytes, *, behind: bool) -> dict[str, Any] | None:
        """Take audio; return a partial result where there is a new one, but none while more audio waits."""
        if not self._in_utterance:
            return None
        self._decoder.process_raw(pcm, False, False)
        self._since_partial += len(pcm) // 2
        if behind or self._since_partial < PARTIAL_SAMPLES:
            return None
        self._since_partial = 0
        result = self._result()
        if not result["text"] or result["text"] == self._said:
            return None
        self._said = result["text"]
        return result

    def end(self) -> dict[str, Any]:
        """End the utterance; return the result and what to begin the next one with."""
        if not self._in_utterance:
            return {"text": "", "means": ""}
        self._in_utterance = False
        self._decoder.end_utt()
        return self._result() | {"means": self._decoder.get_cmn(True), "unknown": self._unknown}

    def _result(self) -> dict[str, Any]:
        hypothesis = self._decoder.hyp()
        text = hypothesis.hypstr if hypothesis is not None else ""
        spoken = [part for part in self._decoder.seg() or () if part.word[0] not in "<[+"] if text else []
        if not spoken:
            return {"text": ""}
        return {
            "text": self._phrases.get(text, text),
            "start_ms": spoken[0].start_frame * 10,
            "end_ms": (spoken[-1].end_frame + 1) * 10,
            "confidence": _mean_posterior([part.prob for part in spoken]),
        }


def _mean_posterior(probabilities: list[float]) -> float:
    """Return the geometric mean of the words' posteriors, 0 to 1."""
    product = 1.0
    for probability in probabilities:
        product *= min(max(probability, 1e-6), 1.0)
    return float(round(product ** (1 / len(probabilities)), 3))


def serve(line: socket.socket, recogniser: Recogniser) -> None:
    """Answer one switch until it closes the line."""
    greet(line, recogniser)
    stream = line.makefile("rb")
    while header := stream.read(wire.HEADER.size):
        kind, size = wire.unpack_header(header)
        body = stream.read(size)
        if kind == wire.BEGIN:
            recogniser.begin(json.loads(body))
        elif kind == wire.AUDIO:
            partial = recogniser.audio(body, behind=bool(select.select([line], [], [], 0)[0]))
            if partial is not None:
                line.sendall(wire.pack_json(wire.DELTA, partial))
        elif kind == wire.END:
            line.sendall(wire.pack_json(wire.FINAL, recogniser.end()))


if __name__ == "__main__":
    run(int(sys.argv[1]), Recogniser, serve)
