"""coturn with turnserver.conf as shipped: it relays between public addresses, and nowhere else."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import make_certificate
from tests.conftest import ROOT, require_tool
from tests.networks import turn_world as world

pytestmark = pytest.mark.client

ALONE = ["unshare", "--user", "--map-root-user", "--net", "--"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run the two networks once; return what came of each attempt."""
    for tool in ("turnserver", "unshare", "nsenter", "ip"):
        require_tool(tool)
    if subprocess.run([*ALONE, "ip", "link", "set", "lo", "up"], check=False).returncode:
        pytest.skip("network namespaces are not allowed here")
    folder = tmp_path_factory.mktemp("turn")
    make_certificate(folder)
    run = subprocess.run(
        [*ALONE, sys.executable, "-m", "tests.networks.turn_world", str(folder)],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    logs = "".join(log.read_text() for log in Path(folder).glob("turn.[lo]*"))
    assert run.returncode == 0, f"{run.stderr}\n{logs[-3000:]}"
    return json.loads(run.stdout)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_public_peer_is_reached_over_every_transport_with_the_credentials_of_iceservers(told, transport):
    assert told["relays"][transport] == ["echo of hello", True, world.TURN, True]


def test_public_peer_of_ipv6_is_reached(told):
    assert told["relays6"] == ["echo of hello", True, world.TURN6, True]


@pytest.mark.parametrize("host", [*world.PRIVATE, *world.NOWHERE])
def test_what_is_not_public_is_refused_and_hears_nothing(told, host):
    assert told["refuses"][host] == [403, 0]


@pytest.mark.parametrize("host", [*world.PRIVATE6, *world.NOWHERE6])
def test_what_is_not_public_is_refused_in_ipv6_too(told, host):
    code, heard = told["refuses6"][host]
    # 443: another family than the relay's, which an IPv4-mapped peer is.
    assert code in (403, 443)
    assert heard == 0


def test_another_secret_is_refused(told):
    assert told["stranger"] == 401


def test_each_call_has_a_quota_of_its_own_and_one_call_cannot_take_all(told):
    assert told["calls"] == [0] * 40
    assert told["one_call"].count(0) == 12
    assert set(told["one_call"]) == {0, 486}
