"""Scanners, guessers, forgers and floods against a running switch: a call beside them notices nothing."""

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from softswitch.sip import events as hp
from softswitch.sip.security.digest import Credentials
from tests.conformance.test_sip_leaks import shown
from tests.legs.sip.phone import HOST, Phone, phone, sdp
from tests.support.ports import free_port
from tests.support.switch import SwitchProcess

STRANGER = "127.0.0.9"
PACKET_S = 0.02
RULES = """
[sip]
port = {port}
allow = ["127.0.0.1/32"]

[[route]]
match = "echo"
to = "echo"
"""
USERS = """
[[user]]
name = "alice"
password = "correct horse"
"""


class Place:
    """A running switch, and the port of its telephones."""

    def __init__(self, switch: SwitchProcess, port: int) -> None:
        self.switch, self.port = switch, port

    async def counted(self, name: str) -> float:
        """Return one of its figures."""
        return (await shown(self.switch, f"softswitch_sip_{name}_total")).get(
            f"softswitch_sip_{name}_total", 0.0
        )


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A switch without users, which serves 127.0.0.1 alone."""
    yield from started(tmp_path_factory.mktemp("neighbours"), RULES)


@pytest.fixture
def registrar(tmp_path: Path) -> Iterator[Place]:
    """A switch whose users prove who they are."""
    yield from started(tmp_path, RULES + USERS)


def started(folder: Path, rules: str) -> Iterator[Place]:
    """Run a switch."""
    port = free_port()
    with SwitchProcess(folder / "data", settings_text=rules.format(port=port)) as switch:
        yield Place(switch, port)
        assert not switch.tracebacks()


class Wire:
    """A socket that says whatever it likes, from an address of loopback."""

    _branches = count(1)

    def __init__(self, port: int, host: str = STRANGER) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._socket.connect((HOST, port))
        self._socket.setblocking(False)
        self.host, self.port = self._socket.getsockname()
        self._there = port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._socket.close()

    def text(
        self,
        method: str,
        *,
        user: str = "100",
        domain: str = HOST,
        call_id: str = "",
        tags: tuple[str, str] = ("f", ""),
        extra: tuple[str, ...] = (),
    ) -> bytes:
        """Return a request; `tags` are those of From and To."""
        number = next(self._branches)
        lines = [
            f"{method} sip:{user}@{domain} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bKwire{number};rport",
            f"From: <sip:{user}@{domain}>;tag={tags[0]}",
            f"To: <sip:{user}@{domain}>" + (f";tag={tags[1]}" if tags[1] else ""),
            f"Call-ID: {call_id or f'wire{number}'}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:{user}@{self.host}:{self.port}>",
            "Max-Forwards: 70",
            *extra,
            "Content-Length: 0",
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    def send(self, data: bytes) -> None:
        """Send a datagram."""
        self._socket.send(data)

    def answers(self) -> list[str]:
        """Return what has come."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(65536).decode())
            except BlockingIOError:
                return found

    async def ask(self, data: bytes, seconds: float = 5.0) -> str:
        """Send a request; return the answer, "" where none comes in time."""
        self.send(data)
        try:
            async with asyncio.timeout(seconds):
                return (await asyncio.get_running_loop().sock_recv(self._socket, 65536)).decode()
        except TimeoutError:
            return ""


class Talk:
    """The audio of a call with the echo: a packet every 20 ms, and when each of them came back."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        self.sent = 0
        self.times: list[float] = []

    async def speak(self, to: tuple[str, int]) -> None:
        """Speak until cancelled."""
        loop, start = asyncio.get_running_loop(), time.monotonic()
        loop.add_reader(self._socket, self._heard)
        try:
            while True:
                header = b"\x80\x08" + self.sent.to_bytes(2, "big") + (160 * self.sent).to_bytes(4, "big")
                self._socket.sendto(header + b"talk" + bytes([0xD5 ^ (self.sent & 31)]) * 160, to)
                self.sent += 1
                await asyncio.sleep(max(0.0, start + self.sent * PACKET_S - time.monotonic()))
        finally:
            loop.remove_reader(self._socket)
            self._socket.close()

    def _heard(self) -> None:
        if len(self._socket.recv(2048)) > 100:
            self.times.append(time.monotonic())

    def check(self) -> None:
        """Make sure that the echo went on all the time."""
        assert len(self.times) > 0.9 * self.sent - 25, (len(self.times), self.sent)
        gaps = np.diff(self.times)
        assert np.percentile(gaps, 99) < 0.25, np.sort(gaps)[-5:]


@asynccontextmanager
async def call_beside(
    place: Place, credentials: Credentials | None = None
) -> AsyncIterator[tuple[Phone, str]]:
    """Hold a call with the echo meanwhile, and measure it."""
    talk = Talk()
    async with phone() as caller:
        session = caller.invite(
            place.port,
            offer=sdp(talk.port),
            from_=f"<sip:alice@{HOST}>",
            credentials=credentials,
        )
        answered = await caller.until(hp.Answered)
        far = re.search(r"m=audio (\d+) ", answered.sdp or "")
        assert far is not None
        speaking = asyncio.create_task(talk.speak((HOST, int(far[1]))))
        await asyncio.sleep(0.5)
        yield caller, session
        await asyncio.sleep(0.5)
        assert not [one for one in caller.happenings if isinstance(one, hp.Ended)]
        speaking.cancel()
        await asyncio.wait([speaking])
        caller.do("bye", session)
        assert (await caller.until(hp.Ended)).reason == "local"
    talk.check()


async def test_scanner_gets_no_answer(neighbours: Place) -> None:
    before = await neighbours.counted("strangers")
    with Wire(neighbours.port) as scanner, Wire(neighbours.port, HOST) as neighbour:
        assert " 200 " in await neighbour.ask(neighbour.text("OPTIONS"))
        for method in ("OPTIONS", "REGISTER", "INVITE", "SUBSCRIBE", "MESSAGE", "BYE", "CANCEL", "PUBLISH"):
            scanner.send(scanner.text(method))
            scanner.send(scanner.text(method, domain="192.0.2.7"))
        scanner.send(b"\r\n\r\n")
        scanner.send(b"INVITE sip:x SIP/3.0\r\nVia: SIP/2.0/UDP x\r\n\r\n")
        scanner.send(bytes(range(256)))
        # What comes after them is answered: so all of them were read.
        assert " 200 " in await neighbour.ask(neighbour.text("OPTIONS"))
        await asyncio.sleep(0.3)
        assert scanner.answers() == []
    assert await neighbours.counted("strangers") >= before + 16


async def test_scanner_of_a_registrar_hears_of_passwords_only_by_its_domain(registrar: Place) -> None:
    with Wire(registrar.port) as scanner:
        assert " 401 " in await scanner.ask(scanner.text("REGISTER", user="alice"))
        known = await scanner.ask(scanner.text("INVITE", user="alice"))
        unknown = await scanner.ask(scanner.text("INVITE", user="unknown"))
        assert known.split("\r\n")[0] == unknown.split("\r\n")[0] == "SIP/2.0 401 Unauthorized"
        assert await scanner.ask(scanner.text("INVITE", domain="192.0.2.7"), 0.3) == ""
        assert await scanner.ask(scanner.text("OPTIONS"), 0.3) == ""


@pytest.mark.slow
async def test_ten_thousand_guesses_are_five_and_a_ban_and_a_call_goes_on(registrar: Place) -> None:
    secret = Credentials("alice", "correct horse")
    async with call_beside(registrar, secret):
        with Wire(registrar.port) as guesser:
            asked = await guesser.ask(guesser.text("REGISTER", user="alice"))
            nonce = re.search(r'nonce="([^"]+)"', asked)
            assert nonce is not None
            answers = []
            for number in range(10_000):
                guess = (
                    f'Authorization: Digest username="alice", realm="softswitch", nonce="{nonce[1]}", '
                    f'uri="sip:alice@{HOST}", qop=auth, nc={number + 1:08x}, cnonce="c", algorithm=MD5, '
                    f'response="{number:032x}"'
                )
                guesser.send(guesser.text("REGISTER", user="alice", extra=(guess,)))
                if number % 50 == 49:
                    await asyncio.sleep(0.02)
                    answers += guesser.answers()
            await asyncio.sleep(0.5)
            answers += guesser.answers()
            assert len(answers) <= 5
            assert all(" 401 " in answer for answer in answers)
            assert await guesser.ask(guesser.text("REGISTER", user="alice"), 0.3) == ""
        assert await registrar.counted("guard_bans") == 1
        # His neighbour may still log in, and so may alice.
        with Wire(registrar.port, "127.0.0.10") as other:
            assert " 401 " in await other.ask(other.text("REGISTER", user="alice"))
        async with phone() as device:
            assert await device.register(registrar.port, "alice", "correct horse") == 200


async def test_forged_requests_get_481_and_the_call_goes_on(neighbours: Place) -> None:
    async with call_beside(neighbours) as (caller, session):
        dialog = caller.agent.dialog(session)
        assert dialog is not None
        call_id, own, peer = dialog
        with Wire(neighbours.port, HOST) as forger, Wire(neighbours.port) as stranger:
            for method in ("BYE", "INFO", "INVITE", "UPDATE", "REFER", "MESSAGE", "NOTIFY", "PRACK"):
                for tags in ((own, "guessed"), ("guessed", peer), ("guessed", "guessed")):
                    forged = forger.text(method, call_id=call_id, tags=tags)
                    assert (await forger.ask(forged)).startswith("SIP/2.0 481 "), (method, tags)
                # A stranger who guessed half of it is no neighbour.
                stranger.send(stranger.text(method, call_id=call_id, tags=(own, "guessed")))
            forged = forger.text("CANCEL", call_id=call_id, tags=(own, ""))
            assert (await forger.ask(forged)).startswith("SIP/2.0 481 ")
            assert " 200 " in await forger.ask(forger.text("OPTIONS"))
            assert stranger.answers() == []
        assert len([one for one in caller.happenings if isinstance(one, hp.Offered | hp.InfoReceived)]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("method", ["INVITE", "REGISTER"])
async def test_flood_is_answered_twenty_times_a_second_and_a_call_goes_on(
    registrar: Place, method: str
) -> None:
    async with call_beside(registrar, Credentials("alice", "correct horse")):
        with Wire(registrar.port) as flood:
            start, answers = time.monotonic(), 0
            for number in range(3000):
                flood.send(flood.text(method, user=str(number)))
                if number % 20 == 19:
                    await asyncio.sleep(0.02)
                    answers += len(flood.answers())
            await asyncio.sleep(0.3)
            answers += len(flood.answers())
            seconds = time.monotonic() - start
        assert 20 <= answers <= 20 * (seconds + 2)
        assert await registrar.counted("guard_limited") > 1000
        # Another phone is served meanwhile.
        async with phone() as device:
            assert await device.register(registrar.port, "alice", "correct horse") == 200
