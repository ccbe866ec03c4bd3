"""A real coturn on loopback: the relay candidate of the switch, and media through it."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from softswitch.call.vocabulary.reports import LegAnswered
from softswitch.legs.webrtc.aiortc_private import IceConnection
from softswitch.legs.webrtc.ice import ice_servers
from softswitch.media.messages import ConnectSecure
from softswitch.sdp import parse
from softswitch.settings import Ice
from tests.conftest import require_tool
from tests.legs.webrtc.rtc import bench
from tests.legs.webrtc.test_endpoints import received, rtp
from tests.sdp import offers
from tests.support.ports import free_port
from tests.support.waiting import until

pytestmark = [pytest.mark.client, pytest.mark.usefixtures("loopback_client")]

SECRET = "authored-for-tests"


class Coturn(NamedTuple):
    """A running server."""

    port: int
    process: asyncio.subprocess.Process


@pytest.fixture
async def coturn(tmp_path: Path) -> AsyncIterator[Coturn]:
    """Run coturn with the REST credentials that `/iceservers` hands out."""
    program = require_tool("turnserver")
    port = free_port()
    settings = {
        "listening-ip": "127.0.0.1",
        "relay-ip": "127.0.0.1",
        "listening-port": str(port),
        "min-port": "49160",
        "max-port": "49400",
        "realm": "softswitch.test",
        "static-auth-secret": SECRET,
        "userdb": str(tmp_path / "turndb"),
        "pidfile": str(tmp_path / "turnserver.pid"),
        "log-file": "stdout",
    }
    flags = ["use-auth-secret", "no-tls", "no-dtls", "no-cli", "allow-loopback-peers", "simple-log"]
    lines = [f"{key}={value}" for key, value in settings.items()] + flags
    (tmp_path / "turnserver.conf").write_text("\n".join(lines) + "\n")
    process = await asyncio.create_subprocess_exec(
        program,
        "-c",
        str(tmp_path / "turnserver.conf"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await answers_stun(port)
        yield Coturn(port, process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def answers_stun(port: int) -> None:
    """Wait until the server listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.setblocking(False)
        plain.connect(("127.0.0.1", port))
        for _ in range(600):
            try:
                plain.send(b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12))
                await asyncio.sleep(0.05)
                plain.recv(2048)
            except (BlockingIOError, ConnectionRefusedError):
                await asyncio.sleep(0.05)
            else:
                return
    pytest.fail("coturn does not answer")


def settings_for(port: int, secret: str = SECRET, transport: str = "udp") -> Ice:
    return Ice(
        host_addresses=("127.0.0.1",),
        stun=(f"stun:127.0.0.1:{port}",),
        turn_urls=(f"turn:127.0.0.1:{port}?transport={transport}",),
        turn_secret=secret,
    )


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_answer_has_a_relay_candidate(coturn: Coturn, transport: str) -> None:
    ice = settings_for(coturn.port, transport=transport)
    assert ice_servers(ice, now=time.time())[1].username.endswith(":softswitch")
    async with bench(ice, gather_s=5.0) as place:
        leg = place.leg(offers.CHROME)
        leg.answer()
        answer = await place.report(LegAnswered)
        candidates = list(parse(answer.sdp).media[0].all("candidate"))
        assert any("typ relay" in value for value in candidates)
        assert any("typ host" in value for value in candidates)


async def test_wrong_credentials_give_no_relay_candidate_and_are_logged(
    coturn: Coturn, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench(settings_for(coturn.port, "not the secret"), gather_s=5.0) as place:
        leg = place.leg(offers.CHROME)
        leg.answer()
        answer = await place.report(LegAnswered)
        assert "typ relay" not in answer.sdp
        assert "typ host" in answer.sdp
        assert "the relay candidate is missing" in caplog.text


async def test_media_of_a_relayed_leg_goes_both_ways(coturn: Coturn, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_host(self: IceConnection, address: str) -> None:
        """Be a host whose own addresses lead nowhere."""

    monkeypatch.setattr(IceConnection, "_bind", no_host)
    async with bench(settings_for(coturn.port), gather_s=5.0) as place:
        far = place.far()
        leg, answer = await place.answered(await far.offer())
        assert "typ relay" in answer.sdp
        assert "typ host" not in answer.sdp
        await far.accept(answer.sdp)
        await place.heard(10)
        assert len(place.engine.plain) > 10
        [keyed] = place.engine.of(ConnectSecure)
        assert keyed.fd == -1
        before = received(far)
        for number in range(10):
            place.endpoints.send(leg.port, place.engine.protected(rtp(place, number)))
        await until(lambda: received(far) >= before + 10)
        assert received(far) >= before + 10
        leg.hangup()
        await leg.closed()
        place.endpoints.send(leg.port, b"\x80")  # too late, and no fault


async def test_a_leg_ends_in_bounded_time_although_its_server_is_dead(
    coturn: Coturn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("softswitch.legs.webrtc.aiortc_private.connection._CLOSE_S", 0.2)
    async with bench(settings_for(coturn.port), gather_s=5.0) as place:
        tasks = asyncio.all_tasks()
        files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        leg = place.leg(offers.CHROME)
        leg.answer()
        answer = await place.report(LegAnswered)
        assert "typ relay" in answer.sdp
        coturn.process.kill()
        await coturn.process.wait()
        leg.hangup()
        async with asyncio.timeout(5):
            await leg.closed()
        await until(lambda: asyncio.all_tasks() == tasks, seconds=5)
        assert asyncio.all_tasks() == tasks
        assert len(os.listdir("/proc/self/fd")) <= files  # noqa: PTH208
