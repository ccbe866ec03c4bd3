"""Names for everything that is dialled: bounds, sharing, memory; and a name server that never answers."""

import asyncio
import socket
from pathlib import Path

import pytest
from aiohttp import web

from softswitch.egress.errors import EgressFailed
from softswitch.egress.hosts import HostsFile
from softswitch.egress.http import EgressClient
from softswitch.egress.lookup import Addresses, DnsLookup, Services, UnresolvedError
from softswitch.egress.names import Asker, Names
from softswitch.egress.websocket import connect
from tests.egress.name_server import name_server
from tests.support.leaks import descriptors
from tests.support.loops import LOOPS, run


class Book:
    """DNS that answers when a test lets it; names below `silent.` never."""

    def __init__(self, ttl_s: float = 30.0) -> None:
        self.asked: list[str] = []
        self.given_up: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.ttl_s = ttl_s

    async def addresses(self, name: str) -> Addresses:
        self.asked.append(name)
        try:
            if name.endswith("silent"):
                await asyncio.Event().wait()
            await self.open.wait()
        except asyncio.CancelledError:
            self.given_up.append(name)
            raise
        return Addresses((f"192.0.2.{len(self.asked)}",), self.ttl_s)

    async def services(self, name: str) -> Services:
        raise UnresolvedError(f"{name}: DNS gives no answer")


@pytest.fixture
def hosts(tmp_path: Path) -> HostsFile:
    path = tmp_path / "hosts"
    path.write_text("10.0.0.9 recorder\n")
    return HostsFile(path)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_an_address_the_file_of_hosts_and_localhost_are_not_asked_for(hosts: HostsFile):
    book = Book()
    names = Names(book, hosts)
    assert await names("192.0.2.7") == ("192.0.2.7",)
    assert await names("::1") == ("::1",)
    assert await names("recorder") == ("10.0.0.9",)
    assert await names("app.localhost.") == ("127.0.0.1", "::1")
    assert book.asked == []


async def test_an_answer_is_remembered_for_its_time_and_no_longer(hosts: HostsFile):
    now = [100.0]
    book = Book()
    names = Names(book, hosts, clock=lambda: now[0])
    first = await names.addresses("good.test")
    now[0] += 20
    again = await names.addresses("GOOD.test")
    assert (again.found, again.ttl_s) == (first.found, 10.0)
    now[0] += 10
    assert (await names.addresses("good.test")).found != first.found
    assert names.counters.remembered == 1


async def test_one_question_serves_all_who_ask_meanwhile_and_outlives_the_first(hosts: HostsFile):
    book = Book()
    book.open.clear()
    names = Names(book, hosts)
    first = asyncio.ensure_future(names("good.test", Asker("a", "1")))
    await turns()
    second = asyncio.ensure_future(names("good.test", Asker("b", "2")))
    await turns()
    first.cancel()
    await turns()
    book.open.set()
    assert await second == ("192.0.2.1",)
    assert book.asked == ["good.test"]
    assert names.asking == names.parties == 0


async def test_what_is_no_longer_waited_for_is_given_up_and_asked_anew(hosts: HostsFile):
    book = Book()
    book.open.clear()
    names = Names(book, hosts)
    first = asyncio.ensure_future(names("good.test"))
    await turns()
    first.cancel()
    await asyncio.sleep(0)
    second = asyncio.ensure_future(names("good.test"))
    await turns()
    book.open.set()
    assert await second == ("192.0.2.2",)
    assert book.given_up == ["good.test"]
    assert names.asking == names.parties == 0


async def test_a_call_and_an_account_have_their_share_and_others_theirs(hosts: HostsFile):
    book = Book()
    names = Names(book, hosts, per_call=2, per_account=3)
    held = [
        asyncio.ensure_future(names(f"{number}.{call}.silent", Asker("greedy", call)))
        for call in ("one", "two")
        for number in range(5)
    ]
    await turns()
    assert len(book.asked) == names.asking == 3, "two of one call, three of the account"
    assert sum(name.endswith(".one.silent") for name in book.asked) == 2
    assert await names("good.test", Asker("honest", "three"))
    assert await names("better.test")
    # With keys off every call has the account ""; the switch's own names do not wait for those.
    held += [asyncio.ensure_future(names(f"{n}.nokey.silent", Asker("", f"{n}"))) for n in range(5)]
    await turns()
    assert await names("best.test")
    for one in held:
        one.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    await turns()
    assert names.asking == names.parties == 0
    assert len(book.given_up) == 6


async def test_a_name_that_waits_for_its_turn_fails_at_the_deadline(hosts: HostsFile):
    names = Names(Book(), hosts, deadline_s=0.05, per_call=1)
    asker = Asker("a", "1")
    told = await asyncio.gather(*(names(f"{n}.silent", asker) for n in range(3)), return_exceptions=True)
    assert all(isinstance(error, UnresolvedError) and "within 0.05 s" in str(error) for error in told)
    assert names.counters.unanswered == 3
    await turns()
    assert names.asking == names.parties == 0


async def test_beyond_the_bound_of_the_process_a_name_fails_at_once(hosts: HostsFile):
    names = Names(Book(), hosts, at_once=2)
    held = [asyncio.ensure_future(names(f"{n}.silent", Asker(f"{n}", "c"))) for n in range(2)]
    await turns()
    with pytest.raises(UnresolvedError, match="too many names"):
        await names("good.test", Asker("late", "c"))
    assert (names.counters.refused, names.counters.unanswered) == (1, 0)
    for one in held:
        one.cancel()
    await asyncio.gather(*held, return_exceptions=True)


@LOOPS
def test_a_silent_name_server_blocks_nobody_else(loop_factory, hosts: HostsFile, monkeypatch) -> None:
    """Forty calls of one account wait for names that never resolve; another account is served at once."""

    def thread(*parts: object) -> None:
        raise AssertionError("a name was given to a thread")

    monkeypatch.setattr(socket, "gethostbyname", thread)

    async def scene() -> None:
        zone: dict[tuple[str, str], tuple[int | str, ...]] = {("good.test.", "A"): (30, "127.0.0.1")}
        before = descriptors()
        async with name_server(zone) as (server, resolver):
            names = Names(DnsLookup(60.0, resolver), hosts, deadline_s=60.0)
            egress = EgressClient(allow=["127.0.0.0/8"], resolve=names, timeout_s=60.0)
            app = web.Application()

            async def hello(request: web.Request) -> web.Response:
                return web.Response(text="hello")

            async def socket_(request: web.Request) -> web.StreamResponse:
                response = web.WebSocketResponse()
                await response.prepare(request)
                await response.send_str("hello")
                await response.close()
                return response

            app.add_routes([web.get("/", hello), web.get("/ws", socket_)])
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            held = [
                asyncio.ensure_future(
                    egress.fetch(f"http://{n}.silent:{port}/", asker=Asker("greedy", f"{n}"))
                )
                for n in range(40)
            ]
            while len({name.split()[0] for name in server.asked}) < 16:
                await asyncio.sleep(0)
            assert names.asking == 16
            async with asyncio.timeout(20):  # the attackers' names take 60
                for host in ("good.test", "127.0.0.1", "localhost"):
                    fetched = await egress.fetch(f"http://{host}:{port}/", asker=Asker("honest", "1"))
                    assert fetched.body == b"hello"
                    async with await connect(egress, f"ws://{host}:{port}/ws") as ws:
                        assert await ws.receive() == "hello"
            assert not any(task.done() for task in held)
            for task in held:
                task.cancel()
            await asyncio.gather(*held, return_exceptions=True)
            await runner.cleanup()
        while names.asking:
            await asyncio.sleep(0)
        await turns(50)
        assert names.parties == 0
        # The loop's own descriptors of child watchers and signals come late, at most three.
        assert descriptors() <= before + 3

    run(loop_factory, scene())


async def test_a_door_says_what_is_wrong_with_a_name(hosts: HostsFile):
    egress = EgressClient(resolve=Names(Book(), hosts, deadline_s=0.05))
    with pytest.raises(EgressFailed, match="name of the host cannot be resolved"):
        await egress.fetch("http://host.silent/")
