"""The provider of the guide: found by its entry point, opened like any other, and heard in a call."""

import sys
import tomllib
from pathlib import Path

import pytest

from softswitch.speech.interface import TtsAudio, TtsDone, TtsOptions
from softswitch.speech.provider import Providers
from tests.conftest import ROOT

EXAMPLE = ROOT / "examples" / "provider"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make the example look installed: its module and the entry points of its project file."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["project"]
    info = tmp_path / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n", "utf-8")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield
    sys.modules.pop("beeper", None)


async def test_provider_is_found_by_its_entry_point_and_beeps_once_a_word(installed):
    providers = Providers()
    assert "beeper" in providers.names("tts")
    opened = await providers.open_tts(["beeper"], TtsOptions(voice="loud"))
    assert opened.provider == "beeper"
    assert opened.stream is not None
    assert opened.warnings == ["voice 'loud' is unknown"]
    for piece in ("one two th", "ree"):
        opened.stream.push_text(piece)
    opened.stream.flush()
    output = [item async for item in opened.stream]
    assert [item.text for item in output if isinstance(item, TtsAudio)] == ["one", "two", "three"]
    assert isinstance(output[-1], TtsDone)
    assert output[-1].duration_ms == sum(
        len(item.pcm) * 1000 // (2 * item.sample_rate) for item in output if isinstance(item, TtsAudio)
    )


async def test_cancelled_stream_ends(installed):
    opened = await Providers().open_tts(["beeper"], TtsOptions())
    assert opened.stream is not None
    opened.stream.push_text("one two three ")
    opened.stream.cancel()
    assert [type(item) for item in [each async for each in opened.stream]] == [TtsDone]
