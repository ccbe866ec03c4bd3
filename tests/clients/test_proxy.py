"""HAProxy with the project's own configuration in front of a real switch, over TLS."""

import re
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from tests.certificates import make_certificate
from tests.conftest import ROOT, require_tool
from tests.support.ports import free_port
from tests.support.secure import secure_session
from tests.support.switch import SwitchProcess

pytestmark = pytest.mark.client

KEY = "key-of-the-test"


class Front:
    """The proxy, and how to reach it."""

    def __init__(self, https: int, http: int, tls: ssl.SSLContext) -> None:
        self.https = f"https://localhost:{https}"
        self.http = f"http://localhost:{http}"
        self.tls = tls


def until_it_listens(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        else:
            return
    pytest.fail(log.read_text())


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Run a switch that wants keys, and the proxy of deploy/ before it, on ports of their own."""
    haproxy = require_tool("haproxy")
    folder = tmp_path_factory.mktemp("proxy")
    certificate, key = make_certificate(folder)
    both, log = folder / "both.pem", folder / "haproxy.log"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    https, http = free_port(), free_port()
    environment = {"SOFTSWITCH_AUTH_API_KEYS": KEY, "SOFTSWITCH_HTTP_TRUSTED_PROXIES": "127.0.0.1"}
    with SwitchProcess(folder / "data", environment) as switch:
        text = (ROOT / "deploy" / "haproxy.cfg").read_text()
        for local, remote in (
            ("bind :443 ssl", f"bind 127.0.0.1:{https} ssl"),
            ("bind :80\n", f"bind 127.0.0.1:{http}\n"),
            ("127.0.0.1:8080", f"127.0.0.1:{switch.port}"),
            ("maxconn 10000", "maxconn 100"),
        ):
            assert text.count(local) == 1
            text = text.replace(local, remote)
        (folder / "haproxy.cfg").write_text(text)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [haproxy, "-db", "-f", str(folder / "haproxy.cfg")],
                stdout=output,
                stderr=output,
                env={"SOFTSWITCH_CERTIFICATE": str(both)},
            )
        try:
            until_it_listens(https, process, log)
            yield Front(https, http, ssl.create_default_context(cafile=str(certificate)))
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture
async def session(front: Front) -> AsyncIterator[aiohttp.ClientSession]:
    async with secure_session(front.tls) as session:
        yield session


async def test_call_goes_through_the_front_and_is_answered(front, session):
    headers = {"Authorization": f"Bearer {KEY}", "Origin": front.https}
    async with session.ws_connect(f"{front.https}/call", headers=headers) as ws:
        await ws.send_json({"command": "invite", "option": {"callee": "echo"}})
        answer = await ws.receive_json(timeout=20)
        assert answer["event"] == "answer"
        await ws.send_json({"command": "hangup"})


async def test_page_comes_with_strict_transport_security(front, session):
    async with session.get(front.https) as response:
        assert response.status == 200
        assert "max-age" in response.headers["Strict-Transport-Security"]
        assert "softswitch" in (await response.text()).lower()


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/%68ealthz", "/%6detrics"])
async def test_figures_are_not_for_the_world(front, session, path):
    async with session.get(
        URL(front.https + path, encoded=True), headers={"Authorization": f"Bearer {KEY}"}
    ) as response:
        assert response.status == 404


def test_tunnel_outlives_the_longest_ping():
    text = (ROOT / "deploy" / "haproxy.cfg").read_text()
    tunnel = re.search(r"(?m)^\s*timeout tunnel (\d+)s", text)
    source = (ROOT / "softswitch" / "web" / "call" / "handlers.py").read_text()
    longest = re.search(r"max\(ping, 1\.0\), ([0-9.]+)\)", source)
    assert tunnel is not None
    assert longest is not None
    assert int(tunnel[1]) > float(longest[1])


async def test_host_that_is_not_listed_is_refused(front, session):
    async with session.get(f"{front.https}/call/lists", headers={"Host": "evil.example"}) as response:
        assert response.status == 421


async def test_plain_http_is_sent_to_https(front, session):
    async with session.get(f"{front.http}/call/lists", allow_redirects=False) as response:
        assert response.status == 308
        assert response.headers["Location"].startswith("https://")


async def test_calls_need_the_key_although_the_proxy_is_local(front, session):
    async with session.get(f"{front.https}/call/lists") as response:
        assert response.status == 401
