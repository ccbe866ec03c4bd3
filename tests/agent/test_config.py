import pytest

from softswitch.agent.config import load_agent
from softswitch.errors import SettingsError

GOOD = """
prompt = "p"
[model]
url = "http://127.0.0.1/v1"
model = "m"
"""


def test_a_file_needs_a_prompt_and_a_model(tmp_path):
    path = tmp_path / "agent.toml"
    path.write_text(GOOD)
    assert load_agent(path).model.model == "m"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "prompt"),
        ("prompt = ", "agent.toml"),
        (GOOD.replace("http:", "file:"), "model.url"),
        (GOOD + "temperature = 1", "temperature"),
        ('fallback = "sales"' + GOOD, "fallback"),
        (GOOD + "[[tool]]\nname = 'transfer'\nurl = 'http://x'", "transfer"),
        (GOOD + "[[tool]]\nname = 'a b'\nurl = 'http://x'", "tool"),
        (GOOD + "[transfer.sales]\ncallee = ''", "callee"),
    ],
)
def test_errors_name_file_and_field(tmp_path, text, named):
    path = tmp_path / "agent.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=named) as raised:
        load_agent(path)
    assert "agent.toml" in str(raised.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"none\.toml"):
        load_agent(tmp_path / "none.toml")
