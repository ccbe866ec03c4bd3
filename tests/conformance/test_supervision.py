"""Supervision of live calls: listen, whisper, join, take over; who may, and what the supervisor is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

import aiohttp
import numpy as np
import pytest

from softswitch.sip import events as hp
from tests.support.client import Client
from tests.support.ports import free_port
from tests.support.sound import Pcm, level, share, tone
from tests.support.speakers import RATE, WAIT_S, Speaker, is_silent, is_tone, speakers
from tests.support.switch import SwitchThread

ADMIN, ONE, TWO, PLAIN = "key-of-an-administrator", "key-of-account-one", "key-of-account-two", "key-without"
KEYS = [
    f"root:{ADMIN}:admin+call+supervise",
    f"one:{ONE}:call+supervise",
    f"two:{TWO}:call+supervise",
    f"plain:{PLAIN}:call",
]
ANNA, BERT, BOSS = 1100.0, 1500.0, 700.0
"""What each of them says, Hz."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchThread]:
    sections = {
        "sip": {"port": free_port()},
        "auth": {"api_keys": KEYS},
        "limits": {"supervisors_per_call": 2},
        "user": [{"name": name, "password": "secret"} for name in ("anna", "bert", "carl")],
        "route": [
            {"match": "bert", "to": "user:bert", "account": "one"},
            {"match": r"\*9(.+)", "to": r"supervise:\1", "account": "one"},
        ],
    }
    with SwitchThread(tmp_path_factory.mktemp("supervision"), sections) as made:
        yield made
        made.check()


@contextlib.asynccontextmanager
async def talking(switch: SwitchThread) -> AsyncIterator[tuple[Speaker, Speaker, Speaker, str]]:
    """Give the caller anna, the agent bert, a phone that does not talk, and the id of their call."""
    names = ("anna", ANNA), ("bert", BERT), ("carl", BOSS)
    async with speakers(*names) as (anna, bert, carl):
        for one in (anna, bert, carl):
            assert await one.far.register(switch.settings.sip.port, one.name, "secret") == 200
        await asyncio.gather(anna.call(switch.settings.sip.port, "bert"), bert.take())
        await anna.until(is_tone(BERT), 0.2, "voice of the agent")
        await bert.until(is_tone(ANNA), 0.2, "voice of the caller")
        (call,) = await talks(switch)
        try:
            yield anna, bert, carl, str(call["id"])
        finally:
            anna.far.do("bye", anna.session)
        async with asyncio.timeout(WAIT_S):
            while await talks(switch):
                await asyncio.sleep(0.02)


async def listed(switch: SwitchThread, key: str) -> list[dict[str, object]]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(switch.url("/supervise"), headers={"Authorization": f"Bearer {key}"}) as response,
    ):
        assert response.status == 200
        calls: list[dict[str, object]] = (await response.json())["calls"]
        return calls


async def talks(switch: SwitchThread) -> list[dict[str, object]]:
    """Return the calls to the agent."""
    return [call for call in await listed(switch, ONE) if call["callee"] == "bert"]


async def ask(
    switch: SwitchThread, key: str, method: str, path: str, body: object = None
) -> tuple[int, dict[str, object]]:
    async with (
        aiohttp.ClientSession() as http,
        http.request(
            method, switch.url(path), json=body, headers={"Authorization": f"Bearer {key}"}
        ) as response,
    ):
        found: dict[str, object] = await response.json()
        return response.status, found


def are_tones(*them: float) -> Callable[[Pcm], bool]:
    """Tell whether a sound is these tones together, each with its part of the power."""

    def fits(sound: Pcm) -> bool:
        shares = [share(sound, hz, RATE) for hz in them]
        return level(sound) > 300 and sum(shares) > 0.9 and min(shares) > 0.5 / len(them)

    return fits


async def hears(client: Client, fits: Callable[[Pcm], bool], what: str) -> None:
    """Wait until half a second of what a client hears fits."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not fits((await client.hear(0.6))[1600:][::2]):
                pass
    except TimeoutError:
        raise AssertionError(f"the supervisor does not hear {what}") from None


@contextlib.asynccontextmanager
async def speaking(client: Client) -> AsyncIterator[None]:
    """Let a client say a tone all the time."""

    async def speak() -> None:
        while True:
            await client.speak(tone(BOSS, 5.0, 16000, 0.1).astype(np.int16), 16000)

    task = asyncio.create_task(speak())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_supervisor_listens_whispers_joins_and_takes_over(guarded: SwitchThread) -> None:
    async with talking(guarded) as (anna, bert, _, call), guarded.client(token=ONE) as boss:
        await boss.invite(callee=f"supervise:{call}", vad=False)
        told = await boss.wait("supervision")
        assert (told["state"], told["mode"], told["targetSessionId"]) == ("started", "listen", call)
        async with speaking(boss):
            await hears(boss, are_tones(ANNA, BERT), "both parties")
            assert is_tone(BERT)(anna.last(0.4))
            assert is_tone(ANNA)(bert.last(0.4))
            assert (await boss.wait("levels"))["first"] > -40
            await boss.send("supervise", mode="whisper", requestId="w")
            await boss.wait("ack")
            await bert.until(are_tones(ANNA, BOSS), 0.4, "whisper beside the caller")
            assert is_tone(BERT)(anna.last(0.4)), "the caller hears a whisper"
            await hears(boss, are_tones(ANNA, BERT), "both parties")
            await boss.send("supervise", mode="whisper", side="first")
            await anna.until(are_tones(BERT, BOSS), 0.4, "whisper beside the agent")
            await bert.until(is_tone(ANNA), 0.4, "the caller alone")
            await boss.send("supervise", mode="join", side="second")
            await anna.until(are_tones(BERT, BOSS), 0.4, "the supervisor in the call")
            await bert.until(are_tones(ANNA, BOSS), 0.4, "the supervisor in the call")
            (shown,) = await talks(guarded)
            assert shown["supervisors"][0]["mode"] == "join"  # type: ignore[index]
            await boss.send("supervise", mode="takeOver")
            await boss.wait("bridged")
            await bert.far.until(hp.Ended)
            await anna.until(is_tone(BOSS), 0.4, "the supervisor alone")
            await hears(boss, are_tones(ANNA), "the caller alone")
        modes = [event["mode"] for event in boss.events if event["event"] == "supervision"]
        assert modes == ["listen", "whisper", "whisper", "join", "takeOver"]
        await boss.hang_up()
        await anna.far.until(hp.Ended)


async def test_supervision_ends_with_the_call_or_by_command(guarded: SwitchThread) -> None:
    async with guarded.client(token=ONE) as boss:
        await boss.invite(vad=False)
        async with talking(guarded) as (anna, bert, _, call):
            await boss.send("supervise", targetSessionId="bert", mode="join", requestId="1")
            await boss.wait("ack")
            async with speaking(boss):
                await anna.until(are_tones(BERT, BOSS), 0.4, "the supervisor in the call")
                for command in ("bridge", "refer"):
                    await boss.send(command, targetSessionId=call, callee="user:carl")
                    assert (await boss.wait("error"))["code"] == 409
                await boss.send("supervise", mode="stop")
                await boss.wait("supervision", lambda event: event["state"] == "ended")
                await anna.until(is_tone(BERT), 0.4, "the agent alone")
                await boss.send("supervise", mode="join")
                assert "targetSessionId" in (await boss.wait("error"))["error"]
                await boss.send("supervise", targetSessionId=call)
                await hears(boss, are_tones(ANNA, BERT), "both parties")
            assert is_tone(ANNA)(bert.last(0.4))
        await boss.wait("supervision", lambda event: event["state"] == "ended")
        await boss.hang_up()


async def test_what_is_foreign_or_too_much_is_refused(guarded: SwitchThread) -> None:
    async with talking(guarded) as (_, _, _, call):
        assert await listed(guarded, TWO) == []
        for key, code in ((TWO, 404), (PLAIN, 403)):
            async with guarded.client(token=key) as other:
                await other.send("invite", option={"callee": f"supervise:{call}"})
                assert (await other.wait("error"))["code"] == code
                await other.invite(vad=False)
                await other.send("supervise", targetSessionId=call, requestId="r")
                refused = await other.wait("error")
                assert (refused["code"], refused["requestId"]) == (code, "r")
                await other.hang_up()
        assert (await ask(guarded, TWO, "POST", f"/supervise/{call}", {"callee": "user:carl"}))[0] == 404
        assert (await ask(guarded, PLAIN, "POST", f"/supervise/{call}", {"callee": "user:carl"}))[0] == 403
        assert (await ask(guarded, ONE, "POST", f"/supervise/{call}", {}))[0] == 400
        async with contextlib.AsyncExitStack() as stack:
            for number in range(3):
                one = await stack.enter_async_context(guarded.client(token=ONE))
                await one.invite(vad=False)
                await one.send("supervise", targetSessionId=call)
                if number < 2:
                    await one.wait("supervision")
                else:
                    assert (await one.wait("error"))["code"] == 429
        (_, answer) = await ask(guarded, ADMIN, "GET", "/admin/audit?limit=5")
        found = [entry for entry in answer["changes"] if entry["action"] == "supervise"]  # type: ignore[attr-defined]
        assert found[0]["name"] == call
        assert found[0]["who"] == "one"


async def test_telephone_supervises_by_rest_and_by_its_keys(guarded: SwitchThread) -> None:
    async with talking(guarded) as (anna, bert, carl, call):
        status, made = await ask(
            guarded, ONE, "POST", f"/supervise/{call}", {"callee": "carl", "mode": "whisper"}
        )
        assert status == 200
        await carl.take()
        await bert.until(are_tones(ANNA, BOSS), 0.4, "whisper beside the caller")
        await carl.until(are_tones(ANNA, BERT), 0.4, "both parties")
        order = {"supervisor": made["id"], "mode": "join"}
        assert (await ask(guarded, ONE, "POST", f"/supervise/{call}", order))[0] == 200
        await anna.until(are_tones(BERT, BOSS), 0.4, "the supervisor in the call")
        assert (await ask(guarded, TWO, "DELETE", f"/supervise/{call}/{made['id']}"))[0] == 404
        assert (await ask(guarded, ONE, "DELETE", f"/supervise/{call}/{made['id']}"))[0] == 200
        await carl.far.until(hp.Ended)
        await anna.until(is_tone(BERT), 0.4, "the agent alone")


async def test_user_dials_the_call_of_another_user(guarded: SwitchThread) -> None:
    async with talking(guarded) as (anna, bert, carl, _):
        await carl.call(guarded.settings.sip.port, "*9bert")
        await carl.until(are_tones(ANNA, BERT), 0.4, "both parties")
        assert is_tone(BERT)(anna.last(0.4))
        await carl.press("3")
        await anna.until(are_tones(BERT, BOSS), 0.4, "the supervisor in the call")
        await carl.press("2")
        await anna.until(is_tone(BERT), 0.4, "the agent alone")
        await bert.until(are_tones(ANNA, BOSS), 0.4, "whisper beside the caller")
        carl.sends = False
        await bert.until(is_tone(ANNA), 0.4, "the caller alone")
        carl.far.do("bye", carl.session)
        await anna.until(is_tone(BERT), 0.4, "the agent alone")


async def test_supervisor_reads_what_both_sides_say(switch: SwitchThread) -> None:
    async with switch.client() as customer, switch.client() as boss:
        call = (await customer.invite(vad=False))["trackId"]
        await boss.invite(vad=False)
        await boss.send("supervise", targetSessionId=call, transcript=True, requestId="t")
        await boss.wait("ack")

        async def talk() -> None:
            while True:
                await customer.send("tts", text="The weather is nice today.", playId="again")
                await asyncio.sleep(6)

        talks = asyncio.create_task(talk())
        try:
            told = await boss.wait(
                "overheard", lambda event: event["final"] and "weather" in event["text"].lower(), timeout=60
            )
        finally:
            talks.cancel()
            await asyncio.gather(talks, return_exceptions=True)
        assert told["side"] == "second"
        await boss.send("supervise", transcript=False, requestId="u")
        await boss.wait("ack")
        await boss.hang_up()
        await customer.hang_up()


def test_silence_is_told_from_tones() -> None:
    assert is_silent(np.zeros(800, np.int16))
    assert not are_tones(ANNA, BERT)(tone(ANNA, 0.2, RATE, 0.1).astype(np.int16))
