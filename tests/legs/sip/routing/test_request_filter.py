"""The request filter under overload: calls refused from their octets, once and for all copies."""

import asyncio
import socket
import time
from typing import Self

import pytest
import uvloop

from softswitch.legs.sip.routing import request_filter
from softswitch.legs.sip.routing.request_filter import Shedding
from softswitch.legs.sip.transports.udp import BURST
from softswitch.sip import events as hp
from softswitch.sip.syntax.message import Response, parse
from tests.legs.sip.phone import HOST, phone, sdp
from tests.legs.sip.rig import rig


class Load:
    """A load that a test sets."""

    def __init__(self) -> None:
        self.heavy = False
        self.asked = 0
        self.waits: list[float] = []
        self.shedding = Shedding(self.refuse, lambda: self.heavy, self.waits.append)

    def refuse(self) -> int:
        self.asked += 1
        return 7 if self.heavy else 0


class Caller:
    """A caller of few words, who does not repeat himself."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOST, 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self._to = (HOST, port)

    def send(self, method: str, call: str, to_tag: str = "") -> None:
        body = sdp() if method == "INVITE" else ""
        tag = f";tag={to_tag}" if to_tag else ""
        self.socket.sendto(
            (
                f"{method} sip:600@{HOST}:{self._to[1]} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {HOST}:{self.port};branch=z9hG4bK{call};rport\r\n"
                f"From: <sip:a@{HOST}>;tag=f\r\nTo: <sip:600@{HOST}>{tag}\r\nCall-ID: {call}\r\n"
                f"CSeq: 1 {method}\r\nContact: <sip:a@{HOST}:{self.port}>\r\nMax-Forwards: 70\r\n"
                f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            ).encode(),
            self._to,
        )

    async def final(self) -> Response:
        """Return the next answer that is no provisional one."""
        async with asyncio.timeout(60):
            while True:
                data = await asyncio.to_thread(self._receive)
                message = parse(data)
                assert isinstance(message, Response)
                if message.code >= 200:
                    return message

    def _receive(self) -> bytes:
        self.socket.settimeout(10)
        return self.socket.recv(65536)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


async def test_new_calls_are_refused_and_those_that_stand_go_on():
    load = Load()
    async with rig() as here, phone() as standing:
        here.endpoints.shed(load.shedding)
        standing.invite(here.port)
        await standing.until(hp.Answered)
        party = await here.called()
        load.heavy = True
        with Caller(here.port) as caller:
            caller.send("INVITE", "new")
            refused = await caller.final()
            assert (refused.code, refused.headers["Retry-After"]) == (503, "7")
            asked = load.asked
            load.heavy = False
            # A copy that comes after the overload gets the same answer: its caller knows of it already.
            caller.send("INVITE", "new")
            again = await caller.final()
            assert again.to_address.parameters["tag"] == refused.to_address.parameters["tag"]
            assert load.asked == asked
            caller.send("ACK", "new", refused.to_address.parameters["tag"] or "")
            caller.send("INVITE", "other")
            assert (await caller.final()).code == 200
        load.heavy = True
        party.leg.hangup()
        assert (await standing.until(hp.Ended)).reason == "bye"
        assert here.endpoints.counters.overloaded == 2
        assert here.endpoints.numbers().get("agent_stray_ack", 0) == 0


async def test_copy_of_a_call_that_was_taken_is_no_new_call():
    load = Load()
    async with rig() as here:
        here.endpoints.shed(load.shedding)
        here.on_call = lambda call: None
        with Caller(here.port) as caller:
            caller.send("INVITE", "taken")
            async with asyncio.timeout(60):
                while not load.asked:
                    await asyncio.sleep(0.005)
            load.heavy = True
            caller.send("INVITE", "taken")
            async with asyncio.timeout(60):
                while here.endpoints.numbers().get("agent_retransmission", 0) < 1:
                    await asyncio.sleep(0.005)
        assert here.endpoints.counters.overloaded == 0


async def test_stranger_hears_nothing_of_an_overload():
    load = Load()
    load.heavy = True
    async with rig() as here:
        here.endpoints.shed(load.shedding)
        here.endpoints.guard._allow.clear()
        with Caller(here.port) as caller:
            caller.send("INVITE", "x")
            async with asyncio.timeout(60):
                while not here.endpoints.counters.strangers:
                    await asyncio.sleep(0.005)
            with pytest.raises(BlockingIOError):
                caller.socket.recv(100)
        assert load.asked == 0


async def test_what_waited_for_long_is_not_served_as_fresh_under_overload(monkeypatch):
    monkeypatch.setattr(request_filter, "STALE_S", 0.1)
    load = Load()
    async with rig() as here:
        here.endpoints.shed(load.shedding)
        with Caller(here.port) as caller:
            caller.send("INVITE", "first")
            assert (await caller.final()).code == 200
            load.heavy = True
            load.shedding.refuse = lambda: 0
            caller.send("INVITE", "old")
            caller.send("OPTIONS", "old-too")
            time.sleep(0.2)
            assert (await caller.final()).code == 503
            caller.send("INVITE", "fresh")
            assert (await caller.final()).code == 200
        assert here.endpoints.counters.stale == 2
        assert max(load.waits) > 0.15


async def test_answers_that_wait_are_read_before_a_request_is_sent_again():
    async with rig() as here:
        with Caller(here.port) as caller:
            caller.send("INVITE", "c")
            answered = await caller.final()
            assert answered.code == 200
            caller.send("ACK", "c", answered.to_address.parameters["tag"] or "")
            party = await here.called()
            party.leg.hangup()
            while not (bye := await asyncio.to_thread(caller._receive)).startswith(b"BYE"):
                pass
            wanted = (b"Via", b"From", b"To", b"Call-ID", b"CSeq")
            lines = [line for line in bye.split(b"\r\n") if line.startswith(wanted)]
            answer = b"\r\n".join([b"SIP/2.0 200 OK", *lines, b"Content-Length: 0", b"", b""])
            for _ in range(5 * BURST):  # so much that one turn of the loop does not come to the answer
                caller.socket.sendto(b"no message", (HOST, here.port))
            caller.socket.sendto(answer, (HOST, here.port))
            # The loop is late by more than T1: the timer of the BYE is due, its answer waits in the socket.
            time.sleep(0.7)
            await party.leg.closed()
            await asyncio.sleep(0.05)
            caller.socket.setblocking(False)
            with pytest.raises(BlockingIOError):
                caller.socket.recv(65536)


@pytest.mark.parametrize(
    "scenario",
    [
        test_new_calls_are_refused_and_those_that_stand_go_on,
        test_copy_of_a_call_that_was_taken_is_no_new_call,
        test_answers_that_wait_are_read_before_a_request_is_sent_again,
    ],
)
def test_the_same_on_uvloop(scenario):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
