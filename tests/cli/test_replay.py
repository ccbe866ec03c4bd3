"""`softswitch replay` with dumps of a running switch."""

import json

import pytest

from tests.cli.program import Run
from tests.support.switch import SwitchThread

KEYS = ["alice:alice-secret-key:call", "bob:bob-secret-key:call", "rooms:rooms-secret-key:rooms"]


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    sections = {"auth": {"api_keys": KEYS}}
    with SwitchThread(
        tmp_path_factory.mktemp("replay") / "data", sections, {"token": "alice-secret-key"}
    ) as running:
        yield running
        running.check()


def place(switch: SwitchThread) -> str:
    return f"ws://127.0.0.1:{switch.port}/call"


async def test_dump_is_played_again_and_a_difference_is_found(switch: SwitchThread, run: Run) -> None:
    async with switch.client(id="first") as client:
        await client.invite(callee="echo", vad=False)
        await client.send("mark", name="here")
        await client.wait("mark")
        await client.hang_up()
    await switch.dumped("first", '"event": "hangup"')
    dump = switch.data / "dumps" / "first.jsonl"
    code, out, _ = await run("replay", dump, "--url", place(switch), key="bob-secret-key")
    assert code == 0, out
    outcome = json.loads(out)
    assert outcome["same"] is True
    assert "mark" in outcome["got"]
    lines = [line for line in dump.read_text().splitlines() if '"mark"' not in line or '"event"' in line]
    dump.write_text("\n".join(lines))
    code, out, _ = await run("replay", dump, "--url", place(switch), key="bob-secret-key")
    assert (code, json.loads(out)["same"]) == (1, False)


async def test_key_without_the_scope_plays_nothing_and_a_wrong_file_is_named(
    switch: SwitchThread, tmp_path, run: Run
) -> None:
    dump = tmp_path / "x.jsonl"
    dump.write_text('{"at": 1, "command": {"command": "invite", "option": {"callee": "echo"}}}\n')
    for key in ("rooms-secret-key", "wrong"):
        code, out, err = await run("replay", dump, "--url", place(switch), key=key)
        assert (code, out) == (2, "")
        assert "40" in err
    dump.write_text("{")
    code, _, err = await run("replay", dump, "--url", place(switch), key="alice-secret-key")
    assert code == 2
    assert "x.jsonl: line 1" in err


async def test_replay_has_no_power_over_calls_of_another_account(
    switch: SwitchThread, tmp_path, run: Run
) -> None:
    """A dump of alice's that joins two of her calls joins nothing when bob plays it."""
    async with switch.client(id="hers") as client:
        await client.invite(callee="echo", vad=False)
        commands = [
            {"command": "invite", "option": {"callee": "echo", "vad": False}},
            {"command": "bridge", "targetSessionId": "hers"},
            {"command": "hangup"},
        ]
        dump = tmp_path / "x.jsonl"
        lines = [{"at": 1 + 700 * number, "command": one} for number, one in enumerate(commands)]
        dump.write_text("\n".join(json.dumps(line) for line in lines))
        code, out, _ = await run("replay", dump, "--url", place(switch), key="bob-secret-key")
        got = json.loads(out)["got"]
        assert code == 1
        assert "error" in got
        assert not any("bridge" in event.lower() for event in got), got
        assert client.count("bridged") == 0
        _, out, _ = await run("replay", dump, "--url", place(switch), key="alice-secret-key")
        assert "error" not in json.loads(out)["got"]
