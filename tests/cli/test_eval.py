"""`softswitch eval` with the voice of the switch: a good bot, and one that barges in late."""

import json

import pytest

from tests.cli.program import Run
from tests.evals.test_caller import LoopbackBot, serve
from tests.support.switch import SwitchThread

pytestmark = pytest.mark.slow

KEYS = ["alice:alice-secret-key:call", "rooms:rooms-secret-key:rooms"]
SCENARIO = """
noise_db = -60
patience_s = 10
[bot]
url = "{url}"
[[turn]]
say = "Good day."
[[turn]]
say = "Stop, stop that now."
interrupt_after_ms = 500
[limits]
greeting_ms = 5000
response_ms = 8000
barge_in_ms = 1200
"""


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    sections = {"auth": {"api_keys": KEYS}}
    with SwitchThread(tmp_path_factory.mktemp("eval") / "data", sections) as running:
        yield running
        running.check()


@pytest.mark.parametrize(("late_s", "code"), [(0.0, 0), (2.5, 1)], ids=["good", "late"])
async def test_bot_that_barges_in_late_is_found(
    switch: SwitchThread, tmp_path, aiohttp_server, late_s, code, run: Run
) -> None:
    scenario, report = tmp_path / "scenario.toml", tmp_path / "report.json"
    url = await serve(aiohttp_server, LoopbackBot(late_s=late_s, think_s=late_s + 0.5))
    scenario.write_text(SCENARIO.format(url=url))
    place = f"ws://127.0.0.1:{switch.port}/call"
    words = ("eval", scenario, "--url", place, "--report", report)
    found = await run(*words, key="alice-secret-key")
    assert found[0] == code, found
    told = json.loads(found[1])
    assert told == json.loads(report.read_text())
    assert told["passed"] is (code == 0)
    assert [fault.partition(" ")[0] for fault in told["faults"]] == ["barge_in_ms"] * code
    if code:
        assert told["barge_in_ms_max"] > 2000


async def test_scenario_obeys_the_key(switch: SwitchThread, tmp_path, run: Run) -> None:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(SCENARIO.format(url="ws://127.0.0.1:9/"))
    place = f"ws://127.0.0.1:{switch.port}/call"
    for key in ("wrong", "rooms-secret-key"):
        code, out, err = await run("eval", scenario, "--url", place, key=key)
        assert (code, out) == (2, "")
        assert "40" in err
    scenario.write_text("[bot]\n")
    code, _, err = await run("eval", scenario, "--url", place, key="alice-secret-key")
    assert code == 2
    assert "scenario.toml" in err


async def test_switch_is_started_for_a_scenario(tmp_path, aiohttp_server, run: Run) -> None:
    """Without a URL; the speech is that of a switch with the settings of a file."""
    scenario, config = tmp_path / "scenario.toml", tmp_path / "softswitch.toml"
    config.write_text("[limits]\noverload = false\n")
    url = await serve(aiohttp_server, LoopbackBot(mute=True))
    scenario.write_text(SCENARIO.format(url=url).replace("patience_s = 10", "patience_s = 0.5"))
    code, out, err = await run("eval", scenario, "--config", config)
    assert code == 1, err
    assert "the bot did not greet" in json.loads(out)["faults"]
