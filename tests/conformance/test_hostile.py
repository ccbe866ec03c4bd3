"""Hostile messages and floods: other calls are not disturbed."""

import asyncio
import contextlib
import io
import itertools
import json
import time

import aiohttp
import pytest
from yarl import URL

from tests.conformance.conftest import StartSwitch, Switch
from tests.conftest import data_path
from tests.support import sound
from tests.support.client import Client, calling
from tests.support.raw import BINARY, CLOSE, PING, RawSocket
from tests.support.waiting import until

MESSAGES = data_path("api", "ws_messages.json")


def cases() -> list[dict[str, str]]:
    """Return the list of messages."""
    messages: list[dict[str, str]] = json.loads(MESSAGES.read_text(encoding="utf-8"))
    return messages


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["name"])
async def test_message_of_the_list_harms_nobody(switch: Switch, case: dict[str, str]) -> None:
    name, message = case["name"], case["msg"]
    async with calling(switch.socket_url("/call"), vad=False) as neighbour:
        if message.startswith("@"):
            await generated(switch, message)
        else:
            await plain(switch, message)
        await neighbour.send("mark", name=name)
        assert (await neighbour.wait("mark"))["name"] == name
        await neighbour.hang_up()


async def plain(switch: Switch, message: str) -> None:
    """Send a message first, and then to a call that is up."""
    async with switch.client() as client:
        await client.text(message)
        await client.wait("error")
        assert await client.closed() == 1008
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.text(message)
        if "hangup" in message:
            # A byte order mark is no JSON (RFC 8259 section 8.1); a reader may ignore it, then this hangs up.
            await client.until(lambda: bool(client.count("error") or client.count("hangup")))
        elif "\\u0000" in message or "speed" in message:
            await client.send("mark", name="alive")
            await client.wait("mark")
        else:
            await client.wait("error")
        if not client.count("hangup"):
            await client.hang_up()


async def generated(switch: Switch, message: str) -> None:
    """Send what a generator of the list describes."""
    word, _, rest = message.partition(" ")
    match word:
        case "@repeat":
            text, _, count = rest.rpartition(" ")
            await lives(switch, text * int(count))
        case "@field":
            field, _, size = rest.partition(" ")
            await closes(switch, json.dumps({"command": "tts", field: "x" * int(size)}), 1009)
        case "@media":
            await closes(switch, json.dumps({"event": "media", "media": {"payload": "A" * int(rest)}}), 1009)
        case "@seq":
            await sequence(switch, rest.split(","))
        case "@bin":
            async with switch.client() as client:
                await client.binary(bytes(int(rest)))
                assert (await client.wait("error"))["sender"] == "handle_call"
                assert await client.closed() == 1008
        case "@flood":
            await flood(switch, int(rest))
        case "@marks":
            await marks(switch, int(rest))
        case "@frag":
            async with RawSocket(switch.socket_url("/call")) as raw:
                await raw.fragments(b'{"command":"invite","option":{"vad":false}}', int(rest))
                await raw.fragments(b'{"command":"hangup"}', int(rest))
                texts, code = await raw.end()
                assert [json.loads(text)["event"] for text in texts][-1] == "hangup"
                assert code == 1000
        case "@close-send":
            async with RawSocket(switch.socket_url("/call")) as raw:
                await raw.frame(b'{"command":"invite"}')
                await raw.frame(b"\x03\xe8", CLOSE)
                await raw.frame(b'{"command":"tts","text":"too late"}')
                await raw.end()
        case "@unmasked":
            async with RawSocket(switch.socket_url("/call")) as raw:
                # A server must close then (RFC 6455 section 5.1); aiohttp's reader takes it for a message.
                await raw.frame(b'{"command":"invite"}', masked=False)
                await raw.frame(b'{"command":"hangup"}', masked=False)
                _, code = await raw.end()
                assert code in {1000, 1002, None}
        case _:
            raise AssertionError(f"the list has a generator that this test does not know: {message}")


async def lives(switch: Switch, text: str) -> None:
    """Send a text that is an error to a call that lives on."""
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.text(text)
        await client.wait("error")
        await client.hang_up()


async def closes(switch: Switch, text: str, code: int) -> None:
    """Send a text that closes."""
    async with calling(switch.socket_url("/call"), vad=False) as client:
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            await client.text(text)
        # Who is cut off in the middle of sending may lose the close frame with the rest.
        assert await client.closed() in {code, 1006, None}


async def sequence(switch: Switch, commands: list[str]) -> None:
    """Send commands one behind the other."""
    async with switch.client() as client:
        if commands[0] != "invite":
            await client.invite(vad=False)
        for command in commands:
            await client.send(command)
        if commands[0] == "invite":
            await client.wait("answer")
            assert (await client.wait("error"))["code"] == 409
            assert client.count("answer") == 1
        else:
            await client.closed()
            assert client.count(commands[0]) == 1


async def flood(switch: Switch, factor: int) -> None:
    """Send audio faster than real time, for some seconds of it."""
    async with calling(switch.socket_url("/call"), vad=False) as client:
        for _ in range(10):
            for _ in range(5 * factor):
                await client.binary(bytes(640))
            await asyncio.sleep(0.1)
        await client.send("mark", name="alive")
        await client.wait("mark")
        await client.hang_up()


async def marks(switch: Switch, count: int) -> None:
    """Send far more commands than a client may, then see that the connection was dealt with."""
    async with switch.client() as client:
        await client.invite(vad=False)
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            for number in range(count):
                await client.send("mark", name=str(number))
        assert await client.closed(timeout=60) in {1008, 1006, None}
        assert client.count("mark") < count / 10, "the flood was let through"


async def test_flood_of_commands_is_refused_and_the_neighbour_is_served_meanwhile(switch: Switch) -> None:
    async with (
        calling(switch.socket_url("/call"), vad=False) as client,
        calling(switch.socket_url("/call"), callee="tone", vad=False) as neighbour,
    ):

        async def pour() -> None:
            for number in range(900):
                await client.send("history", speaker="user", text=str(number))
                await asyncio.sleep(0)

        async def wake() -> None:
            while True:
                woken.append(time.monotonic())
                await asyncio.sleep(0.02)

        woken: list[float] = []
        waking = asyncio.ensure_future(wake())
        pouring = asyncio.ensure_future(pour())
        delays = []
        for number in range(10):
            asked = time.monotonic()
            await neighbour.send("mark", name=str(number))
            delays.append(neighbour.when(await neighbour.wait("mark")) - asked)
            await asyncio.sleep(0.05)
        await pouring
        assert sorted(delays)[5] < 0.25, delays
        await client.until(lambda: client.count("error") > 500)
        assert client.count("addHistory") < 300
        assert client.all("error")[0]["code"] == 429
        times = [when for when, _ in neighbour.audio]
        waking.cancel()
        gap = max(late - early for early, late in itertools.pairwise(times))
        own = max(late - early for early, late in itertools.pairwise(woken))
        assert gap < 1.0 + own, f"{gap:.2f} s, while this loop was {own:.2f} s late"
        await neighbour.hang_up()


async def test_flood_of_pings_and_of_empty_frames_harms_nobody(switch: Switch) -> None:
    async with calling(switch.socket_url("/call"), vad=False) as neighbour:
        async with RawSocket(switch.socket_url("/call")) as raw:
            await raw.frame(b'{"command":"invite"}')
            for _ in range(500):
                await raw.frame(b"", PING)
                await raw.frame(b"", BINARY)
        await neighbour.send("mark", name="fine")
        await neighbour.wait("mark")
        await neighbour.hang_up()


@pytest.mark.parametrize(
    "kind", ["reserved bits", "unknown opcode", "long ping", "bad UTF-8", "lone continuation"]
)
async def test_broken_frames_close_that_connection_alone(switch: Switch, kind: str) -> None:
    async with RawSocket(switch.socket_url("/call")) as raw:
        match kind:
            case "reserved bits":
                await raw.frame(b"{}", reserved=7)
            case "unknown opcode":
                await raw.frame(b"{}", 5)
            case "long ping":
                await raw.frame(bytes(200), PING)
            case "bad UTF-8":
                await raw.frame(b"\xff\xfe\xfd")
            case _:
                await raw.frame(b"x", 0)
        _, code = await raw.end()
        assert code in {1002, 1007, 1008, None}


JSON_TEXTS = [
    "NaN",
    '{"command":"tts","text":"x","speed":NaN}',
    '{"command":"play","url":"x","gain":Infinity}',
    '{"command":"play","url":"x","gain":1e400}',
    '{"command":"history","speaker":"x","text":"\\ud800"}',
    '{"command":"collect","timeoutMs":99999999999999999999}',
    '{"command":"interrupt","fadeOutMs":-1}',
    '{"command":"tts","text":"x","waitInputTimeout":1e99}',
    '{"command":"mute","trackId":{"a":1}}',
    '{"command":"custom","data":' + '{"a":' * 3000 + "1" + "}" * 3001,
    '{"command":["tts"]}',
    '{"command":"tts","command":1}',
    "\x00",
    '"' + "x" * 1000 + '"',
    "[" * 5000 + "]" * 5000,
]


@pytest.mark.parametrize("text", JSON_TEXTS, ids=lambda text: text[:40])
async def test_hostile_json_is_an_error_event(switch: Switch, text: str) -> None:
    async with calling(switch.socket_url("/call"), vad=False) as client:
        await client.text(text)
        await client.wait("error")
        await client.hang_up()


async def test_many_sockets_that_say_nothing_are_bounded_by_address(start_switch: StartSwitch) -> None:
    switch = start_switch({"limits": {"calls_per_ip": 5}})
    clients: list[Client] = []
    refused = 0
    try:
        for _ in range(10):
            client = switch.client()
            try:
                await client.__aenter__()
            except aiohttp.WSServerHandshakeError:
                refused += 1
                continue
            clients.append(client)
            await client.invite(vad=False)
    finally:
        for client in clients:
            await client.__aexit__(None, None, None)
    assert refused == 5
    await until(lambda: switch.calls() == 0, "calls are left")


async def test_long_request_line_and_huge_headers_are_refused(
    switch: Switch, http: aiohttp.ClientSession
) -> None:
    async with http.get(switch.url("/call/lists", x="y" * 20000)) as response:
        assert response.status in {400, 414, 431}
    async with http.get(switch.url("/call/lists"), headers={"X-Big": "y" * 20000}) as response:
        assert response.status in {400, 431}
    async with calling(switch.socket_url("/call", id="big-post"), vad=False) as client:
        with contextlib.suppress(aiohttp.ClientError):  # who is cut off may lose the answer
            async with http.post(
                switch.url("/command/big-post"), data=io.BytesIO(bytes(3_000_000))
            ) as response:
                assert response.status == 413
        await client.hang_up()


async def test_paths_that_try_to_leave_their_folder_find_nothing(
    switch: Switch, http: aiohttp.ClientSession
) -> None:
    for path in (
        "/recordings/..%2fsoftswitch.db",
        "/recordings/%2e%2e%2fsoftswitch.db",
        "/recordings/softswitch.db",
        "/dumps/..%2fsoftswitch",
        "/static/..%2f..%2fpyproject.toml",
        "/static/%2e%2e/pyproject.toml",
        "/static//etc/passwd",
    ):
        url = switch.url("").rstrip("/") + path
        async with http.get(URL(url, encoded=True)) as response:
            assert response.status in {400, 403, 404}, path


async def test_audio_before_the_answer_of_a_slow_set_up_is_bounded(switch: Switch) -> None:
    async with switch.client() as client:
        await client.send("invite", option={"vad": False, "callee": "echo"})
        for _ in range(20):
            await client.binary(sound.silence(1.0).tobytes())
        await client.wait("answer")
        await client.hang_up()
