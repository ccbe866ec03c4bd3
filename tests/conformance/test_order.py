"""Section 2: the order of events, how calls end, close codes, and coming back."""

import asyncio
import uuid

import aiohttp
import pytest

from tests.conformance.conftest import StartSwitch, Switch
from tests.support import sound
from tests.support.client import Client, calling, refusal
from tests.support.waiting import until
from tests.support.webrtc import RtcClient

ROUTES = ["/call", "/call/webrtc"]


@pytest.mark.row("2:first-command", "2:close-1008", "3:error-track")
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "text",
    [
        '{"command":"tts","text":"x"}',
        '{"command":"hangup"}',
        '{"command":"dance"}',
        "{",
        "[]",
        "",
    ],
)
async def test_first_frame_must_set_a_call_up(switch: Switch, route: str, text: str) -> None:
    async with switch.client(route, id=(name := uuid.uuid4().hex)) as client:
        await client.text(text)
        error = await client.wait("error")
        assert (error["sender"], error["trackId"]) == ("handle_call", name)
        assert await client.closed() == 1008
        assert client.count("hangup") == client.count("answer") == 0


@pytest.mark.row("2:first-command")
async def test_first_frame_may_not_be_audio(switch: Switch) -> None:
    async with switch.client() as client:
        await client.binary(bytes(640))
        assert (await client.wait("error"))["sender"] == "handle_call"
        assert await client.closed() == 1008


@pytest.mark.row("2:first-command")
async def test_client_that_says_nothing_is_closed(start_switch: StartSwitch) -> None:
    switch = start_switch({"limits": {"handshake_timeout_s": 0.3}})
    async with switch.client() as client:
        assert (await client.wait("error"))["sender"] == "handle_call"
        assert await client.closed() == 1008


@pytest.mark.row("2:accept-first", "4:accept")
@pytest.mark.parametrize("route", ROUTES)
async def test_accept_as_first_command_is_an_invite(switch: Switch, route: str) -> None:
    async with switch.phone(route) as client:
        option = {"offer": await client.offer()} if isinstance(client, RtcClient) else {}
        await client.send("accept", option={"caller": "1", "callee": "2", **option})
        answer = await client.wait("answer")
        assert (answer["sdp"] == "") == (route == "/call")


@pytest.mark.row(
    "2:order", "2:server-closes", "2:close-1000", "8:answer", "8:trackStart", "8:trackEnd", "8:hangup"
)
@pytest.mark.parametrize("route", ROUTES)
async def test_events_come_in_their_order(switch: Switch, route: str) -> None:
    async with switch.phone(route, id=(name := uuid.uuid4().hex)) as client:
        await client.call(vad=False)
        await client.until(lambda: client.count("trackStart") == 1)
        await client.send("tts", text="Hello.", playId="p", endOfStream=True)
        await client.wait("trackEnd", lambda event: event.get("playId") == "p")
        await client.hang_up(reason="done", initiator="user")
        # The first audio may come at any time after the answer.
        assert [kind for kind in client.names() if kind != "mediaReady"] == [
            "answer", "trackStart", "trackStart", "trackEnd", "trackEnd", "hangup",
        ]  # fmt: skip
        party = [event for event in client.events if event.get("trackId") == name]
        names = [event["event"] for event in party if event["event"] != "mediaReady"]
        assert names == ["answer", "trackStart", "trackEnd", "hangup"]
        assert client.close_code == 1000


@pytest.mark.row("2:hangup-everywhere", "2:hangup-once", "8:reasons", "8:initiators")
@pytest.mark.parametrize("route", ROUTES)
async def test_hangup_comes_once_for_every_way_of_ending(
    switch: Switch, http: aiohttp.ClientSession, route: str
) -> None:
    async def by_command(client: Client) -> tuple[str, str]:
        await client.send("hangup", reason="a reason", initiator="a client")
        return "a reason", "a client"

    async def by_default(client: Client) -> tuple[str, str]:
        await client.send("hangup")
        return "user_requested", "user"

    async def by_kill(client: Client) -> tuple[str, str]:
        name = client.events[0]["trackId"]
        async with http.post(switch.url(f"/call/kill/{name}")) as response:
            assert response.status == 200
        return "killed", "system"

    async def by_autohangup(client: Client) -> tuple[str, str]:
        await client.send("tts", text="Bye.", autoHangup=True)
        return "autohangup", "system"

    for end in (by_command, by_default, by_kill, by_autohangup):
        async with switch.phone(route) as client:
            await client.call(vad=False)
            expected = await end(client)
            hangup = await client.wait("hangup")
            assert (hangup["reason"], hangup["initiator"]) == expected
            assert await client.closed() == 1000
            assert client.count("hangup") == 1
            assert client.names()[-1] == "hangup"


@pytest.mark.row("2:hangup-everywhere")
async def test_hangup_comes_when_a_webrtc_party_goes(switch: Switch) -> None:
    async with switch.rtc() as client:
        await client.call()
        await client.peer.close()
        hangup = await client.wait("hangup", timeout=45)
        assert hangup["reason"] in {"caller", "media_timeout"}
        assert await client.closed() == 1000


@pytest.mark.row("2:bad-command-lives", "8:error")
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('{"command":"dance"}', "dance"),
        ('{"command":1}', "command"),
        ("{", "JSON"),
        ("[]", "object"),
        ('{"command":"tts","text":5}', "text"),
        ('{"command":"play"}', "url"),
        ('{"command":"dtmf","digits":"x"}', "digits"),
        ('{"command":"tts","text":"x","option":{"speed":99}}', "speed"),
    ],
)
async def test_later_bad_command_is_an_error_and_the_call_lives(
    switch: Switch, route: str, text: str, word: str
) -> None:
    async with switch.phone(route) as client:
        await client.call()
        await client.text(text)
        error = await client.wait("error")
        assert error["sender"] == "command"
        assert isinstance(error["code"], int)
        assert word in error["error"], error
        await client.send("mark", name="alive")
        assert (await client.wait("mark"))["name"] == "alive"
        await client.hang_up()


@pytest.mark.row("2:setup-failure")
@pytest.mark.parametrize(
    ("route", "option"),
    [
        ("/call", {"codec": "mp3"}),
        ("/call/webrtc", {"offer": ""}),
        ("/call/webrtc", {}),
        ("/call/webrtc", {"offer": "v=0\r\no=- 1234567890 2 IN IP4 127.0.0.1\r\n..."}),
        ("/call/webrtc", {"offer": "not SDP"}),
        ("/call/webrtc", {"offer": "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"}),
        ("/call/webrtc", {"offer": "v=0\r\nm=audio\r\n"}),
    ],
)
async def test_setup_that_fails_tells_why_and_ends(
    switch: Switch, route: str, option: dict[str, str]
) -> None:
    async with switch.client(route) as client:
        await client.send("invite", option=option)
        error = await client.wait("error")
        assert error["sender"] == "invite"
        await client.wait("hangup")
        assert await client.closed() == 1000
        assert client.names() == ["error", "hangup"]


@pytest.mark.row("2:setup-failure")
async def test_setup_fails_for_an_offer_without_a_codec_of_ours(switch: Switch) -> None:
    async with switch.rtc() as client:
        offer = await client.offer(["pcmu"])
        await client.send("invite", option={"offer": offer.replace("PCMU/8000", "AMR/8000")})
        assert (await client.wait("error"))["sender"] == "invite"
        await client.wait("hangup")
        await client.closed()


@pytest.mark.row("2:close-1001")
async def test_shutdown_tells_reason_and_closes_with_1001(start_switch: StartSwitch) -> None:
    switch = start_switch({"limits": {"drain_s": 0.2}})
    async with switch.client() as client:
        await client.invite()
        stopping = asyncio.ensure_future(asyncio.to_thread(switch.stop))
        hangup = await client.wait("hangup")
        assert (hangup["reason"], hangup["initiator"]) == ("server_shutdown", "system")
        assert await client.closed() == 1001
        await stopping


@pytest.mark.row("2:close-1009")
async def test_message_too_big_closes_with_1009(switch: Switch) -> None:
    async with switch.client() as client:
        await client.invite()
        await client.binary(bytes(3 * 1024 * 1024))
        assert await client.closed() == 1009
    async with switch.client() as client:
        await client.invite()
        await client.text('{"command":"tts","text":"' + "x" * 300_000 + '"}')
        assert await client.closed() == 1009


@pytest.mark.row("2:close-1011")
async def test_internal_failure_ends_that_call_alone_with_1011(switch: Switch) -> None:
    async with switch.client() as other, switch.client() as client:
        await other.invite()
        name = (await client.invite())["trackId"]
        with switch.breaking(name):
            await client.send("history", speaker="user", text="this one breaks")
            error = await client.wait("error")
            hangup = await client.wait("hangup")
            assert (hangup["reason"], hangup["initiator"]) == ("error", "system")
            assert "broken on purpose" not in error["error"], "internal texts stay inside"
            assert await client.closed() == 1011
        await other.send("history", speaker="user", text="fine")
        assert (await other.wait("addHistory"))["text"] == "fine"
        await other.hang_up()


@pytest.mark.row("2:close-1011")
@pytest.mark.parametrize("method", ["report", "elapse", "take_events", "take_effects", "deadline"])
async def test_failure_anywhere_in_a_call_is_not_the_others(switch: Switch, method: str) -> None:
    async with switch.client() as other, switch.client() as client:
        await other.invite(vad=False)
        name = (await client.invite(vad=False))["trackId"]
        with switch.breaking(name, method):
            await client.send("collect", timeoutMs=100)
            await client.send("tts", text="Hello.", playId="p", endOfStream=True)
            assert await client.closed(timeout=20) == 1011
        assert [event["reason"] for event in client.all("hangup")] == ["error"]
        assert client.names()[-1] == "hangup"
        await other.send("tts", text="Fine.", playId="p", endOfStream=True)
        await other.wait("trackEnd", lambda event: event.get("playId") == "p")
        await other.hang_up()


@pytest.mark.row("2:close-1013")
async def test_full_switch_refuses(start_switch: StartSwitch) -> None:
    switch = start_switch({"limits": {"calls": 1}})
    async with switch.client() as first:
        await first.invite()
        error = await refusal(switch.client())
        assert error is not None
        assert error.status == 503
        assert error.headers is not None
        assert int(error.headers["Retry-After"]) > 0
        await first.hang_up()
    async with switch.client() as third:
        await third.invite()


@pytest.mark.row("2:close-1013")
async def test_reader_that_is_too_slow_is_closed_and_nobody_else(start_switch: StartSwitch) -> None:
    switch = start_switch({"limits": {"socket_buffer_bytes": 65536}})
    async with switch.client() as other, switch.client() as client:
        await other.invite()
        await client.invite(callee="tone", samplerate=48000)
        client.stop_reading()
        for number in range(40):
            await client.send("history", speaker="user", text=f"{number} " + "x" * 200_000)
            await asyncio.sleep(0.03)
        await until(lambda: switch.calls() == 1, "the slow reader is still there", 30)
        client.read_again()
        await client.closed()
        await other.send("mark", name="fine")
        await other.wait("mark")
        await other.hang_up()


@pytest.mark.row("2:ends-with-socket")
@pytest.mark.parametrize("route", ROUTES)
async def test_call_ends_with_its_socket(switch: Switch, http: aiohttp.ClientSession, route: str) -> None:
    name = uuid.uuid4().hex
    async with switch.phone(route, id=name) as client:
        await client.call()
        await client.socket.close()
    lines = await switch.dumped(name, "hangup")
    assert "caller" in str(lines[-1])

    async def gone() -> bool:
        async with http.get(switch.url("/call/lists")) as response:
            return name not in await response.text()

    async with asyncio.timeout(60):
        while not await gone():
            await asyncio.sleep(0.02)


@pytest.mark.row("2:ends-with-socket")
async def test_call_ends_when_its_socket_is_cut(switch: Switch) -> None:
    name = uuid.uuid4().hex
    async with switch.client(id=name) as client:
        await client.invite()
        client.cut()
        await switch.dumped(name, "hangup")


@pytest.mark.row("2:resume")
async def test_call_can_be_resumed_with_its_token_and_nothing_is_lost(switch: Switch) -> None:
    name = uuid.uuid4().hex
    async with switch.client(id=name, resume=20) as first:
        answer = await first.invite()
        token = answer["resume"]
        await first.send("history", speaker="user", text="one")
        seen = (await first.wait("addHistory"))["seq"]
        await first.send("collect", timeoutMs=700, minDigits=1)
        first.cut()
        await first.closed()
    await asyncio.sleep(1.0)
    again = switch.client(id=name, resume=token, seq=seen)
    again.counted = False
    async with again:
        collected = await again.wait("collect")
        assert collected["reason"] == "timeout"
        numbers = [event["seq"] for event in again.events if event["event"] != "resumed"]
        assert numbers[0] == seen + 1
        assert numbers == sorted(set(numbers))
        await again.send("history", speaker="user", text="two")
        assert (await again.wait("addHistory"))["text"] == "two"
        await again.binary(sound.tone(440, 0.1).tobytes())
        await again.hang_up()


@pytest.mark.row("2:resume")
async def test_resume_token_is_good_for_its_call_until_the_next_one_is_used(switch: Switch) -> None:
    async with (
        calling(switch.socket_url("/call", id="mine-" + uuid.uuid4().hex, resume=20)) as client,
        calling(switch.socket_url("/call", id="other-" + uuid.uuid4().hex, resume=20)) as other,
    ):
        name, token = client.events[0]["trackId"], client.events[0]["resume"]
        foreign = other.events[0]["resume"]
        assert len(token) >= 20
        client.cut()
        await client.closed()
        for bad in ("guess" * 6, foreign):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                async with switch.client(id=name, resume=bad):
                    pass
            assert caught.value.status in {403, 404}
        # The connection that brings the next token breaks, twice.
        successors = []
        for _ in range(2):
            again = switch.client(id=name, resume=token)
            again.counted = False
            async with again:
                successors.append((await again.wait("resumed"))["resume"])
                again.cut()
                await again.closed()
        assert successors[0] == successors[1]
        again = switch.client(id=name, resume=successors[0])
        again.counted = False
        async with again:
            with pytest.raises(aiohttp.WSServerHandshakeError):
                async with switch.client(id=name, resume=token):
                    pass
            await again.hang_up()
        await other.hang_up()


@pytest.mark.row("2:resume")
async def test_call_ends_when_nobody_comes_back(switch: Switch) -> None:
    name = uuid.uuid4().hex
    async with switch.client(id=name, resume=1) as client:
        await client.invite()
        await client.socket.close()
    await asyncio.sleep(0.3)
    assert "hangup" not in str(switch.dump(name))
    await switch.dumped(name, "hangup")
