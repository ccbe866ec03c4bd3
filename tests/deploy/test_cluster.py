"""The files of `deploy/cluster`: Kamailio and HAProxy run with them in front of two real switches."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import ssl
import subprocess
import time

import aiohttp
import pytest

from softswitch.settings import load
from softswitch.sip.events import Answered, Ended, Invited, Rejected
from softswitch.sip.security.digest import Credentials
from tests.certificates import make_certificate
from tests.conftest import ROOT, require_tool
from tests.legs.sip.phone import phone, sdp
from tests.support.ports import free_port
from tests.support.redis import redis_server
from tests.support.secure import secure_session
from tests.support.switch import SwitchProcess

FOLDER = ROOT / "deploy" / "cluster"
FILLED_IN = {
    "API_KEYS": "bot:key-of-the-bot:call",
    "PUBLIC_NAME": "switch.example.org",
    "PUBLIC_IP": "198.51.100.7",
    "TURN_SECRET": "a-long-random-text",
    "CLUSTER_SECRET": "another-long-random-text-of-32-bytes",
    "POSTGRES_PASSWORD": "a-third-random-text",
    "CERTIFICATE": "/etc/ssl/private/switch.pem",
}
SETTINGS = """
[http]
host = "127.0.0.1"
trusted_proxies = ["127.0.0.1"]
[sip]
port = {sip}
domains = ["127.0.0.1"]
[cluster]
bus = "{redis}"
node = "{name}"
address = "127.0.0.1:{address}"
secret = "a secret of the machines of one switch"
ttl_s = 1.5
[speech]
preload = false
[limits]
overload = false
[[user]]
name = "alice"
password = "secret-a"
[[user]]
name = "bob"
password = "secret-b"
"""


def test_the_compose_file_sets_what_the_switch_knows():
    done = subprocess.run(
        [require_tool("docker-compose"), "-f", FOLDER / "compose.yaml", "config"],
        capture_output=True,
        text=True,
        env=os.environ | FILLED_IN,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in ("one", "two"):
        block = re.search(rf"(?m)^  {name}:\n((?:    .*\n)+)", done.stdout)
        assert block is not None
        given = dict(re.findall(r"(?m)^ +(SOFTSWITCH_\w+): (.+)$", block[1]))
        settings = load(environ={key: value.strip("'\"") for key, value in given.items()})
        assert settings.cluster.node == name
        assert settings.cluster.bus
        assert settings.server.workers == "auto"


def test_the_example_has_what_the_compose_file_demands():
    demanded = set(re.findall(r"\$\{([A-Z_]+):\?", (FOLDER / "compose.yaml").read_text()))
    example = (FOLDER / "environment.example").read_text()
    assert demanded == set(re.findall(r"(?m)^([A-Z_]+)=", example)) == set(FILLED_IN)


def test_the_dashboard_asks_for_metrics_of_the_switch():
    board = json.loads((FOLDER / "grafana-dashboard.json").read_text())
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in board["panels"]:
        expression = panel["targets"][0]["expr"]
        assert "softswitch_" in expression or "process_" in expression


def test_the_chart_pleases_helm():
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("helm is in no package of Debian")
    subprocess.run([helm, "lint", FOLDER / "chart"], check=True)
    done = subprocess.run(
        [helm, "template", "pbx", FOLDER / "chart", "--set", "autoscaling.enabled=true"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "PodDisruptionBudget" in done.stdout
    assert "hostNetwork: true" in done.stdout


@contextlib.contextmanager
def program(log, *words, **environ):
    """Run a server until the end of the block."""
    with log.open("wb") as out:
        running = subprocess.Popen(list(map(str, words)), stdout=out, stderr=out, env=os.environ | environ)
    try:
        yield running
        assert running.poll() is None, log.read_text(errors="replace")
    finally:
        running.terminate()
        try:
            running.wait(5)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Run Redis, two switches, Kamailio and HAProxy; yield the ports of SIP and HTTPS, and the switches."""
    folder = tmp_path_factory.mktemp("cluster")
    sip, https = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(redis_server(folder / "redis"))
        switches, ports = [], []
        for name in ("one", "two"):
            ports.append(free_port())
            text = SETTINGS.format(sip=ports[-1], redis=redis.url, name=name, address=free_port())
            switches.append(stack.enter_context(SwitchProcess(folder / name, settings_text=text)))
        switch_list = folder / "switches.list"
        switch_list.write_text("".join(f"1 sip:127.0.0.1:{port} 0 0\n" for port in ports))
        stack.enter_context(
            program(
                folder / "kamailio.log",
                require_tool("kamailio"), "-f", FOLDER / "kamailio.cfg", "-Y", folder, "-m", "64", "-M", "8",
                "-DD", "-E", "-A", f"LISTEN=udp:127.0.0.1:{sip}", "-A", f'SWITCHES="{switch_list}"',
            )
        )  # fmt: skip
        certificate, key = make_certificate(folder)
        both = folder / "both.pem"
        both.write_bytes(certificate.read_bytes() + key.read_bytes())
        stack.enter_context(
            program(
                folder / "haproxy.log",
                require_tool("haproxy"), "-db", "-f", FOLDER / "haproxy.cfg",
                HTTPS_BIND=f"127.0.0.1:{https}", SOFTSWITCH_CERTIFICATE=str(both),
                SWITCH_1=f"127.0.0.1:{switches[0].port}", SWITCH_2=f"127.0.0.1:{switches[1].port}",
            )
        )  # fmt: skip
        time.sleep(2.5)  # the proxies look at the switches every one or two seconds
        yield sip, https, switches


@pytest.mark.client
@pytest.mark.timeout(120)
async def test_phones_behind_kamailio_reach_each_other_through_both_switches(cluster):
    port, _, switches = cluster
    async with phone() as bob, phone() as alice:
        assert await bob.register(port, "bob", "secret-b") == 200
        assert await alice.register(port, "alice", "secret-a") == 200
        await asyncio.sleep(0.5)  # until each switch has heard of the registrations of the other
        sessions = []
        for number in range(1, 9):
            sessions.append(
                alice.invite(
                    port, "bob", credentials=Credentials("alice", "secret-a"),
                    from_=f"<sip:alice@127.0.0.1:{port}>",
                )
            )  # fmt: skip
            invited = await bob.until(Invited, number)
            bob.do("answer", invited.session, sdp())
            await alice.until(Answered, number)
        counts = []
        for switch in switches:
            async with aiohttp.ClientSession() as session, session.get(switch.url("/metrics")) as answer:
                rows = [
                    row
                    for row in (await answer.text()).splitlines()
                    if row.startswith("softswitch_calls_active")
                ]
            counts.append(sum(float(row.rpartition(" ")[2]) for row in rows if "sip" in row))
        assert min(counts) > 0, "both switches carry calls"
        for call in sessions:
            alice.do("bye", call)
        await bob.until(Ended, 8)
        assert not [one for one in alice.happenings if isinstance(one, Rejected)]


@pytest.mark.client
@pytest.mark.timeout(120)
async def test_clients_behind_haproxy_reach_calls_of_both_switches(cluster):
    _, port, _ = cluster
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    base = f"https://127.0.0.1:{port}"
    async with secure_session(trust, each_anew=True) as session:
        sockets = []
        for number in range(4):
            socket = await session.ws_connect(f"{base}/call?id=call-{number}")
            await socket.send_json({"command": "invite", "option": {"vad": {"type": "off"}}})
            while (await socket.receive(timeout=10)).type is not aiohttp.WSMsgType.TEXT:
                pass
            sockets.append(socket)
        async with asyncio.timeout(60):
            while True:
                async with session.get(f"{base}/call/lists") as answer:
                    if len((await answer.json())["calls"]) == 4:
                        break
                await asyncio.sleep(0.1)
        for number in range(4):
            for _ in range(2):
                async with session.post(
                    f"{base}/command/call-{number}", json={"command": "history", "speaker": "a", "text": "b"}
                ) as answer:
                    assert answer.status == 200, await answer.text()
        async with session.get(f"{base}/healthz") as answer:
            assert answer.status == 404
        for socket in sockets:
            await socket.close()
