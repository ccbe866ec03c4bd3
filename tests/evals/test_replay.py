"""Dumps of a running switch, played against it again."""

import json
import wave

import pytest

from softswitch.errors import SettingsError
from softswitch.evals.replay import read_audio, read_dump, replay, replayable
from tests.support.switch import SwitchThread


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    with SwitchThread(tmp_path_factory.mktemp("replay") / "data") as running:
        yield running


@pytest.fixture
async def dump(switch, request):
    """Return the dump of a call with keys that are pressed at an echo."""
    name = f"replayed-{abs(hash(request.node.name))}"
    async with switch.client(id=name) as client:
        await client.invite(callee="echo", vad=False)
        await client.send("mark", name="here")
        await client.wait("mark")
        await client.hang_up()
    await switch.dumped(name, '"event": "hangup"')
    return switch.data / "dumps" / f"{name}.jsonl"


async def test_a_replay_brings_the_same_events(switch, dump):
    outcome = await replay(read_dump(dump), switch.socket_url("/call"))
    assert outcome.same, outcome
    assert "mark" in outcome.got
    assert outcome.skipped == []


async def test_a_difference_is_found(switch, dump):
    lines = [line for line in dump.read_text().splitlines() if '"mark"' not in line or '"event"' in line]
    dump.write_text("\n".join(lines))
    outcome = await replay(read_dump(dump), switch.socket_url("/call"))
    assert not outcome.same
    assert "mark" in outcome.expected
    assert "mark" not in outcome.got


async def test_audio_of_the_caller_is_played_from_the_answer_on(switch, dump, tmp_path):
    path = tmp_path / "caller.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\1\0\2\0" * 800)
    assert read_audio(path) == (8000, b"\1\0" * 800)
    outcome = await replay(read_dump(dump), switch.socket_url("/call"), audio=read_audio(path))
    assert outcome.same, outcome


def test_what_was_masked_is_not_replayed():
    assert replayable("<9000 characters>", None) == "its text was not kept"
    hidden = {"command": "invite", "option": {"asr": {"secretKey": "***"}}}
    assert replayable(hidden, None) == "invite: option.asr.secretKey was masked in the dump"
    offered = {"command": "invite", "option": {"offer": "v=0 ***", "callee": "echo"}, "requestId": "1"}
    assert replayable(offered, None) == {"command": "invite", "option": {"callee": "echo"}}


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"at": 1, "event": {}}), '{"at": "x"}'])
def test_what_is_no_dump_is_refused(tmp_path, text):
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"x\.jsonl"):
        read_dump(path)
