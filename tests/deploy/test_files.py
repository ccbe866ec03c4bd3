"""What cannot be run here is checked by its own linter, and against the settings it names."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from softswitch.settings import Limits, load
from softswitch.settings.load import SECTIONS
from tests.certificates import make_certificate
from tests.conftest import ROOT, missing, require_tool

DEPLOY = ROOT / "deploy"
FILLED_IN = {
    "API_KEYS": "bot:key-of-the-bot:call",
    "PUBLIC_NAME": "switch.example.org",
    "PUBLIC_IP": "198.51.100.7",
    "TURN_SECRET": "a-long-random-text",
    "CERTIFICATE": "/etc/ssl/private/switch.pem",
}


def run(*words: str | Path, **environ: str) -> str:
    """Run a linter; return what it said, fail the test with it if it complained."""
    done = subprocess.run(
        list(map(str, words)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env=os.environ | environ,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def settings_named_in(text: str) -> set[str]:
    return set(re.findall(r"SOFTSWITCH_(?!CERTIFICATE|CONFIG)[A-Z_]+[A-Z]", text))


def known_settings() -> set[str]:
    return {
        f"SOFTSWITCH_{section}_{key}".upper()
        for section, struct in SECTIONS.items()
        for key in struct.__struct_fields__
    }


@pytest.mark.parametrize(
    "name", sorted(str(path.relative_to(DEPLOY)) for path in DEPLOY.rglob("*") if path.is_file())
)
def test_files_name_only_settings_that_exist(name):
    assert settings_named_in((DEPLOY / name).read_text()) <= known_settings()


def test_dockerfile_pleases_its_linter():
    run(require_tool("hadolint"), DEPLOY / "Dockerfile")


def test_dockerfile_is_slim_and_not_root_and_has_a_health_check():
    text = (DEPLOY / "Dockerfile").read_text()
    last = text[text.rindex("FROM ") :]
    assert last.startswith("FROM python:3.12-slim\n")
    assert re.search(r"(?m)^USER [1-9]\d+$", last)
    assert "HEALTHCHECK" in last
    for source in re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", text):
        assert all((ROOT / name).exists() for name in source.split())


def test_image_without_a_key_refuses_to_start():
    text = (DEPLOY / "Dockerfile").read_text()
    host = re.search(r"SOFTSWITCH_HTTP_HOST=(\S+)", text)
    assert host is not None
    with pytest.raises(Exception, match="api_keys"):
        load(environ={"SOFTSWITCH_HTTP_HOST": host[1]})


def test_compose_file_pleases_its_linter():
    text = run(require_tool("docker-compose"), "-f", DEPLOY / "compose.yaml", "config", **FILLED_IN)
    environ = dict(re.findall(r"(?m)^ +(SOFTSWITCH_\w+): (.+)$", text))
    environ.pop("SOFTSWITCH_CERTIFICATE")
    settings = load(environ={name: value.strip("'\"") for name, value in environ.items()})
    assert settings.auth.keys()[0].scopes == {"call"}
    assert len(settings.ice.turn_urls) == 2


def test_compose_file_demands_what_must_be_filled_in():
    example = (DEPLOY / "environment.example").read_text()
    demanded = set(re.findall(r"\$\{([A-Z_]+):\?", (DEPLOY / "compose.yaml").read_text()))
    assert demanded == set(re.findall(r"(?m)^([A-Z_]+)=", example)) == set(FILLED_IN)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("compose.yaml", r"stop_grace_period: (\d+)s"), ("softswitch.service", r"TimeoutStopSec=(\d+)")],
)
def test_running_calls_get_their_time_to_end(name, pattern):
    found = re.search(pattern, (DEPLOY / name).read_text())
    assert found is not None
    assert int(found[1]) >= Limits().drain_s + 30


def test_proxy_pleases_its_linter(tmp_path):
    certificate, key = make_certificate(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    run(require_tool("haproxy"), "-c", "-f", DEPLOY / "haproxy.cfg", SOFTSWITCH_CERTIFICATE=str(both))


def test_unit_pleases_systemd_and_is_hardened(tmp_path):
    analyze = require_tool("systemd-analyze")
    text = (DEPLOY / "softswitch.service").read_text()
    unit = tmp_path / "softswitch.service"
    # The program need not be installed here for the unit to be checked.
    unit.write_text(text.replace("/opt/softswitch/bin/softswitch", "/bin/true"))
    complaints = [line for line in run(analyze, "verify", unit).splitlines() if unit.name in line]
    assert complaints == []
    said = run(analyze, "security", "--offline=yes", unit)
    level = re.search(r"Overall exposure level for \S+ ([\d.]+)", said)
    if level is None:
        missing("this systemd-analyze cannot look at files offline")
    else:
        assert float(level[1]) < 2.0


def test_unit_waits_for_the_switch_to_say_that_it_is_ready():
    assert "Type=notify" in (DEPLOY / "softswitch.service").read_text()


def test_proxy_lets_no_more_connections_in_than_the_switch_has_descriptors_for() -> None:
    most = int(re.search(r"maxconn (\d+)", (DEPLOY / "haproxy.cfg").read_text())[1])  # type: ignore[index]
    files = int(re.search(r"LimitNOFILE=(\d+)", (DEPLOY / "softswitch.service").read_text())[1])  # type: ignore[index]
    assert 6 * most < files, "a call needs up to six"


def test_lock_has_hashes_and_every_dependency_within_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked: dict[str, list[tuple[str, str]]] = {}
    for block in re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text()):
        if found := re.match(r"([a-z0-9-]+)==(\S+)", block):
            assert "--hash=sha256:" in block, found[1]
            locked.setdefault(found[1], []).append((found[2], block))
    extras = project["optional-dependencies"]
    for text in [*project["dependencies"], *extras["speech"], *extras["uvloop"], *extras["postgres"]]:
        name, bounds = re.fullmatch(r"([A-Za-z0-9-]+)([^;]*)(?:;.*)?", text).groups()  # type: ignore[union-attr]
        versions = locked[name.lower()]
        assert all(SpecifierSet(bounds).contains(version) for version, _ in versions), f"make lock: {name}"
    assert "pyvoip" not in locked, "GPL-3.0 is not a part of [all]"


def test_dashboard_and_alarms_ask_for_metrics_that_exist():
    known = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    board = json.loads((DEPLOY / "grafana" / "softswitch.json").read_text("utf-8"))
    rules = (DEPLOY / "prometheus" / "softswitch.rules.yml").read_text("utf-8")
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    asked = "\n".join(target["expr"] for panel in board["panels"] for target in panel["targets"]) + rules
    names = set(re.findall(r"softswitch_\w+", asked))
    assert {"softswitch_trunk_mos_sum", "softswitch_trunk_jitter_seconds_bucket"} <= names
    for name in names:
        assert f"`{re.sub('_(sum|count|bucket)$', '', name)}`" in known or f"`{name}`" in known, name


def test_alarms_please_promtool():
    run(require_tool("promtool"), "check", "rules", DEPLOY / "prometheus" / "softswitch.rules.yml")
