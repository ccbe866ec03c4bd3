"""Recording while a call runs: start, pause, resume, stop in every dialect, by authority of the account."""

import asyncio
import io
import uuid
import wave
from datetime import datetime
from functools import partial

import aiohttp
import numpy as np
import numpy.typing as npt
import pytest

from tests.conformance.conftest import StartSwitch, Switch
from tests.support.client import Client
from tests.support.wire import Event

ADMIN, ONE, TWO = "key-of-an-administrator", "key-of-account-one", "key-of-account-two"
KEYS = [f"root:{ADMIN}:admin+call", f"one:{ONE}:call", f"two:{TWO}:call"]


@pytest.fixture
def guarded(start_switch: StartSwitch) -> Switch:
    """Give a switch with two accounts."""
    return start_switch({"auth": {"api_keys": KEYS}})


async def loudness(switch: Switch, http: aiohttp.ClientSession, name: str) -> npt.NDArray[np.float64]:
    """Return the loudness of the party's side of a recording in pieces of 100 ms."""
    async with http.get(switch.url(f"/recordings/{name}", token=ADMIN)) as response:
        assert response.status == 200
        body = await response.read()
    with wave.open(io.BytesIO(body)) as file:
        rate, pcm = file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2")
    left = pcm.reshape(-1, 2)[:, 0].astype(np.float64)
    piece = rate // 10
    loud: npt.NDArray[np.float64] = np.abs(left[: len(left) // piece * piece]).reshape(-1, piece).max(axis=1)
    return loud


async def count(switch: Switch, http: aiohttp.ClientSession) -> int:
    """Return the number of recordings."""
    async with http.get(switch.url("/recordings", token=ADMIN)) as response:
        return len((await response.json())["recordings"])


def is_in(state: str, event: Event) -> bool:
    """Tell whether an event says that the recording is in a state."""
    return bool(event["state"] == state)


async def state_of(switch: Switch, http: aiohttp.ClientSession) -> str:
    """Return what the list of live calls says of the recording of the only call."""
    async with http.get(switch.url("/call/lists", token=ADMIN)) as response:
        (call,) = (await response.json())["calls"]
        return str(call["recording"])


async def tone(client: Client, seconds: float) -> None:
    """Send a tone in real time."""
    samples = np.arange(int(16000 * seconds))
    await client.speak((8000 * np.sin(samples * 2 * np.pi * 440 / 16000)).astype(np.int16), 16000)


async def test_what_is_said_while_it_is_paused_is_silence_in_the_file(
    guarded: Switch, http: aiohttp.ClientSession
) -> None:
    async with guarded.client(token=ONE, id="paused") as client:
        await client.invite(vad=False)
        assert await state_of(guarded, http) == "off"
        for action, state in (
            ("start", "started"),
            ("pause", "paused"),
            ("resume", "resumed"),
            ("stop", "stopped"),
        ):
            await client.send("record", action=action, requestId=action)
            told = await client.wait("recording", partial(is_in, state))
            shown = {"started": "on", "resumed": "on", "paused": "paused", "stopped": "off"}
            assert await state_of(guarded, http) == shown[state]
            if action != "stop":
                await tone(client, 0.8)
        assert told["duration"] >= 2000
        await client.send("record", action="stop")
        assert (await client.wait("error"))["code"] == 409
        await client.send("record", action="start")
        await client.until(lambda: client.count("recording") == 5, what="a second recording")
        await tone(client, 0.2)
        await client.hang_up()
    loud = await loudness(guarded, http, told["file"])
    quiet = np.flatnonzero(loud < 5)
    assert 4 <= len(quiet) <= len(loud) - 8, loud
    assert loud[1:5].min() > 1000, loud
    assert loud[-4:-1].min() > 1000, loud
    # The second file is complete a moment after its call.
    async with asyncio.timeout(60):
        while await count(guarded, http) < 2:
            await asyncio.sleep(0.05)


async def test_other_accounts_neither_record_nor_pause(guarded: Switch, http: aiohttp.ClientSession) -> None:
    name = uuid.uuid4().hex

    async def ask(key: str, action: str, path: str = "/v1/call") -> int:
        url, headers = guarded.url(f"{path}/{name}/recording"), {"Authorization": f"Bearer {key}"}
        async with http.post(url, json={"action": action}, headers=headers) as response:
            return response.status

    async with guarded.client(id=name, token=ONE) as client:
        await client.invite(vad=False)
        assert await ask(TWO, "start") == 404
        assert await ask("wrong", "start") == 401
        assert await ask(ONE, "begin") == 400
        assert await ask(ONE, "pause") == 422
        assert await ask(ONE, "start") == 200
        assert await ask(TWO, "stop") == 404
        assert await ask(ADMIN, "pause", "/v1/calls") == 200
        assert await ask(ONE, "stop") == 200
        async with asyncio.timeout(60):
            # One that is stopped within milliseconds may not have begun, which an error says.
            while not any(
                event["event"] == "error" or event.get("state") == "stopped" for event in client.events
            ):
                await asyncio.sleep(0.01)
        await client.hang_up()


@pytest.mark.parametrize(("setting", "asked"), [(2.0, None), (0.0, 2000), (0.0, None)])
async def test_party_hears_beeps_while_it_is_recorded_where_they_are_asked_for(
    start_switch: StartSwitch, setting: float, asked: int | None
) -> None:
    switch = start_switch({"recording": {"tone_s": setting}})
    recorder = {"format": "wav"} | ({"tone": asked} if asked else {})
    async with switch.client("/call") as client:
        await client.send("invite", option={"recorder": recorder, "vad": False})
        await client.wait("recording", partial(is_in, "started"))
        if setting or asked:
            await client.until(lambda: any(loud(pcm) for _, pcm in client.audio), what="a beep")
        else:
            await tone(client, 0.6)
        await client.hang_up()
    assert any(loud(pcm) for _, pcm in client.audio) is bool(setting or asked)


def loud(pcm: bytes) -> bool:
    """Tell whether a piece of audio is louder than a whisper."""
    return bool(np.abs(np.frombuffer(pcm, "<i2").astype(np.float64)).max(initial=0) > 1000)


async def test_record_says_when_the_recording_began(guarded: Switch, http: aiohttp.ClientSession) -> None:
    async with guarded.client(token=ONE, id="late") as client:
        await client.invite(vad=False)
        await tone(client, 0.6)
        await client.send("record", action="start")
        await client.wait("recording", partial(is_in, "started"))
        await tone(client, 0.3)
        await client.hang_up()
    async with asyncio.timeout(60):
        while True:
            async with http.get(guarded.url("/calls/late", token=ADMIN)) as response:
                record = await response.json()
            if response.status == 200 and "recordingAt" in record:
                break
            await asyncio.sleep(0.05)
    began = datetime.fromisoformat(record["recordingAt"]) - datetime.fromisoformat(record["answeredAt"])
    assert began.total_seconds() > 0.3


async def test_recording_is_written_down_after_the_call_where_it_was_asked_for(
    start_switch: StartSwitch, http: aiohttp.ClientSession
) -> None:
    switch = start_switch({"auth": {"api_keys": KEYS}})
    for name, transcribe in (("kept", True), ("plain", False)):
        async with switch.client(token=ONE, id=name) as client:
            await client.invite(vad=False, recorder={"transcribe": transcribe})
            await tone(client, 0.3)
            await client.hang_up()
    async with asyncio.timeout(60):
        while True:
            async with http.get(switch.url("/calls/kept", token=ADMIN)) as response:
                if response.status == 200 and (await response.json())["transcript"]:
                    break
            await asyncio.sleep(0.05)
    async with http.get(switch.url("/calls/plain", token=ADMIN)) as response:
        assert (await response.json())["transcript"] is None
