"""HAProxy with the shipped configuration: a reload ends no standing call, and new ones go on."""

import asyncio
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from softswitch import client
from softswitch.client import State
from tests.certificates import make_certificate
from tests.conftest import ROOT, require_tool
from tests.networks.conftest import SWITCH, Place
from tests.support import sound
from tests.support.secure import secure_session

pytestmark = pytest.mark.client


class Proxy:
    """A running master process of HAProxy."""

    def __init__(self, process: "subprocess.Popen[bytes]", certificate: Path, log: Path) -> None:
        self.process, self.certificate, self.log = process, certificate, log

    def workers(self) -> set[str]:
        """Return the processes that serve connections."""
        return set(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split())

    def reload(self) -> None:
        """Have it read its configuration again, as `systemctl reload haproxy` does."""
        before = self.workers()
        os.kill(self.process.pid, signal.SIGUSR2)
        self._until(lambda: len(self.workers() - before) > 0)

    def until_ready(self) -> None:
        self._until(lambda: b"New worker" in self.log.read_bytes() or bool(self.workers()))

    def _until(self, condition: Any) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)


@pytest.fixture
def proxy(place: Place, tmp_path: Path) -> Iterator[Proxy]:
    program = require_tool("haproxy")
    certificate, key = make_certificate(tmp_path)
    both, log = tmp_path / "both.pem", tmp_path / "haproxy.log"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    text = (ROOT / "deploy" / "haproxy.cfg").read_text()
    for shipped, here in (
        ("127.0.0.1:8080", f"{SWITCH}:{place.switch.port}"),
        ("maxconn 10000", "maxconn 100"),
    ):
        assert text.count(shipped) == 1
        text = text.replace(shipped, here)
    (tmp_path / "haproxy.cfg").write_text(text)
    with place.here.entered(), log.open("wb") as output:
        process = subprocess.Popen(
            [program, "-W", "-f", str(tmp_path / "haproxy.cfg")],
            stdout=output,
            stderr=output,
            env={"SOFTSWITCH_CERTIFICATE": str(both)},
        )
    made = Proxy(process, certificate, log)
    try:
        made.until_ready()
        yield made
    finally:
        process.terminate()
        process.wait(10)


async def hears_itself(call: client.Call) -> bool:
    """Say a tone to the echo, and tell whether it comes back."""
    listening = asyncio.create_task(loud(call))
    try:
        await call.stream(sound.tone(440, 0.5).tobytes())
        return await asyncio.wait_for(listening, 10)
    finally:
        listening.cancel()


async def loud(call: client.Call) -> bool:
    async for data in call.audio():
        if sound.level(sound.pcm(data)) > 1000:
            return True
    return False


async def listening(proxy: Proxy) -> ssl.SSLContext:
    """Wait until the proxy listens; return the context for connections to it."""
    tls = ssl.create_default_context(cafile=str(proxy.certificate))
    tls.check_hostname = False
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection(SWITCH, 443)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                await writer.wait_closed()
                return tls


def test_standing_call_survives_a_reload_and_new_calls_begin(place, proxy):
    async def reload() -> None:
        tls = await listening(proxy)
        url, option = f"wss://{SWITCH}/call", {"callee": "echo"}
        async with (
            secure_session(tls) as session,
            client.connect(url, option=option, session=session, resume_s=20) as standing,
        ):
            assert await hears_itself(standing)
            before = proxy.workers()
            proxy.reload()
            await asyncio.sleep(1)
            assert await hears_itself(standing)
            async with client.connect(url, option=option, session=session) as new:
                assert await hears_itself(new)
            # The old process serves the standing call until it ends.
            assert before < proxy.workers()
            assert standing.state is State.CONNECTED
            states = standing.states()
            assert [await anext(states), await anext(states)] == [State.CONNECTING, State.CONNECTED]
            await states.aclose()
        # aiohttp closes TLS connections behind the end of its session.
        await asyncio.sleep(0.3)

    place.run(reload)
