import subprocess
import sys

import pytest

from softswitch import __version__, cli


def test_help_lists_every_command(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in cli.COMMANDS)


def test_version_is_told(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"softswitch {__version__}\n"


def test_unknown_command_names_the_nearest(capsys):
    assert cli.main(["doktor"]) == 2
    assert "did you mean 'doctor'?" in capsys.readouterr().err


def test_wrong_settings_end_with_one_line_and_code_2(capsys, monkeypatch):
    monkeypatch.setenv("SOFTSWITCH_HTTP_PRT", "1")
    assert cli.main(["token"]) == 2
    assert capsys.readouterr().err == (
        "softswitch: SOFTSWITCH_HTTP_PRT is unknown, did you mean 'SOFTSWITCH_HTTP_PORT'?\n"
    )


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main([name, "--help"])
    assert f"usage: softswitch {name}" in capsys.readouterr().out


def test_help_of_the_module_imports_nothing_heavy():
    code = "import sys; from softswitch.cli import main; main(['--help']); "
    code += "print({'numpy', 'av', 'aiohttp'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")
