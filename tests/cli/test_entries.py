"""The commands for entries, against a running switch as a process with a settings file."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from softswitch.cli.entries import read_field
from tests.support.switch import SwitchProcess

FILE = """
[auth]
api_keys = ["root:key-of-root:admin"]
[sip]
port = 0
[[user]]
name = "filed"
password = "p"
"""


def run(switch: SwitchProcess, *words: str, given: str = "", token: str = "key-of-root") -> tuple[int, str]:
    """Run a command; return its code and what it wrote."""
    done = subprocess.run(
        [sys.executable, "-m", "softswitch", words[0], "--url", switch.url(""), *words[1:]],
        input=given,
        env={**os.environ, "SOFTSWITCH_KEY": token},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_field_is_json_or_text() -> None:
    assert read_field("register=true") == ("register", True)
    assert read_field('servers=["a"]') == ("servers", ["a"])
    assert read_field("caller_id=+49") == ("caller_id", "+49")
    with pytest.raises(Exception, match="FIELD=VALUE"):
        read_field("x")


@pytest.mark.client
def test_commands_change_a_running_switch_and_sighup_reads_its_file_again(tmp_path: Path) -> None:
    with SwitchProcess(tmp_path / "data", settings_text=FILE) as switch:
        code, text = run(switch, "user", "add", "anna", "password=-", given="secret\n")
        assert code == 0, text
        assert json.loads(text)["source"] == "database"
        assert "secret" not in text.replace("secrets", "")
        assert json.loads(run(switch, "user", "list")[1])["users"][0]["name"] == "filed"
        assert run(switch, "user", "set", "anna", "caller_id=+49")[0] == 0
        code, text = run(switch, "user", "delete", "filed")
        assert code == 2
        assert "settings file" in text
        code, text = run(switch, "user", "list", token="wrong")
        assert code == 2
        assert text.startswith("softswitch: 401")
        assert "[[user]]" in run(switch, "admin", "export")[1]
        file = tmp_path / "data.toml"
        changed = FILE.replace('"filed"', '"other"') + "[media]\nprebuffer_ms = 90\n"
        file.write_text(changed, "utf-8")
        code, text = run(switch, "admin", "reload")
        assert json.loads(text) == {"applied": ["[[user]]"], "restart": ["[media] prebuffer_ms"]}
        file.write_text(changed.replace("other", "third"), "utf-8")
        switch.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 20
        while "third" not in (text := run(switch, "user", "list")[1]):
            assert time.monotonic() < end, text
        file.write_text("[nonsense]\n", "utf-8")
        code, text = run(switch, "admin", "reload")
        assert code == 2
        assert "nonsense" in text
        assert "third" in run(switch, "user", "list")[1]
        log = json.loads(run(switch, "admin", "audit")[1])["changes"]
        assert [one["action"] for one in log] == ["reload", "reload", "change", "create"]
        assert not switch.tracebacks()
