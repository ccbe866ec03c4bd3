"""Paths of WebRTC legs that end, move, are slow, or lead through a TURN server over TLS."""

import asyncio
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from softswitch.call.vocabulary.reports import LegEnded, LegUpdated, LegWarned
from softswitch.legs.address_watch import AddressWatch
from softswitch.legs.webrtc.aiortc_private import consent
from softswitch.legs.webrtc.leg import MOVED
from softswitch.media.messages import ConnectSecure
from softswitch.settings import Http, Ice, Settings
from tests.certificates import make_certificate
from tests.conftest import require_tool
from tests.legs.webrtc.rtc import Bench, Far, bench
from tests.legs.webrtc.test_endpoints import received, rtp
from tests.networks.topology import Impairment, Namespace
from tests.support.loops import LOOPS, run
from tests.support.waiting import until

SWITCH, MOVED_TO, PEER = "10.1.0.1", "10.1.0.9", "10.1.0.2"
TURN, RELAY, FAR_PEER = "10.1.0.3", "10.2.0.3", "10.2.0.2"
SECRET = "authored-for-tests"


async def connected(place: Bench, there: Namespace) -> Far:
    """Return a peer in another namespace, which is connected and heard."""
    far = place.far()
    with there.entered():
        offer = await far.offer()
    _, answer = await place.answered(offer)
    await far.accept(answer.sdp)
    await place.heard(5)
    assert len(place.engine.plain) > 5
    return far


@pytest.fixture
def hosts(topology):
    here, there = topology.host("switch"), topology.host("peer")
    device, _ = topology.join(here, there, addresses=[f"{SWITCH}/24"], other_addresses=[f"{PEER}/24"])
    return here, there, device


@LOOPS
def test_peer_that_answers_no_checks_is_sent_nothing_more(hosts, loop_factory, monkeypatch):
    monkeypatch.setattr(consent, "CHECK_S", 0.2)
    monkeypatch.setattr(consent, "EXPIRES_S", 1.5)
    here, there, _ = hosts
    require_tool("nft")

    async def lose() -> None:
        loop = asyncio.get_running_loop()
        async with bench(Ice()) as place:
            far = await connected(place, there)
            # It still hears the switch, and does not know that it is not heard.
            there.run(
                "nft",
                "table ip lost { chain out { type filter hook output priority 0; udp length > 0 drop; }; }",
            )
            begin = loop.time()
            ended = await place.report(LegEnded)
            assert ended.reason == "media_timeout"
            assert loop.time() - begin < 6
            await place.legs[0].closed()
            before = received(far)
            place.endpoints.send(1, place.engine.protected(rtp(place, 1)))
            await asyncio.sleep(0.3)
            assert received(far) == before

    with here.entered():
        run(loop_factory, asyncio.wait_for(lose(), 60))


def test_consent_lasts_on_a_path_whose_round_trip_is_long(topology, monkeypatch):
    # Longer than the half second after which aioice's own checks give up.
    monkeypatch.setattr(consent, "CHECK_S", 0.2)
    monkeypatch.setattr(consent, "EXPIRES_S", 2.0)
    here, there = topology.host("switch"), topology.host("peer")
    topology.join(
        here, there, addresses=[f"{SWITCH}/24"], other_addresses=[f"{PEER}/24"],
        impairment=Impairment(delay_s=0.35),
    )  # fmt: skip

    async def stay() -> None:
        async with bench(Ice()) as place:
            await connected(place, there)
            await asyncio.sleep(2.5)
            assert not place.of(LegEnded)

    with here.entered():
        asyncio.run(asyncio.wait_for(stay(), 60))


@LOOPS
def test_lost_address_is_told_and_a_new_offer_finds_the_present_one(hosts, loop_factory):
    here, there, device = hosts

    async def move() -> None:
        async with bench(Ice(), loopback=False) as place:
            watch = AddressWatch(Settings(http=Http(host="0.0.0.0")), place.endpoints.addresses_changed)
            watching = asyncio.ensure_future(watch.run())
            await connected(place, there)
            here.ip(f"addr add {MOVED_TO}/24 dev {device}")
            here.ip(f"addr del {SWITCH}/24 dev {device}")
            if MOVED_TO not in here.ip(f"addr show dev {device}"):
                here.ip(f"addr add {MOVED_TO}/24 dev {device}")
            warned = await place.report(LegWarned)
            assert (warned.sender, warned.code) == ("media", MOVED)
            assert SWITCH in warned.error
            again = place.far()
            with there.entered():
                offer = await again.offer()
            place.legs[0].offer(offer)
            updated = await place.report(LegUpdated)
            assert MOVED_TO in updated.sdp
            assert SWITCH not in updated.sdp
            before = len(place.engine.of(ConnectSecure))
            await again.accept(updated.sdp)
            await until(lambda: len(place.engine.of(ConnectSecure)) > before)
            heard = len(place.engine.plain)
            await place.heard(heard + 5)
            assert len(place.engine.plain) > heard + 5
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    with here.entered():
        run(loop_factory, asyncio.wait_for(move(), 60))


# --- TURN over TLS ------------------------------------------------------------------------------


@pytest.fixture
def relayed(topology, tmp_path, monkeypatch) -> Iterator[Any]:
    """Return the namespaces of a switch and a peer that only coturn joins; it speaks TLS to the switch."""
    program = require_tool("turnserver")
    certificate, key = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    here, turn, there = (topology.host(name) for name in ("switch", "turn", "peer"))
    topology.join(here, turn, addresses=[f"{SWITCH}/24"], other_addresses=[f"{TURN}/24"])
    topology.join(turn, there, addresses=[f"{RELAY}/24"], other_addresses=[f"{FAR_PEER}/24"])
    flags = [
        "--use-auth-secret", "--no-udp", "--no-tcp", "--no-dtls", "--no-cli", "-n", "--realm=test",
        "--log-file=stdout", f"--static-auth-secret={SECRET}", f"--listening-ip={TURN}",
        f"--relay-ip={RELAY}",
        f"--cert={certificate}", f"--pkey={key}", f"--userdb={tmp_path / 'turndb'}",
        f"--pidfile={tmp_path / 'turn.pid'}",
    ]  # fmt: skip
    with turn.entered():
        process = subprocess.Popen(
            [program, *flags], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    yield here, there
    process.kill()
    process.wait(10)


async def resolve(host: str, _: object) -> list[str]:
    """Find the TURN server by the name in its certificate."""
    assert host == "localhost"
    return [TURN]


async def listens() -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection(TURN, 5349)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


@LOOPS
def test_leg_behind_a_firewall_talks_by_a_turn_server_over_tls(relayed, loop_factory):
    here, there = relayed
    ice = Ice(turn_urls=("turns:localhost:5349?transport=tcp",), turn_secret=SECRET)

    async def talk() -> None:
        await listens()
        async with bench(ice, gather_s=8.0, resolve=resolve) as place:
            far = await connected(place, there)
            [keyed] = place.engine.of(ConnectSecure)
            assert (keyed.fd, keyed.remote_host) == (-1, FAR_PEER)
            before = received(far)
            for number in range(10):
                place.endpoints.send(1, place.engine.protected(rtp(place, number)))
            await until(lambda: received(far) >= before + 10)
            assert received(far) >= before + 10

    with here.entered():
        run(loop_factory, asyncio.wait_for(talk(), 60))


@LOOPS
def test_wrong_secret_is_told_within_three_seconds(relayed, loop_factory):
    here, there = relayed
    ice = Ice(turn_urls=("turns:localhost:5349?transport=tcp",), turn_secret="guessed")

    async def ask() -> None:
        await listens()
        loop = asyncio.get_running_loop()
        async with bench(ice, gather_s=8.0, resolve=resolve) as place:
            far = place.far()
            with there.entered():
                offer = await far.offer()
            begin = loop.time()
            place.leg(offer).answer()
            warned = await place.report(LegWarned)
            assert loop.time() - begin < 3
            assert warned.sender == "media"
            assert "turn_secret" in warned.error

    with here.entered():
        run(loop_factory, asyncio.wait_for(ask(), 60))
