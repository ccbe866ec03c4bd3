"""A TURN server behind a slow and lossy link: 300 ms of round trip and 3 % loss."""

import asyncio
import subprocess

import pytest

from softswitch.call.vocabulary.reports import LegAnswered, LegTrickled
from softswitch.legs.webrtc.aiortc_private import connection
from softswitch.settings import Ice
from tests.conftest import require_tool
from tests.legs.webrtc.rtc import bench
from tests.networks.topology import Impairment
from tests.sdp import offers
from tests.support.waiting import until

pytestmark = pytest.mark.client

CALLS = 10
SWITCH, TURN, SECRET = "10.1.0.1", "10.1.0.2", "authored-for-tests"


@pytest.fixture
def switch(topology, tmp_path):
    """Return the namespace of a switch; coturn runs at the other end of its slow link."""
    program = require_tool("turnserver")
    here, there = topology.host("switch"), topology.host("turn")
    topology.join(
        here,
        there,
        addresses=[f"{SWITCH}/24"],
        other_addresses=[f"{TURN}/24"],
        impairment=Impairment(delay_s=0.15, loss=0.03),
    )
    flags = [
        "--use-auth-secret", "--no-tls", "--no-dtls", "--no-cli", "-n", "--realm=test", "--log-file=stdout",
        f"--static-auth-secret={SECRET}", f"--listening-ip={TURN}", f"--relay-ip={TURN}",
        f"--total-quota={CALLS}", f"--userdb={tmp_path / 'turndb'}", f"--pidfile={tmp_path / 'turn.pid'}",
    ]  # fmt: skip
    with there.entered():
        process = subprocess.Popen(
            [program, *flags], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    yield here
    process.kill()
    process.wait(10)


def test_relays_come_late_and_are_all_given_back(switch, monkeypatch):
    # A retransmission of a retransmission takes longer than what a running switch would wait.
    monkeypatch.setattr(connection, "GRANT_S", 30.0)
    monkeypatch.setattr(connection, "SILENT_S", 30.0)
    ice = Ice(host_addresses=(SWITCH,), turn_urls=(f"turn:{TURN}",), turn_secret=SECRET, gather_s=0.1)

    async def call_all() -> None:
        for _ in range(2):  # the quota of the server permits the second round only after the first
            async with bench(ice, ports=(20000, 29999)) as place:
                legs = [place.leg(offers.CHROME, port=port, trickle=port % 2 == 0) for port in range(CALLS)]
                for leg in legs:
                    leg.answer()
                await place.report(LegAnswered, CALLS)
                await until(lambda: len(relays(place)) == CALLS // 2, seconds=30)
                assert len(relays(place)) == CALLS // 2
                for leg in legs:
                    leg.hangup()
                for leg in legs:
                    await leg.closed()
                await place.endpoints.released(40)

    with switch.entered():
        asyncio.run(asyncio.wait_for(call_all(), 90))


def relays(place):
    """Return the relays that trickling clients were told of."""
    found = [item.text for report in place.of(LegTrickled) for item in report.candidates]
    return [text for text in found if "typ relay" in text]
