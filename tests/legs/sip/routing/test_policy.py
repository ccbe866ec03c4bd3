"""Which requests get a response, and which one."""

import asyncio
import socket
from typing import Self

import pytest

from softswitch.settings import Trunk, User
from softswitch.sip import events as hp
from softswitch.sip.security.bearer import TokenHolder, VerifyToken
from softswitch.sip.security.digest import Credentials
from tests.legs.sip.phone import HOST, phone
from tests.legs.sip.rig import rig, settings

ALICE = User(name="alice", password="secret")
FAR = {"allow": ("192.0.2.0/24",)}
"""Loopback is not trusted then: every peer of a test is a stranger."""


def request(method: str, port: int, *, to: str = "600", tag: str = "", call_id: str = "x") -> bytes:
    lines = [
        f"{method} sip:{to}@{HOST} SIP/2.0",
        f"Via: SIP/2.0/UDP {HOST}:{port};branch=z9hG4bK{method}{call_id};rport",
        f"From: <sip:friendly-scanner@{HOST}>;tag=f",
        f"To: <sip:{to}@{HOST}>" + (f";tag={tag}" if tag else ""),
        f"Call-ID: {call_id}",
        f"CSeq: 1 {method}",
        f"Contact: <sip:s@{HOST}:{port}>",
        "Max-Forwards: 70",
        "Content-Length: 0",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


class Stranger:
    """A socket that says whatever it likes."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self._socket.connect((HOST, port))
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]

    async def ask(self, data: bytes, seconds: float = 0.3) -> str:
        """Send something; return the first line of the answer, "" without an answer."""
        return (await self.told(data, seconds)).split("\r\n")[0]

    async def told(self, data: bytes, seconds: float = 20.0) -> str:
        """Send something; return the answer, "" without an answer."""
        self._socket.send(data)
        try:
            async with asyncio.timeout(seconds):
                return (await asyncio.get_running_loop().sock_recv(self._socket, 65536)).decode()
        except TimeoutError:
            return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._socket.close()


async def test_stranger_gets_no_answer_to_anything():
    async with rig(settings(FAR)) as here:
        with Stranger(here.port) as stranger:
            for method in ("OPTIONS", "REGISTER", "INVITE", "SUBSCRIBE", "BYE", "CANCEL", "ACK", "NONSENSE"):
                assert await stranger.ask(request(method, stranger.port), 0.1) == ""
            assert await stranger.ask(b"INVITE sip:a@b SIP/9.0\r\nVia: SIP/2.0/UDP h\r\n\r\n", 0.1) == ""
        assert here.endpoints.counters.strangers >= 6
        assert here.parties == []


async def test_neighbour_is_answered_and_forged_requests_of_a_call_get_481():
    async with rig() as here:
        with Stranger(here.port) as neighbour:
            assert "200" in await neighbour.ask(request("OPTIONS", neighbour.port), 5)
            for method in ("BYE", "INFO", "INVITE", "CANCEL"):
                answer = await neighbour.ask(request(method, neighbour.port, tag="forged", call_id=method), 5)
                assert "481" in answer, method
            assert "505" in await neighbour.ask(
                request("OPTIONS", neighbour.port).replace(b"SIP/2.0\r\nVia", b"SIP/7.0\r\nVia"), 5
            )


async def test_forged_goodbye_leaves_the_call_alone():
    async with rig() as here, phone() as caller:
        session = caller.invite(here.port)
        await caller.until(hp.Answered)
        dialog = caller.agent.dialog(session)
        assert dialog is not None
        with Stranger(here.port) as stranger:
            data = request("BYE", stranger.port, tag="guessed", call_id=dialog[0])
            assert "481" in await stranger.ask(data, 5)
        assert here.endpoints.legs == 1


async def test_user_calls_with_a_password_and_strangers_do_not():
    async with rig(settings(users=(ALICE,))) as here, phone() as caller:
        caller.invite(here.port, from_=f"<sip:alice@{HOST}>")
        assert (await caller.until(hp.Rejected)).code == 401
        caller.invite(here.port, credentials=Credentials("alice", "secret"))
        await caller.until(hp.Answered)
        party = await here.called()
        assert party.incoming is not None
        assert (party.incoming.source, party.incoming.caller) == ("user", "alice")


BOB = User(name="bob", tokens="any")


def grants(*users: str, seconds: float = 100.0, token: str = "a.good.token") -> VerifyToken:
    """Return a check that knows one token."""
    return lambda given: TokenHolder(frozenset(users), seconds) if given == token else None


def by_token(port: int, name: str, token: str = "a.good.token", call_id: str = "t") -> bytes:
    """Return a REGISTER for 300 s with a token."""
    text = request("REGISTER", port, to=name, call_id=call_id).decode()
    shown = f"Authorization: Bearer {token}\r\nExpires: 300\r\n"
    return text.replace("Max-Forwards", shown + "Max-Forwards").encode()


async def test_user_registers_with_a_token_for_as_long_as_it_is_valid():
    async with rig(settings(users=(ALICE, BOB))) as here:
        here.endpoints.take_tokens(grants("bob"))
        with Stranger(here.port) as device:
            told = await device.told(by_token(device.port, "bob"))
        assert told.startswith("SIP/2.0 200")
        assert "expires=100" in told, "the token ends before the 300 s that were asked for"
        assert here.endpoints.registered("bob")
        assert here.endpoints.counters.tokens == 1


@pytest.mark.parametrize(
    ("name", "token"),
    [("bob", "a.wrong.token"), *((name, "a.good.token") for name in ("alice", "carol", "dave"))],
)
async def test_wrong_token_and_user_are_challenged_alike(name, token):
    users = (ALICE, BOB, User(name="dave", tokens="secure"))
    async with rig(settings(users=users)) as here:
        here.endpoints.take_tokens(grants("bob", "alice", "dave"))
        with Stranger(here.port) as device:
            told = (await device.told(by_token(device.port, name, token))).split("\r\n")
        assert told[0].startswith("SIP/2.0 401")
        digest, bearer = (line for line in told if line.startswith("WWW-Authenticate"))
        assert digest.startswith("WWW-Authenticate: Digest ")
        assert bearer == 'WWW-Authenticate: Bearer realm="softswitch", error="invalid_token"'
        assert here.endpoints.counters.logins_failed == 1
        assert not here.endpoints.registered(name)


async def test_token_of_one_user_registers_no_other():
    async with rig(settings(users=(BOB, User(name="carol", tokens="any")))) as here:
        here.endpoints.take_tokens(grants("bob"))
        with Stranger(here.port) as device:
            assert "401" in await device.ask(by_token(device.port, "carol"), 20.0)


async def test_challenge_offers_tokens_only_where_they_are_taken():
    for users, offered in (
        ((ALICE,), False),
        ((ALICE, User(name="dave", tokens="secure")), False),
        ((BOB,), True),
    ):
        chosen = settings({"token_server": "https://id.example.org"}, users=users)
        async with rig(chosen) as here, phone() as device:
            device.request("REGISTER", here.port, "x")
            response = (await device.until(hp.RequestAnswered)).response
            values = response.headers.getlist("WWW-Authenticate")
            bearer = 'Bearer realm="softswitch", authz_server="https://id.example.org"'
            assert (bearer in values) is offered
            assert values[0].startswith("Digest ")


async def test_user_without_a_password_has_no_empty_one():
    async with rig(settings(users=(BOB,))) as here, phone() as device:
        assert await device.register(here.port, "bob", "") == 401
        assert here.endpoints.counters.logins_failed == 1


async def test_wrong_tokens_ban_no_address():
    chosen = settings({**FAR, "login_failures": 2, "requests_per_second": 100}, users=(BOB,))
    async with rig(chosen) as here:
        here.endpoints.take_tokens(grants("bob"))
        with Stranger(here.port) as device:
            for number in range(5):
                wrong = by_token(device.port, "bob", "a.wrong.token", f"w{number}")
                assert "401" in await device.ask(wrong, 20.0)
            assert "200" in await device.ask(by_token(device.port, "bob"), 20.0)


@pytest.mark.parametrize(
    ("token", "answer"), [("a.good.token", "100"), ("a.wrong.token", "401"), ("", "401")]
)
async def test_call_of_a_user_is_let_in_by_a_token(token, answer):
    async with rig(settings(users=(BOB,))) as here:
        here.endpoints.take_tokens(grants("bob"))
        with Stranger(here.port) as caller:
            text = request("INVITE", caller.port, to="echo").decode().replace("friendly-scanner", "bob")
            shown = f"Authorization: Bearer {token}\r\n" if token else ""
            invite = text.replace("Max-Forwards", shown + "Max-Forwards").encode()
            assert (await caller.ask(invite, 20.0)).split()[1] == answer


@pytest.mark.parametrize("name", ["alice", "unknown"])
async def test_unknown_user_and_wrong_password_look_the_same(name):
    async with rig(settings(users=(ALICE,))) as here, phone() as caller:
        assert await caller.register(here.port, name, "guess") == 401
        assert here.endpoints.counters.logins_failed == 1


async def test_user_registers_only_the_own_address():
    async with rig(settings(users=(ALICE, User(name="bob", password="b")))) as here, phone() as caller:
        caller.request("REGISTER", here.port, "bob", credentials=Credentials("alice", "secret"))
        response = (await caller.until(hp.RequestAnswered)).response
        assert (response.code, response.phrase) == (403, "Forbidden"), "why is for the log only"


async def test_guessing_is_banned():
    chosen = settings({**FAR, "login_failures": 3}, users=(ALICE,))
    async with rig(chosen) as here, phone() as caller:
        for _ in range(3):
            caller.request("REGISTER", here.port, "alice", credentials=Credentials("alice", "guess"))
        async with asyncio.timeout(60):
            while not here.endpoints.guard.counters.bans:
                await asyncio.sleep(0.01)
        with Stranger(here.port) as same:
            assert await same.ask(request("REGISTER", same.port, to="alice")) == ""
        assert here.endpoints.guard.counters.banned


async def test_requests_of_a_stranger_are_bounded():
    chosen = settings({**FAR, "requests_per_second": 5}, users=(ALICE,))
    async with rig(chosen) as here:
        with Stranger(here.port) as stranger:
            answers = [
                await stranger.ask(request("REGISTER", stranger.port, to="alice", call_id=str(n)), 0.1)
                for n in range(12)
            ]
        assert "401" in answers[0]
        assert answers.count("") >= 4
        assert here.endpoints.guard.counters.limited >= 4


async def test_trunk_is_known_by_the_address_of_its_server_and_calls_without_proof():
    async with phone() as caller:
        trunk = Trunk(name="t", servers=(f"{HOST}:{caller.port}",), username="account", max_calls=1)
        async with rig(settings(FAR, trunks=(trunk,), users=(ALICE,))) as here:
            async with asyncio.timeout(60):
                while here.endpoints.trunks()[0].state != "ready":
                    await asyncio.sleep(0.01)
            caller.invite(here.port, "account")
            await caller.until(hp.Answered)
            party = await here.called()
            assert party.incoming is not None
            assert (party.incoming.source, party.incoming.name) == ("trunk", "t")
            assert here.endpoints.trunks()[0].calls == 1
            caller.invite(here.port, "600")
            assert (await caller.until(hp.Rejected)).code == 503
            assert here.endpoints.trunks()[0].calls_refused == 1
            party.leg.hangup()
            assert here.endpoints.trunks()[0].calls == 0


async def test_user_at_the_address_of_a_trunk_is_still_asked():
    async with phone() as caller:
        trunk = Trunk(name="t", servers=(f"{HOST}:{caller.port}",))
        async with rig(settings(trunks=(trunk,), users=(ALICE,))) as here:
            caller.invite(here.port, from_=f"<sip:alice@{HOST}>")
            assert (await caller.until(hp.Rejected)).code == 401
            assert await caller.register(here.port, "alice", "secret") == 200


async def test_number_of_a_trunk_that_calls_our_account_is_in_to():
    async with phone() as caller:
        trunk = Trunk(name="t", servers=(f"{HOST}:{caller.port}",), username="account")
        async with rig(settings(trunks=(trunk,))) as here:
            async with asyncio.timeout(60):
                while here.endpoints.trunks()[0].state != "ready":
                    await asyncio.sleep(0.01)
            with Stranger(here.port) as server:
                await server.ask(
                    request("INVITE", server.port, to="4930").replace(
                        b"INVITE sip:4930@", b"INVITE sip:account@"
                    )
                )
            party = await here.called()
            assert party.incoming is not None
            assert party.incoming.callee == "4930"


async def test_registrar_without_users_says_so_to_neighbours():
    async with rig() as here, phone() as caller:
        assert await caller.register(here.port, "alice", "secret") == 403


async def test_device_that_is_registered_may_ask_whether_we_are_there():
    async with rig(settings(FAR, users=(ALICE,))) as here, phone() as device:
        with Stranger(here.port) as same:
            assert await same.ask(request("OPTIONS", same.port, call_id="before")) == ""
            assert await device.register(here.port, "alice", "secret") == 200
            assert "200" in await same.ask(request("OPTIONS", same.port, call_id="after"), 5)


async def test_one_of_two_accounts_at_a_provider_is_told_by_what_is_called():
    async with phone() as caller:
        server = (f"{HOST}:{caller.port}",)
        trunks = tuple(Trunk(name=name, servers=server, username=name) for name in ("one", "two"))
        async with rig(settings(trunks=trunks)) as here:
            async with asyncio.timeout(60):
                while {view.state for view in here.endpoints.trunks()} != {"ready"}:
                    await asyncio.sleep(0.01)
            for called in ("two", "600"):
                caller.invite(here.port, called)
            names = [
                party.incoming.name for party in (await here.called(), await here.called()) if party.incoming
            ]
            assert names == ["two", "one"]


async def test_requests_without_a_server_are_refused():
    async with rig(settings(users=(ALICE,))) as here, phone() as caller:
        proof = Credentials("alice", "secret")
        caller.request("SUBSCRIBE", here.port, "alice", headers={"Event": "mwi"}, credentials=proof)
        assert (await caller.until(hp.RequestAnswered)).response.code == 489
        caller.request(
            "MESSAGE", here.port, "alice", body=b"hi", content_type="text/plain", credentials=proof
        )
        assert (await caller.until(hp.RequestAnswered, 2)).response.code == 405
