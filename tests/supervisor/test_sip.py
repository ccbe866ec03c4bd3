"""Telephones at a switch of several workers: real processes, real sockets, phones without audio."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import pytest

from softswitch.sip.events import Answered, Ended, Invited, Rejected
from softswitch.sip.security.digest import Credentials
from tests.legs.sip.phone import phone, sdp
from tests.supervisor.test_supervisor import get, workers
from tests.support.ports import free_port
from tests.support.switch import START_S, SwitchProcess

pytestmark = [pytest.mark.client, pytest.mark.timeout(300)]

SETTINGS = """
[server]
workers = 3
[sip]
port = {port}
[speech]
preload = false
[limits]
overload = false
media_timeout_start_s = 600.0
[[user]]
name = "alice"
password = "secret-a"
[[user]]
name = "bob"
password = "secret-b"
max_contacts = 2
[[route]]
to = "echo"
match = "echo"
"""


class Reached:
    """A switch and its SIP port."""

    def __init__(self, running: SwitchProcess, sip_port: int) -> None:
        self.process, self.url, self.sip_port = running.process, running.url, sip_port


ALICE = Credentials("alice", "secret-a")


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    """Run a switch with three workers and two users."""
    port = free_port()
    folder = tmp_path_factory.mktemp("sip-workers")
    with SwitchProcess(folder / "data", settings_text=SETTINGS.format(port=port)) as running:
        yield Reached(running, port)
        assert not running.tracebacks(), running.output()


def call(caller, switch, callee):
    """Call as alice; return the session."""
    return caller.invite(
        switch.sip_port, callee, credentials=ALICE, from_=f"<sip:alice@127.0.0.1:{switch.sip_port}>"
    )


async def dialled(caller, switch, callee):
    """Call as alice and wait for the answer; return the session."""
    session = call(caller, switch, callee)
    async with asyncio.timeout(60):
        while True:
            for event in caller.happenings:
                if getattr(event, "session", "") == session and isinstance(event, (Answered, Rejected)):
                    assert isinstance(event, Answered), event
                    return session
            await asyncio.sleep(0.01)


async def calls_of(switch, pid):
    """Return how many calls a worker has."""
    environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    place = next(word for word in environ if word.startswith(b"SOFTSWITCH_WORKER="))
    number = json.loads(place.partition(b"=")[2])["number"]
    text = (await get(switch, "/metrics"))[1]
    line = f'softswitch_calls_active{{worker="{number}",type="sip"}} '
    return int(float(next(row for row in text.splitlines() if row.startswith(line)).rpartition(" ")[2]))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_phone_is_called_through_every_worker(switch, transport):
    async with phone(transport) as bob, phone() as alice:
        assert await bob.register(switch.sip_port, "bob", "secret-b") == 200
        assert await alice.register(switch.sip_port, "alice", "secret-a") == 200
        sessions = []
        for number in range(1, 7):
            sessions.append(call(alice, switch, "bob"))
            invited = await bob.until(Invited, number)
            bob.do("answer", invited.session, sdp())
            await alice.until(Answered, number)
        marks = {
            str(one.request.via[0].parameters["branch"])[7:12]
            for one in bob.happenings
            if isinstance(one, Invited)
        }
        assert len(marks) == 3, f"calls come from all workers: {marks}"
        _, body = await get(switch, "/admin/users")
        users = {user["name"]: user for user in body["users"]}
        assert users["bob"]["registered"]
        assert len(users["bob"]["contacts"]) == 1
        for session in sessions:
            alice.do("bye", session)
        await bob.until(Ended, 6)
        assert await bob.register(switch.sip_port, "bob", "secret-b", expires=0) == 200


async def test_calls_of_a_killed_worker_get_bye_and_the_others_go_on(switch):
    async with phone() as alice:
        sessions = [await dialled(alice, switch, "echo") for _ in range(9)]
        victim = workers(switch)[0]
        count = await calls_of(switch, victim)
        assert 1 <= count <= 5, "the calls are spread"
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        async with asyncio.timeout(60):
            while len([one for one in alice.happenings if isinstance(one, Ended)]) < count:
                await asyncio.sleep(0.01)
        assert time.monotonic() - killed < 3
        ended = {one.session for one in alice.happenings if isinstance(one, Ended)}
        assert len(ended) == count
        _, body = await get(switch, "/call/lists")
        assert len(body["calls"]) == 9 - count
        for session in set(sessions) - ended:
            alice.do("bye", session)
        async with asyncio.timeout(START_S):
            while (await get(switch, "/call/lists"))[1]["calls"] or len(workers(switch)) < 3:
                await asyncio.sleep(0.05)
        assert Path(f"/proc/{workers(switch)[0]}").exists()


async def test_a_call_stands_through_a_rolling_restart(switch):
    async with phone() as alice:
        standing = await dialled(alice, switch, "echo")
        before = set(workers(switch))
        switch.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(2 * START_S):
            # One after the other: the first worker that has been replaced shows how all are.
            while len(set(workers(switch)) & before) == len(before):
                other = await dialled(alice, switch, "echo")
                alice.do("bye", other)
                await asyncio.sleep(0.05)
        assert not [one for one in alice.happenings if isinstance(one, Rejected)]
        assert standing not in {one.session for one in alice.happenings if isinstance(one, Ended)}
        alice.do("bye", standing)
