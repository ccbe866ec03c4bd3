"""The worker's own code, in this process."""

import json
import os
import socket
import threading

import numpy as np
import pytest

from softswitch.audio.pcm import from_bytes, to_bytes
from softswitch.speech.builtin import flite
from softswitch.speech.builtin import worker_wire as wire
from softswitch.speech.builtin.voice_engine import Utterance
from tests.speech.needs import keep, need_flite, need_module


@pytest.fixture(scope="module")
def worker():
    need_module("pocketsphinx")
    from softswitch.speech.builtin import asr_worker  # noqa: PLC0415  (it needs the recogniser)

    return asr_worker


@pytest.fixture(scope="module")
def recogniser(worker):
    return worker.Recogniser()


@pytest.fixture(scope="module")
def spoken():
    need_flite()
    pieces: list[bytes] = []
    flite.engine().speak(Utterance("yes please", "rms"), lambda pcm, _: keep(pieces, pcm))
    return to_bytes(np.pad(from_bytes(b"".join(pieces)), (1600, 3200)))


def option(grammar="", means="", narrow=False):
    return {"grammar": grammar, "means": means, "narrow": narrow}


def test_utterance_brings_text_times_and_means(recogniser, spoken):
    recogniser.begin(option())
    recogniser.audio(spoken, behind=False)
    result = recogniser.end()
    assert result["text"] == "yes please"
    assert 0 < result["start_ms"] < result["end_ms"] <= len(spoken) / 32
    assert 0 < result["confidence"] <= 1
    assert result["means"].count(",") == 12
    recogniser.begin(option(means=result["means"]))
    recogniser.audio(spoken, behind=False)
    assert recogniser.end()["text"] == "yes please"


def test_partials_are_spaced_new_and_not_told_while_behind(recogniser, spoken):
    recogniser.begin(option())
    assert recogniser.audio(spoken, behind=True) is None
    partial = recogniser.audio(bytes(2), behind=False)
    assert partial["text"]
    assert recogniser.audio(bytes(3200), behind=False) is None  # Nothing new.
    assert recogniser.audio(bytes(3000), behind=False) is None  # Too soon.
    recogniser.end()


def test_grammars_are_switched_from_utterance_to_utterance(recogniser, spoken):
    for grammar, text in (
        ("yes/no", "yes please"),
        ("", "yes please"),
        (["Yes, PLEASE!", "go away"], "Yes, PLEASE!"),
    ):
        recogniser.begin(option(grammar))
        recogniser.audio(spoken, behind=False)
        assert recogniser.end()["text"] == text


def test_grammar_with_no_known_word_falls_back_to_free_speech(recogniser, spoken):
    recogniser.begin(option(["zorglub"]))
    recogniser.audio(spoken, behind=False)
    result = recogniser.end()
    assert (result["text"], result["unknown"]) == ("yes please", ["zorglub"])


def test_silence_is_no_text(recogniser):
    recogniser.begin(option())
    recogniser.audio(bytes(32000), behind=False)
    assert recogniser.end()["text"] == ""


def test_out_of_turn_calls_do_no_harm(recogniser):
    assert recogniser.audio(bytes(3200), behind=False) is None
    assert recogniser.end() == {"text": "", "means": ""}
    recogniser.begin(option())
    recogniser.begin(option())
    recogniser.end()


def read(stream):
    kind, size = wire.unpack_header(stream.read(wire.HEADER.size))
    return kind, json.loads(stream.read(size))


def test_line_is_served_until_it_is_closed(worker, recogniser, spoken):
    local, remote = socket.socketpair()
    with remote:
        thread = threading.Thread(target=worker.serve, args=(remote, recogniser))
        thread.start()
        with local, local.makefile("rb") as stream:
            assert read(stream) == (wire.READY, {"pid": os.getpid()})
            local.sendall(wire.pack_json(wire.BEGIN, option()))
            local.sendall(wire.pack(wire.AUDIO, spoken))
            local.sendall(wire.pack(wire.END))
            while (message := read(stream))[0] == wire.DELTA:
                assert message[1]["text"]
            assert message[0] == wire.FINAL
            assert message[1]["text"] == "yes please"
        thread.join(20)
        assert not thread.is_alive()
