"""All telephones of pyVoIP: which calls they carry, which requests they answer, their state."""

import pytest

from softswitch.call.interfaces import LegRequest, Telephone
from softswitch.call.vocabulary.reports import LegRejected
from softswitch.errors import SettingsError
from softswitch.legs.pyvoip import PyvoipEndpoints
from softswitch.media.engine.engine import Engine
from softswitch.settings import Rtp, Settings, Sip, Trunk, User
from softswitch.switch.routes import Routes
from tests.legs.pyvoip.peer import Message, Peer
from tests.legs.pyvoip.rig import Bench

NEAR = Trunk("near", ("near.example",), engine="pyvoip")
OTHER = Trunk("other", ("other.example:5070",))
QUIET = Sip(port=0)


def endpoints(*trunks: Trunk, sip: Sip = QUIET, users: tuple[User, ...] = ()) -> PyvoipEndpoints:
    settings = Settings(sip=sip, trunk=trunks, user=users)
    return PyvoipEndpoints(settings, Engine(), lambda call: None, Routes().frames)


@pytest.mark.parametrize(
    ("callee", "trunk", "trunks", "local", "carried"),
    [
        ("123", "near", (OTHER, NEAR), False, True),
        ("123", "other", (OTHER, NEAR), True, False),
        ("123", "", (NEAR, OTHER), False, True),
        ("123", "", (OTHER, NEAR), False, False),
        ("alice", "", (NEAR,), False, False),
        ("sip:1@near.example", "", (OTHER, NEAR), False, True),
        ("sip:1@near.example:5099", "", (OTHER, NEAR), False, False),
        ("sip:1@elsewhere.example", "", (NEAR,), False, False),
        ("sip:1@elsewhere.example", "", (), True, True),
        ("tel:+491", "", (NEAR,), False, True),
    ],
)
def test_calls_are_carried_by_trunk_server_or_default(
    callee: str, trunk: str, trunks: tuple[Trunk, ...], local: bool, carried: bool
) -> None:
    sip = Sip(port=0, engine="pyvoip" if local else "builtin")
    made = endpoints(*trunks, sip=sip, users=(User("alice", "secret"),))
    assert made.carries(LegRequest("c", "l", 1, 2, callee=callee, trunk=trunk)) is carried


def test_trunk_that_is_not_found_yet_is_shown_so_and_takes_no_calls() -> None:
    (view,) = endpoints(NEAR, OTHER).trunks()
    assert (view.name, view.engine, view.state) == ("near", "pyvoip", "unresolved")


@pytest.mark.parametrize("settings", [Settings(sip=Sip(host="::1")), Settings(rtp=Rtp(host="::1"))])
def test_ipv6_is_refused_by_the_setting_that_asks_for_it(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="IPv4"):
        PyvoipEndpoints(settings, Engine(), lambda call: None, Routes().frames)


async def test_trunk_that_speaks_tcp_alone_says_why_it_is_not_there() -> None:
    trunk = Trunk("t", ("127.0.0.1:5099;transport=tcp",), engine="pyvoip")
    async with Bench(trunk, sip=QUIET) as bench:
        (view,) = bench.endpoints.trunks()
        assert (view.state, "UDP" in view.reason) == ("unresolved", True)
        leg = bench.call("123")
        assert (await leg.until(LegRejected)).code == 503


async def test_trunk_without_registration_is_ready_and_places_calls_from_its_own_port() -> None:
    async with Peer() as peer:
        trunk = Trunk("t", (f"127.0.0.1:{peer.port}",), username="office", engine="pyvoip", max_calls=1)
        async with Bench(trunk, sip=QUIET) as bench:
            (view,) = bench.endpoints.trunks()
            assert (view.state, view.server, view.max_calls) == ("ready", f"udp:127.0.0.1:{peer.port}", 1)
            leg = bench.call("123", trunk="t")
            invite = await peer.until("INVITE")
            assert invite.first == f"INVITE sip:123@127.0.0.1:{peer.port} SIP/2.0"
            assert bench.endpoints.trunks()[0].calls == 1
            second = bench.call("456", trunk="t")
            assert "max_calls" in (await second.until(LegRejected)).reason
            assert bench.endpoints.trunks()[0].calls_refused == 1
            peer.to = int(invite["Via"].partition(";")[0].rpartition(":")[2])
            peer.invite(call="busy")
            refused = await peer.until("SIP/2.0 486")
            assert refused.first == "SIP/2.0 486 Busy Here"
            peer.ack(refused, call="busy")
            peer.reply(invite, 503)
            await leg.until(LegRejected)


async def test_call_over_a_trunk_is_told_with_its_name_and_the_number_of_the_to() -> None:
    async with Peer() as peer:
        trunk = Trunk("t", (f"127.0.0.1:{peer.port}",), username="office", engine="pyvoip", register=True)
        async with Bench(trunk, sip=QUIET) as bench:
            register = await peer.until("REGISTER")
            assert bench.endpoints.trunks()[0].state == "registering"
            peer.to = int(register["Via"].partition(";")[0].rpartition(":")[2])
            peer.reply(register, 403, "Forbidden")
            await bench.until(lambda: bench.endpoints.trunks()[0].state == "failed")
            view = bench.endpoints.trunks()[0]
            assert (view.code, view.reason, view.retry_s > 0) == (403, "Forbidden", True)
            peer.invite(user="office", headers="Authorization: Digest x\r\nX-A: 1\r\nX-A: 2\r\n")
            call, leg = await bench.called()
            assert (call.source, call.name, call.address) == ("trunk", "t", "127.0.0.1")
            assert call.headers["X-A"] == "1, 2"
            assert "Authorization" not in call.headers
            assert isinstance(leg.endpoint, Telephone)
            assert leg.endpoint.dialog[0] == "call-1"
            call.reject(500, "too late")
            leg.endpoint.reject(486, "Busy Here")
            peer.ack(await peer.until("SIP/2.0 486"))


async def test_drain_signs_off_and_refuses_while_calls_go_on() -> None:
    async with Peer() as peer:
        trunk = Trunk("t", (f"127.0.0.1:{peer.port}",), username="office", engine="pyvoip", register=True)
        async with Bench(trunk, sip=QUIET) as bench:
            register = await peer.until("REGISTER")
            peer.to = int(register["Via"].partition(";")[0].rpartition(":")[2])
            peer.reply(register, 200, "OK", "Expires: 60\r\n")
            await bench.until(lambda: bench.endpoints.trunks()[0].state == "registered")
            await bench.endpoints.drain()
            goodbye: Message = await peer.until("REGISTER")
            assert goodbye["Expires"] == "0"
            peer.reply(goodbye, 200)
            await bench.until(lambda: bench.endpoints.trunks()[0].state == "unregistered")
            peer.invite()
            peer.ack(await peer.until("SIP/2.0 503"))
