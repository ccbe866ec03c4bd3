"""What one client may ask for beside a call of another: no piece of work may hold the loop or a tick.

The work is measured by the processor time of each callback of the loop and of each tick
(`tests.support.watch`), so that a loaded machine does not matter. 10 ms are allowed; the bound here leaves
room for a slow processor.
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

import aiohttp
import pytest

from softswitch.app import SWITCH
from softswitch.store.store import Recording
from tests.conformance.conftest import Switch
from tests.files.audio_files import make, odd_wav
from tests.support import sound
from tests.support.client import Client, calling
from tests.support.rooms import Rest, Socket
from tests.support.servers import Files
from tests.support.switch import SwitchThread
from tests.support.watch import watching

MOST_S = 0.03
"""Processor seconds that one callback of the loop, or one tick, may take."""
BIG = 260_000
"""Characters of a message that is just within `[limits] message_bytes`."""


@dataclass
class Attacked:
    """What an attack has at hand."""

    switch: Switch
    files: Files
    http: aiohttp.ClientSession

    @contextlib.asynccontextmanager
    async def attacker(self, **query: object) -> AsyncIterator[Client]:
        """Give a call that is answered."""
        async with calling(self.switch.socket_url("/call", **query), vad=False) as client:
            yield client
            await client.send("hangup")
            await client.closed()

    async def first(self, message: object, path: str = "/call") -> None:
        """Send a first message, and leave after the answer to it, whatever it is."""
        async with Client(self.switch.socket_url(path, dump="true")) as client:
            await client.text(message if isinstance(message, str) else json.dumps(message))
            await client.until(lambda: bool(client.events) or client.close_code is not None)


Attack = Callable[[Attacked], Awaitable[None]]
ATTACKS: dict[str, Attack] = {}


def attack(work: Attack) -> Attack:
    """List an attack by its name."""
    ATTACKS[work.__name__] = work
    return work


# --- playing ------------------------------------------------------------------------------


async def eight_loops(target: Attacked, url: str) -> None:
    """Loop a file on eight layers, for a second."""
    async with target.attacker() as client:
        for layer in range(8):
            await client.send("play", url=url, playId=f"p{layer}", layer=f"l{layer}", loop=True)
        await client.until(lambda: client.count("trackStart") > 8)
        await asyncio.sleep(1)


@attack
async def loop_of_one_sample(target: Attacked) -> None:
    await eight_loops(target, target.files.put("one.wav", odd_wav(rate=24000, audio=b"\0\1")))


@attack
async def loop_of_a_few_milliseconds(target: Attacked) -> None:
    await eight_loops(target, target.files.put("few.wav", odd_wav(audio=bytes(100))))


@attack
async def file_without_a_decoder(target: Attacked) -> None:
    url = target.files.put("odd.wav", odd_wav(bits=45))
    async with target.attacker() as client:
        for number in range(8):
            loop = bool(number % 2)
            await client.send("play", url=url, playId=f"p{number}", layer=f"l{number}", loop=loop)
        await client.until(lambda: client.count("error") == 8 and client.count("trackEnd") == 8)
        assert all(url in error["error"] for error in client.all("error"))


@attack
async def large_file(target: Attacked) -> None:
    url = target.files.put("large.wav", odd_wav(rate=48000, channels=2, audio=bytes(20_000_000)))
    async with target.attacker() as client:
        await client.send("play", url=url, loop=True)
        await client.wait("trackStart", lambda event: event["trackId"] != client.events[0]["trackId"])
        await asyncio.sleep(0.3)


@attack
async def beginning_far_into_a_file(target: Attacked) -> None:
    url = target.files.put("silence.flac", make("flac", 60.0) + bytes(2_000_000))
    async with target.attacker() as client:
        await client.send("play", url=url, offsetMs=50_000_000)
        await client.until(lambda: client.count("trackEnd") + client.count("error") > 0)


@attack
async def file_of_zeros(target: Attacked) -> None:
    url = target.files.put("zeros.mp3", bytes(20_000_000))
    async with target.attacker() as client:
        await client.send("play", url=url)
        await client.wait("error")


# --- speaking -----------------------------------------------------------------------------


async def speak(target: Attacked, text: str) -> None:
    """Speak a text, and stop it."""
    async with target.attacker(dump="true") as client:
        await client.send("tts", text=text, playId="p", endOfStream=True)
        await client.until(lambda: client.count("trackStart") > 1 or client.count("error") > 0)
        await client.send("interrupt")
        await asyncio.sleep(0.2)


@attack
async def text_of_250_kilobytes(target: Attacked) -> None:
    await speak(target, "a word and " * (BIG // 11))


@attack
async def text_of_one_word(target: Attacked) -> None:
    await speak(target, "a" * 65_000)


@attack
async def text_of_tiny_sentences(target: Attacked) -> None:
    await speak(target, "a. " * 21_000)


@attack
async def text_of_stops(target: Attacked) -> None:
    await speak(target, ". " * 32_000 + "end")


@attack
async def text_that_looks_like_secrets(target: Attacked) -> None:
    await speak(target, "a+" * 15_000 + "a://b:" * 5_000)


@attack
async def given_audio_of_two_megabytes(target: Attacked) -> None:
    text = base64.b64encode(bytes(190_000)).decode()
    async with target.attacker() as client:
        for number in range(8):
            await client.send("tts", text=text, base64=True, playId=f"p{number}", layer=f"l{number}")
        await asyncio.sleep(0.5)


# --- messages -----------------------------------------------------------------------------


@attack
async def grammar_of_40000_phrases(target: Attacked) -> None:
    phrases = ["ab"] * (BIG // 6)
    await target.first({"command": "invite", "option": {"asr": {"provider": "builtin", "grammar": phrases}}})


@attack
async def grammar_of_1900_phrases(target: Attacked) -> None:
    phrases = [f"say {number} again and again" for number in range(1900)]
    await target.first({"command": "invite", "option": {"asr": {"provider": "builtin", "grammar": phrases}}})


@attack
async def json_that_is_deep(target: Attacked) -> None:
    await target.first('{"command":"invite","option":' + "[" * 130_000 + "]" * 130_000 + "}")


@attack
async def json_that_is_wide(target: Attacked) -> None:
    await target.first('{"command":"invite","option":{"extra":[' + "[]," * 80_000 + "[]]}}")


@attack
async def json_of_many_headers(target: Attacked) -> None:
    headers = {f"X-{number}": "a" for number in range(15_000)}
    await target.first({"command": "invite", "option": {"sip": {"headers": headers}}})


@attack
async def json_of_many_numbers(target: Attacked) -> None:
    await target.first('{"command":"invite","option":{"x":[' + "1," * 129_000 + "1]}}")


@attack
async def dump_of_large_commands(target: Attacked) -> None:
    async with target.attacker(dump="true") as client:
        for number in range(10):
            await client.send("history", speaker="bot", text="bearer " * (BIG // 8), requestId=f"r{number}")
        await client.until(lambda: client.count("ack") + client.count("error") >= 10)


@attack
async def command_by_rest(target: Attacked) -> None:
    async with target.attacker() as client:
        url = target.switch.url(f"/command/{client.events[0]['trackId']}")
        body = '{"command":"mark","name":"m","x":[' + "[]," * 80_000 + "[]]}"
        async with target.http.post(url, data=body) as answer:
            assert answer.status == 413


# --- descriptions -------------------------------------------------------------------------


async def offer(target: Attacked, sdp: str) -> None:
    """Offer a description on `/call/webrtc`."""
    await target.first({"command": "invite", "option": {"offer": sdp}}, "/call/webrtc")


@attack
async def sdp_of_many_media(target: Attacked) -> None:
    await offer(target, "v=0\r\n" + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" * 1_900)


@attack
async def sdp_of_many_attributes(target: Attacked) -> None:
    head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"
    await offer(target, head + "a=rtpmap:0 PCMU/8000\r\n" * 1_900)


@attack
async def sdp_of_one_line(target: Attacked) -> None:
    await offer(target, "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF " + "0 " * 32_000)


@attack
async def sdp_of_candidates(target: Attacked) -> None:
    head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"
    await offer(target, head + "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n" * 1_300)


# --- lists and rooms ----------------------------------------------------------------------


@attack
async def list_of_thousands_of_recordings(target: Attacked) -> None:
    app = target.switch.app
    assert app is not None
    store = app[SWITCH].resources.store

    async def fill() -> None:
        for number in range(3000):
            store.save_recording(
                Recording(
                    name=f"r{number}.wav",
                    call_id=f"c{number}",
                    created_at=number,
                    size=1,
                    duration_ms=1,
                    container="wav",
                )
            )
            if number % 100 == 0:
                await asyncio.sleep(0.01)

    await asyncio.to_thread(target.switch.inside, fill)
    for path in ("/recordings", "/calls", "/dumps"):
        async with target.http.get(target.switch.url(path, limit=200, offset=100)) as answer:
            assert answer.status == 200


@attack
async def room_of_500(target: Attacked) -> None:
    rest = Rest(target.switch, target.http)
    room = await rest.create(max_participants=500)
    async with contextlib.AsyncExitStack() as stack:
        for number in range(500):
            socket = await stack.enter_async_context(Socket(target.switch))
            await socket.join(room, f"p{number}")
            if number in (200, 499):
                await socket.say("room:leave")
        assert await rest.people(room)
        status, _ = await rest.ask("DELETE", f"/rooms/{room}")
        assert status < 300


@attack
async def bodies_that_are_wide(target: Attacked) -> None:
    wide = "[" + "[]," * 80_000 + "[]]"
    bodies = {
        "/api/v1/rooms": '{"name":"r","settings":' + wide + ',"metadata":{"x":' + wide + "}}",
        "/v1/call": '{"from":"1","to":"2","tag":' + wide + "}",
        "/v1/call/webhooks": '{"url":' + wide + "}",
    }
    for path, body in bodies.items():
        async with target.http.post(target.switch.url(path), data=body) as answer:
            assert 400 <= answer.status < 500, path


@attack
async def bodies_of_many_values(target: Attacked) -> None:
    many = json.dumps({f"k{number}": [number] for number in range(15_000)})
    for path in ("/api/v1/rooms", "/v1/call"):
        body = '{"name":"r","from":"1","to":"2","settings":' + many + ',"tag":' + many + "}"
        async with target.http.post(target.switch.url(path), data=body) as answer:
            assert 400 <= answer.status < 500, path


@attack
async def room_messages_that_are_wide(target: Attacked) -> None:
    room = await Rest(target.switch, target.http).create()
    for value in ("[" + "[]," * 80_000 + "[]]", json.dumps([{"a": 1}] * 25_000)):
        async with Socket(target.switch) as socket:
            start = f'{{"type":"room:join","roomId":"{room}","agentId":"a","metadata":{{"x":'
            await socket.raw(start + value + "}}")
            await socket.wait("room:error")


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchThread]:
    sections = {"rooms": {"max_participants": 500}}
    with SwitchThread(tmp_path_factory.mktemp("attacked") / "data", sections) as running:
        yield running


@pytest.mark.parametrize("name", ATTACKS)
async def test_attack_holds_nothing_up(
    name: str, attacked: SwitchThread, files: Files, http: aiohttp.ClientSession
) -> None:
    attacked.faults.lines.clear()
    target = Attacked(attacked, files, http)
    async with calling(attacked.socket_url("/call"), vad=False) as victim:
        with watching() as work:
            await ATTACKS[name](target)
            tone = base64.b64encode(sound.tone(500, 0.5).tobytes()).decode()
            await victim.send("tts", text=tone, base64=True)
            heard = await victim.hear(0.5)
        await victim.hang_up()
    attacked.check()
    assert sound.share(heard[-4000:], 500) > 0.9
    assert work.loop_s <= MOST_S, f"{work.loop_s * 1000:.1f} ms on the loop: {work.what}"
    assert work.tick_s <= MOST_S, f"{work.tick_s * 1000:.1f} ms in a tick"
