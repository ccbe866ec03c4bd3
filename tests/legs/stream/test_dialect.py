"""A stream in a dialect of three files (module, registry line, test), between the client and a service."""

import asyncio
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pytest
from aiohttp import WSMsgType, web

from softswitch.audio import g711
from softswitch.call.interfaces import StreamOver, StreamRequest
from softswitch.call.vocabulary.stream_words import FromService, KeyPressed
from softswitch.egress.http import EgressClient
from softswitch.errors import MalformedError
from softswitch.legs.stream import StreamClients, StreamTerms
from softswitch.legs.stream import client as module
from softswitch.legs.stream import dialect as d
from softswitch.legs.stream.client import StreamClient
from tests.legs.stream.dummy_dialect import SECRET, DummyDialect, DummySession, encoded
from tests.support.loops import LOOPS, run

REGISTRY: d.StreamDialects = {"dummy": DummyDialect()}
PATIENCE_S = 60.0


class Ear:
    """The switch's side: keeps what the service does, and lets a test wait for it."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []
        self._grown = asyncio.Condition()
        self._wakes: set[asyncio.Task[None]] = set()

    def opened(self) -> None:
        self._add("opened")

    def audio(self, pcm: bytes, sample_rate: int) -> None:
        self._add("audio", pcm, sample_rate)

    def mark(self, name: str) -> None:
        self._add("mark", name)

    def clear(self) -> None:
        self._add("clear")

    def hang_up(self, *, drain: bool = False) -> None:
        self._add("hangup")

    def told(self, word: FromService) -> None:
        self._add("told", word)

    def _add(self, *said: Any) -> None:
        self.said.append(said)
        task = asyncio.ensure_future(self._wake())
        self._wakes.add(task)
        task.add_done_callback(self._wakes.discard)

    async def _wake(self) -> None:
        async with self._grown:
            self._grown.notify_all()

    async def wait(self, count: int) -> list[tuple[Any, ...]]:
        async with asyncio.timeout(PATIENCE_S), self._grown:
            await self._grown.wait_for(lambda: len(self.said) >= count)
        return self.said


class Service:
    """A service of the dummy dialect on loopback."""

    def __init__(self, greeting: tuple[bytes, ...] = (), *, answers_bye: bool = True) -> None:
        self.texts: list[dict[str, Any]] = []
        self.frames: list[bytes] = []
        self.requests: list[web.Request] = []
        self.socket: web.WebSocketResponse
        self.over = asyncio.Event()
        self._greeting, self._answers_bye = greeting, answers_bye
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._runner.addresses[0][1]}/bot%2Fb?a=%2F"

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.socket = socket = web.WebSocketResponse(protocols=("dummy.v1",))
        await socket.prepare(request)
        for text in self._greeting:
            await socket.send_str(text.decode())
        async for message in socket:
            async with self._changed:
                if message.type is WSMsgType.BINARY:
                    self.frames.append(message.data)
                else:
                    self.texts.append(json.loads(message.data))
                self._changed.notify_all()
            if self._answers_bye and self.texts and self.texts[-1]["type"] == "bye":
                await socket.send_str(encoded("bye").decode())
        self.over.set()
        return socket

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [text for text in self.texts if text["type"] == kind]

    async def wait(self, kind: str, count: int = 1) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: len(self.all(kind)) >= count)
        return self.all(kind)[count - 1]

    async def wait_frames(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: len(self.frames) >= count)

    async def send(self, kind: str, **fields: object) -> None:
        await self.socket.send_str(encoded(kind, **fields).decode())


def make(url: str, ear: Ear, **fields: Any) -> tuple[StreamClient, StreamClients]:
    clients = StreamClients(EgressClient(("127.0.0.0/8",)), StreamTerms(), REGISTRY)
    base: dict[str, Any] = {"two_way": True, "channel": "inbound", "protocol": "dummy"}
    return clients(StreamRequest("call", "stream", url, **{**base, **fields}), ear), clients


@LOOPS
def test_session_of_another_dialect_from_the_handshake_to_the_farewell(loop_factory):
    async def scene() -> None:
        ear = Ear()
        async with Service() as service:
            client, clients = make(
                service.url, ear, parameters={"customer": "7"}, headers={"x-signature": "-"}
            )
            assert (client.sample_rate, client.frame_ms) == (8000, 40)
            running = asyncio.ensure_future(client.run())
            assert (await service.wait("open"))["parameters"] == {"customer": "7"}
            check_handshake(service)
            await audio_both_ways(client, service, ear)
            await control_both_ways(client, clients, service, ear)
            client.stop()
            assert await asyncio.wait_for(running, PATIENCE_S) == StreamOver("stopped")
            await asyncio.wait_for(service.over.wait(), PATIENCE_S)
            assert service.texts[-1]["type"] == "bye"
            numbers = [text["n"] for text in service.texts]
            assert numbers == list(range(1, len(numbers) + 1))
            assert service.socket.close_code == 1000

    run(loop_factory, scene())


def check_handshake(service: Service) -> None:
    [request] = service.requests
    assert request.raw_path == "/bot%2Fb?a=%2F&session=stream"
    assert request.headers["Sec-WebSocket-Protocol"].replace(" ", "") == "dummy.v2,dummy.v1"
    assert service.socket.ws_protocol == "dummy.v1"
    [given] = request.headers.getall("X-Signature")
    seconds, nonce, proof = given.split(".")
    assert len(nonce) == 32
    signed = f"{seconds}.{nonce}".encode()
    assert hmac.compare_digest(hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest(), proof)


async def audio_both_ways(client: StreamClient, service: Service, ear: Ear) -> None:
    law = g711.encode(g711.ULAW_ENCODE, np.arange(-160, 160, dtype=np.float32) * 100).tobytes()
    assert client.encoding == "pcmu"
    client.frame("inbound", law)  # The service is not ready: counted, not sent.
    await service.send("ready")
    assert await ear.wait(1) == [("opened",)]
    client.frame("inbound", law)
    await service.wait_frames(1)
    [frame] = service.frames
    assert int.from_bytes(frame[:4]) == 1
    assert frame[4:] == law

    await service.socket.send_bytes(b"\1\0\2\0")
    codes = bytes(range(256))
    await service.send("sound", hex=codes.hex(), id="a")
    _, sixteen, eight, mark = await ear.wait(4)
    assert sixteen == ("audio", b"\1\0\2\0", 16000)
    expected = g711.decode(g711.ALAW_DECODE, np.frombuffer(codes, np.uint8)).astype("<i2")
    assert eight == ("audio", expected.tobytes(), 8000)
    assert mark == ("mark", "a")

    await service.send("pause")
    await service.wait("paused")
    client.frame("inbound", law)
    await service.send("ready")
    await service.send("flush")
    await service.wait("flushed")
    client.frame("inbound", law)
    await service.wait_frames(2)
    assert int.from_bytes(service.frames[1][:4]) == 3
    assert ear.said.count(("opened",)) == 1


async def control_both_ways(client: StreamClient, clients: StreamClients, service: Service, ear: Ear) -> None:
    assert ear.said[-1] == ("clear",)
    client.passed("a", cleared=True)
    client.tell(KeyPressed("5"))
    client.playback("cleared", 1234)
    mark, key, playback = (
        await service.wait("mark"),
        await service.wait("key"),
        await service.wait("playback"),
    )
    assert (mark["name"], mark["cleared"], key["digit"]) == ("a", True, "5")
    assert (playback["status"], playback["played"]) == ("cleared", 1234)
    await service.wait("ping", 2)
    await service.send("other")
    await service.send("error", text="no credit")
    await service.socket.send_str("[]")
    assert "JSON object with a type" in (await service.wait("unreadable"))["reason"]
    await service.send("end-call")
    await ear.wait(len(ear.said) + (ear.said[-1] != ("hangup",)))
    assert ear.said[-1] == ("hangup",)
    counters = clients.counters
    assert (counters.wrong_id, counters.complaints, counters.junk) == (1, 1, 1)


async def test_message_in_the_packet_of_the_handshake_is_answered_after_the_greeting():
    ear = Ear()
    async with Service((encoded("pause"), encoded("ready"), encoded("sound", hex="d5d5", id="m"))) as service:
        client, _ = make(service.url, ear)
        running = asyncio.ensure_future(client.run())
        await service.wait("paused")
        assert [text["type"] for text in service.texts if text["type"] != "ping"] == ["open", "paused"]
        assert (await ear.wait(3))[0] == ("opened",)
        assert ear.said[-1] == ("mark", "m")
        client.stop()
        await running


async def test_service_that_ends_the_stream_by_a_message_is_closed():
    ear = Ear()
    async with Service((encoded("ready"),), answers_bye=False) as service:
        client, clients = make(service.url, ear, reconnect_s=10)
        running = asyncio.ensure_future(client.run())
        await service.wait("open")
        await service.send("bye")
        assert await asyncio.wait_for(running, PATIENCE_S) == StreamOver("closed", "the service said bye")
        await asyncio.wait_for(service.over.wait(), PATIENCE_S)
        assert service.socket.close_code == 1000
        assert clients.counters.lost == 0


async def test_service_that_never_says_goodbye_is_left_in_time(monkeypatch):
    monkeypatch.setattr(DummySession, "traits", replace(DummySession.traits, farewell_s=0.05))
    ear = Ear()
    async with Service((encoded("ready"),), answers_bye=False) as service:
        client, _ = make(service.url, ear)
        running = asyncio.ensure_future(client.run())
        await service.wait("open")
        client.stop()
        assert await asyncio.wait_for(running, PATIENCE_S) == StreamOver("stopped")
        await asyncio.wait_for(service.over.wait(), PATIENCE_S)
        assert service.texts[-1]["type"] == "bye"


async def test_what_the_traits_do_not_have_is_not_sent(monkeypatch):
    traits = replace(DummySession.traits, acknowledges_marks=False, follows_playback=False)
    monkeypatch.setattr(DummySession, "traits", traits)
    ear = Ear()
    async with Service((encoded("ready"),)) as service:
        client, clients = make(service.url, ear)
        running = asyncio.ensure_future(client.run())
        await ear.wait(1)
        client.passed("a", cleared=False)
        client.playback("drained")
        client.tell(KeyPressed("1"))
        await service.wait("key")
        client.stop()
        await running
        client.passed("b", cleared=True)
        assert not service.all("mark")
        assert not service.all("playback")
        assert clients.counters.marks_unheard == 0


async def test_task_of_a_dialect_that_fails_is_logged_and_the_stream_goes_on(monkeypatch, caplog):
    failed = asyncio.Event()

    def fail(session: DummySession, now_ms: int) -> d.Messages:
        failed.set()
        raise LookupError("a fault of the dialect")

    monkeypatch.setattr(DummySession, "keepalive", fail)
    ear = Ear()
    async with Service((encoded("ready"),)) as service:
        client, _ = make(service.url, ear)
        running = asyncio.ensure_future(client.run())
        await ear.wait(1)
        await asyncio.wait_for(failed.wait(), PATIENCE_S)
        await service.send("pause")
        await service.wait("paused")
        client.stop()
        assert (await running).status == "stopped"
    assert "a task of a stream failed" in caplog.text
    assert "a fault of the dialect" in caplog.text


async def test_service_that_never_becomes_ready_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "READY_S", 0.05)
    ear = Ear()
    async with Service() as service:
        client, clients = make(service.url, ear)
        over = await asyncio.wait_for(client.run(), PATIENCE_S)
    assert over == StreamOver("failed", "the service did not become ready within 0.05 s")
    assert (ear.said, clients.counters.failed, clients.counters.open) == ([], 1, 0)


async def test_lost_connection_is_not_made_anew_where_the_protocol_knows_no_second_one():
    ear = Ear()
    async with Service((encoded("ready"),)) as service:
        client, clients = make(service.url, ear, reconnect_s=10)
        running = asyncio.ensure_future(client.run())
        await service.wait("open")
        transport = service.requests[0].transport
        assert transport is not None
        transport.abort()
        assert (await asyncio.wait_for(running, PATIENCE_S)).status == "lost"
        assert (clients.counters.lost, clients.counters.reconnected) == (1, 0)


async def test_service_that_speaks_before_it_is_ready_is_not_heard():
    ear = Ear()
    async with Service((encoded("sound", hex="d5", id="early"), encoded("ready"))) as service:
        client, clients = make(service.url, ear)
        running = asyncio.ensure_future(client.run())
        assert await ear.wait(1) == [("opened",)]
        assert clients.counters.deaf == 2
        client.stop()
        await running


def test_unknown_protocol_is_refused_by_name():
    with pytest.raises(MalformedError, match="protocol: 'twillio' is unknown; known are: dummy"):
        make("ws://127.0.0.1:1/", Ear(), protocol="twillio")


def test_stream_that_the_dialect_does_not_have_is_refused():
    with pytest.raises(MalformedError, match="stream_type"):
        make("ws://127.0.0.1:1/", Ear(), two_way=False)


def test_occasions_at_which_a_dialect_sends_nothing_need_no_code():
    class Least(d.StreamSession):
        traits = d.StreamTraits()

        def media(self, track: str, frame: int, audio: bytes, now_ms: int) -> bytes:
            return audio

    least = Least()
    sent = [
        least.opened(0),
        least.mark("a", True, 0),
        least.dtmf("1", 0),
        least.playback("drained", None, 0),
        least.keepalive(0),
        least.stop(0),
    ]
    assert not any(sent)
    assert not least.unreadable("why", 0)
    assert not least.read_text(b"{}", 0)
    assert not least.read_binary(b"", 0)
    assert least.handshake(d.Attempt(0, "")) == d.Handshake()
