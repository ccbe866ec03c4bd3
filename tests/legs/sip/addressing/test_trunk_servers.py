"""Calls to a trunk's server follow its trunk, in every notation of the callee."""

from random import Random

import pytest

from softswitch.call.vocabulary.reports import LegRejected
from softswitch.egress.hosts import HostsFile
from softswitch.legs.sip.addressing.resolve import Resolver
from softswitch.legs.sip.addressing.trunk_servers import TrunkServers
from softswitch.settings import Trunk, User
from softswitch.sip import events as hp
from tests.legs.sip.addressing.test_resolve import Zone
from tests.legs.sip.phone import HOST, phone
from tests.legs.sip.rig import rig, settings


def bounded(port: int, **fields: object) -> Trunk:
    rules = {"username": "account", "prefixes": ("+49",), "caller_ids": ("+4930",), "max_calls": 1}
    return Trunk("t", (f"{HOST}:{port}",), **(rules | fields))  # type: ignore[arg-type]


def resolver(tmp_path, zone: Zone) -> Resolver:
    (tmp_path / "hosts").write_text(f"{HOST} pbx.test localhost\n")
    return Resolver(zone, HostsFile(tmp_path / "hosts"), random=Random(1))


SPELLINGS = [
    HOST, "[::ffff:127.0.0.1]", "[::FFFF:7F00:1]", "2130706433", "0x7f.1", "0177.0.0.1", "127.1",
    "127.0.0.1.", "127.0.0.2", "PBX.test", "pbx.test.", "localhost", "evil.example", "[::1]", "0.0.0.0",
]  # fmt: skip


@pytest.mark.parametrize("host", SPELLINGS)
async def test_rules_of_a_trunk_hold_for_every_spelling_of_its_server(tmp_path, host):
    zone = Zone({"evil.example": (HOST,)})
    async with phone() as server:
        chosen = settings({"allow": ("0.0.0.0/0", "::/0")}, trunks=(bounded(server.port),))
        async with rig(chosen, resolver=resolver(tmp_path, zone)) as here:
            for suffix in ("", ";transport=tcp"):
                refused = await here.dial(f"sip:+1900@{host}:{server.port}{suffix}").until(LegRejected)
                assert (refused.code, "prefixes" in refused.reason) == (403, True), refused
            here.dial(f"sip:+4940@{host}:{server.port}", caller="666")
            invited = await server.until(hp.Invited)
            assert invited.request.from_address.uri.user == "+4930"
            full = await here.dial(f"sip:+4941@{host}:{server.port}").until(LegRejected)
            assert "max_calls" in full.reason


async def test_another_program_of_this_machine_may_be_called(tmp_path):
    async with phone() as server, phone() as neighbour:
        chosen = settings(trunks=(bounded(server.port),))
        async with rig(chosen, resolver=resolver(tmp_path, Zone())) as here:
            here.dial(f"sip:+1900@{HOST}:{neighbour.port}")
            assert (await neighbour.until(hp.Invited)).request.uri.user == "+1900"


async def test_server_of_a_trunk_of_pyvoip_is_not_dialled_beside_it():
    async with phone() as server:
        chosen = settings(trunks=(bounded(server.port, engine="pyvoip"),))
        async with rig(chosen) as here:
            refused = await here.dial(f"sip:+4930@[::ffff:{HOST}]:{server.port}").until(LegRejected)
            assert (refused.code, "pyvoip" in refused.reason) == (403, True)


async def test_device_that_registers_as_a_server_of_a_trunk_is_not_called():
    async with phone() as server:
        alice = User(name="alice", password="secret")
        chosen = settings(trunks=(bounded(server.port),), users=(alice,))
        async with rig(chosen) as here:
            assert await server.register(here.port, "alice", "secret") == 200
            refused = await here.dial("user:alice").until(LegRejected)
            assert (refused.code, "[[trunk]]" in refused.reason) == (403, True)


@pytest.mark.parametrize(
    ("host", "port", "name", "found"),
    [
        ("192.0.2.1", 5060, "", True), ("192.0.2.1", 7, "", True), ("::ffff:192.0.2.1", 5061, "", True),
        ("192.0.2.2", 5060, "", True), ("192.0.2.3", 5060, "", False),
        ("192.0.2.3", 5060, "PBX.example.", True), ("127.0.0.1", 5060, "", False),
    ],
)  # fmt: skip
async def test_server_elsewhere_is_one_on_all_its_ports_and_by_all_its_names(
    tmp_path, host, port, name, found
):
    servers = TrunkServers(
        [Trunk("t", ("pbx.example:5060",))],
        Resolver(Zone({"pbx.example": ("192.0.2.1", "192.0.2.2")}), HostsFile(tmp_path / "none")),
        lambda address: address.startswith("127."),
    )
    await servers.refresh()
    assert (servers.at(host, port, name) is not None) is found


async def test_servers_stay_known_while_dns_is_silent(tmp_path):
    zone, now = Zone({"pbx.example": ("192.0.2.1",)}), [0.0]
    servers = TrunkServers(
        [Trunk("t", ("pbx.example:5060",))],
        Resolver(zone, HostsFile(tmp_path / "none"), clock=lambda: now[0]),
        lambda address: False,
    )
    await servers.refresh()
    zone.dead, now[0] = True, 9999.0
    await servers.refresh()
    assert zone.asked["pbx.example"] == 2
    assert servers.at("192.0.2.1", 5060) is not None
