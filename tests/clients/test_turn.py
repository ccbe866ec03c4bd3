"""A real coturn with the project's own turnserver.conf, and the credentials that /iceservers hands out."""

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aioice
import pytest
from aioice.stun import TransactionFailed
from aioice.turn import create_turn_endpoint

from softswitch.cli.checks import relays
from softswitch.cli.checks.finding import Verdict
from softswitch.legs.webrtc.ice import IceServerGrant, gather_servers, ice_servers
from softswitch.settings import Ice, Settings
from tests.conftest import ROOT, require_tool
from tests.support.ports import free_port

pytestmark = pytest.mark.client

SECRET = "shared-by-coturn-and-the-switch"


async def until_it_answers(port: int, log: Path) -> None:
    """Send STUN binding requests until one is answered."""
    request = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + b"softswitch!!"
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        probe.connect(("127.0.0.1", port))
        for _ in range(100):
            try:
                probe.send(request)
                async with asyncio.timeout(0.2):
                    await loop.sock_recv(probe, 1000)
            except (TimeoutError, ConnectionRefusedError):
                await asyncio.sleep(0.05)
            else:
                return
    pytest.fail(f"coturn does not answer:\n{log.read_text()}")


@pytest.fixture
async def turn(tmp_path: Path) -> AsyncIterator[Ice]:
    """Run coturn on loopback; return the settings of a switch that uses it."""
    port = free_port()
    log = tmp_path / "turn.log"
    command = [
        require_tool("turnserver"),
        "-c",
        str(ROOT / "turnserver.conf"),
        f"--static-auth-secret={SECRET}",
        # What is relayed, and what not, is tried in networks of their own (tests/networks).
        "--listening-ip=127.0.0.1",
        "--relay-ip=127.0.0.1",
        f"--listening-port={port}",
        f"--userdb={tmp_path / 'turndb'}",
        f"--pidfile={tmp_path / 'turn.pid'}",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=tmp_path)
        try:
            await until_it_answers(port, log)
            yield Ice(turn_urls=(f"turn:127.0.0.1:{port}?transport=udp",), turn_secret=SECRET)
        finally:
            process.terminate()
            process.wait(10)


async def relayed(grants: tuple[IceServerGrant, ...]) -> list[aioice.Candidate]:
    """Gather candidates as the switch's own connections do; return those that are relayed."""
    access = gather_servers(grants).turn
    assert access is not None
    connection = aioice.Connection(
        ice_controlling=True,
        turn_server=(access.host, access.port),
        turn_username=access.username,
        turn_password=access.credential,
    )
    try:
        await connection.gather_candidates()
        return [candidate for candidate in connection.local_candidates if candidate.type == "relay"]
    finally:
        await connection.close()


async def test_relay_is_allocated_with_the_credentials_of_iceservers(turn):
    (candidate,) = await relayed(ice_servers(turn, now=time.time()))
    assert candidate.host == "127.0.0.1"
    assert candidate.port >= 49160


async def test_nothing_is_relayed_with_credentials_of_another_secret_or_time(turn):
    other = Ice(turn_urls=turn.turn_urls, turn_secret="guessed")
    # aioice hides what TURN refuses: what counts is that no relayed candidate comes out.
    assert await relayed(ice_servers(other, now=time.time())) == []
    assert await relayed(ice_servers(turn, now=time.time() - turn.turn_ttl - 60)) == []


async def test_doctor_allocates_a_relay_and_tells_why_it_cannot(turn):
    told = await asyncio.to_thread(relays.check, Settings(ice=turn))
    assert [finding.verdict for finding in told] == [Verdict.OK]
    other = Ice(turn_urls=turn.turn_urls, turn_secret="guessed")
    (finding,) = await asyncio.to_thread(relays.check, Settings(ice=other))
    assert finding.verdict == Verdict.FAIL
    assert "refused: 401" in finding.text


@pytest.mark.parametrize("peer", ["10.0.0.1", "192.168.1.1", "169.254.169.254", "127.0.0.2"])
async def test_private_networks_cannot_be_reached_through_the_relay(turn, peer):
    (grant,) = ice_servers(turn, now=time.time())
    access = gather_servers([grant]).turn
    assert access is not None
    transport, _ = await create_turn_endpoint(
        asyncio.DatagramProtocol,
        server_addr=(access.host, access.port),
        username=access.username,
        password=access.credential,
    )
    try:
        # The transport would send into the void and say nothing: its client's own request tells the reason.
        client = vars(transport)["_TurnTransport__inner_protocol"]
        with pytest.raises(TransactionFailed, match="403"):
            await client.channel_bind(0x4000, (peer, 9))
    finally:
        transport.close()
