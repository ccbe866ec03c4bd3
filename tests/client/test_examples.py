import asyncio
import os
import re
import sys
import wave

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.support.switch import SwitchThread

pytestmark = pytest.mark.slow

SENTENCE = "please call me back tomorrow morning and bring the documents"


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    with SwitchThread(tmp_path_factory.mktemp("examples") / "data") as running:
        yield running


@pytest.fixture
async def recording(switch, tmp_path):
    """Return a file with the sentence, spoken by the switch itself, and a second of quiet around it."""
    spoken = await switch.spoken(SENTENCE)
    path = tmp_path / "sentence.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.pad(spoken, 8000).astype("<i2").tobytes())
    return path


async def run(example, *arguments):
    """Return what an example prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "examples" / example),
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    async with asyncio.timeout(100):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


def word_error_rate(said, heard):
    """Return the word edits between two sentences per word of the first."""
    wanted, got = said.split(), heard.lower().split()
    costs = list(range(len(got) + 1))
    for row, word in enumerate(wanted, 1):
        last, costs[0] = costs[0], row
        for column, other in enumerate(got, 1):
            best = min(last + (word != other), costs[column] + 1, costs[column - 1] + 1)
            last, costs[column] = costs[column], best
    return costs[-1] / len(wanted)


async def test_call_does_what_a_person_does(switch, recording):
    printed = await run("call.py", switch.socket_url("/call"), recording)
    found = re.fullmatch(
        r"greeted for (\d+) ms\nunderstood: (.*)\ninterrupted after (\d+) ms\nhung up: (.*)\n", printed
    )
    assert found is not None, printed
    greeted, understood, interrupted, reason = found.groups()
    assert int(greeted) > 1000
    assert word_error_rate(SENTENCE, understood) <= 0.2
    assert 300 < int(interrupted) < 5000
    assert reason == "user_requested"


async def test_agent_repeats_what_it_understood_and_obeys_the_hash_key(switch, recording):
    printed = await run("agent.py", switch.socket_url("/call"), recording)
    lines = printed.splitlines()
    assert lines[0].startswith("person: ")
    assert word_error_rate(SENTENCE, lines[0].removeprefix("person: ")) <= 0.2
    assert "key: #" in lines
    assert lines[-1] == "over: autohangup"


def test_call_is_about_twenty_lines():
    text = (ROOT / "examples" / "call.py").read_text(encoding="utf-8")
    body = text[text.index("async def main") : text.index("if __name__")]
    assert len([line for line in body.splitlines() if line.strip()]) <= 20
