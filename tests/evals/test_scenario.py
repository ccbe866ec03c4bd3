import pytest

from softswitch.errors import SettingsError
from softswitch.evals.scenario import load_scenario
from tests.conftest import ROOT

GOOD = "[bot]\ncallee = 'echo'\n[[turn]]\nsay = 'x'\n"


def test_the_scenario_of_the_guide_is_valid(tmp_path):
    guide = (ROOT / "docs/guides/testing-bots.md").read_text(encoding="utf-8")
    path = tmp_path / "sales.toml"
    path.write_text(guide.split("```toml\n")[1].split("```")[0])
    scenario = load_scenario(path)
    assert scenario.noise_db == -50
    assert scenario.turn[1].interrupt_after_ms == 700


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "bot"),
        ("[bot]\ncallee = 'echo'\n", "turn"),
        (GOOD.replace("callee = 'echo'", ""), "callee or url"),
        (GOOD.replace("callee = 'echo'", "url = 'http://x'"), "bot.url"),
        (GOOD + "shout = 1", "shout"),
    ],
)
def test_errors_name_file_and_field(tmp_path, text, named):
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=named):
        load_scenario(path)
