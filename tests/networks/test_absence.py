"""A client of `/call` whose network vanishes: what it did not hear waits for it, or is told as unheard."""

import asyncio
from typing import Any

import aiohttp
import numpy as np
import pytest

from softswitch import client
from softswitch.client import Interruption, State, TrackEnd, TrackStart
from softswitch.protocol.call_events import Resumed
from tests.support import sound
from tests.support.rooms import Rest, Socket

LENGTH_S = 4


async def play(call: client.Call, play_id: str, seconds: int = LENGTH_S) -> None:
    """Have the switch play a tone, as given audio."""
    for _ in range(seconds):
        await call.say_pcm(sound.tone(440, 1.0).tobytes(), play_id=play_id)
    await call.wait(TrackStart, 30, play_id=play_id)


def loud_ms(pieces: list[bytes]) -> int:
    """Return how much of some audio is not silence, in ms."""
    pcm = np.frombuffer(b"".join(pieces), "<i2")
    frames = pcm[: pcm.size // 320 * 320].reshape(-1, 320)
    return int(np.count_nonzero(np.abs(frames.astype(np.int32)).max(axis=1) > 500)) * 20


def test_cable_that_is_pulled_for_some_seconds_costs_no_word(place):
    async def pull():
        async with client.connect(place.switch.socket_url("/call"), resume_s=30) as call:
            heard: list[bytes] = []
            listening = asyncio.create_task(take(call, heard))
            await play(call, "long")
            place.plug(False)
            await asyncio.sleep(3)
            place.plug(True)
            end = await call.wait(TrackEnd, 40, play_id="long")
            await asyncio.sleep(0.3)
            listening.cancel()
            return end, loud_ms(heard), call.state

    end, heard, state = place.run(pull)
    assert state is State.CONNECTED
    assert end.unheard is None
    assert end.duration == pytest.approx(1000 * LENGTH_S, abs=40)
    assert heard == pytest.approx(end.duration, abs=100)


@pytest.mark.parametrize("away", ["pause", "continue"])
def test_what_was_not_heard_is_told_to_a_client_that_comes_back(place, away):
    async def leave():
        option = {"away": away}
        async with client.connect(place.switch.socket_url("/call"), resume_s=30, option=option) as call:
            await play(call, "long", 12)  # longer than a loaded machine needs to come back
            await asyncio.sleep(0.5)
            place.plug(False)
            await asyncio.sleep(2.8)
            link: Any = call._link
            socket = link._socket
            socket._response.connection.transport.abort()
            place.plug(True)
            back = await call.wait(Resumed, 20)
            await asyncio.sleep(0.2)
            await call.interrupt()
            return back, await call.wait(Interruption, 10), await call.wait(TrackEnd, 10, play_id="long")

    back, cut, end = place.run(leave)
    # Without acknowledgements for 2 s playback waits, if it may; else it goes on until the client is back.
    least, most = (1500, 2700) if away == "pause" else (2600, 11000)
    assert least <= back.unheard <= most
    assert cut.unheard == end.unheard == pytest.approx(back.unheard, abs=40)
    assert cut.position == cut.current == end.duration
    assert 100 <= cut.position <= cut.total_duration - cut.unheard


async def take(call: client.Call, heard: list[bytes]) -> None:
    async for data in call.audio():
        heard += [data]


def test_room_tells_again_what_happened_while_the_cable_was_pulled(place):
    async def stay() -> None:
        async with (
            aiohttp.ClientSession() as http,
            Socket(place.switch) as away,
            Socket(place.switch) as back,
        ):
            rest = Rest(place.switch, http)
            room = await rest.create(max_participants=5)
            await away.join(room, "anna")
            status, left = await rest.ask("POST", f"/rooms/{room}/participants", {"agent_id": "early"})
            assert status == 201
            await away.wait("room:participant-joined")
            place.plug(False)
            try:
                with place.here.entered():
                    near = asyncio.create_task(others(place, room, left["id"]))
                    muted = await near
                away.room = away.id = ""
            finally:
                place.plug(True)
            # The old socket still counts as alive: no ping was missed yet. The new one takes the seat.
            seat = (await rest.people(room))[0]["id"]
            joined = await back.join(room, "anna")
            assert joined["participantId"] == seat
            told = await back.wait("room:muted")
            assert told == {"type": "room:muted", "participantId": muted, "muted": True}
            assert await away.wait("room:participant-left", lambda each: each["reason"] == "replaced")
            assert await away.closed() == 1008
            assert {each["agent_id"] for each in await rest.people(room)} == {"anna", "late"}

    place.run(stay)


async def others(place: Any, room: str, left: str) -> str:
    """On the side of the switch: one leaves, another one comes and mutes itself; return its id."""
    async with aiohttp.ClientSession() as http:
        rest = Rest(place.switch, http)
        assert (await rest.ask("DELETE", f"/rooms/{room}/participants/{left}"))[0] == 204
        async with Socket(place.switch) as late:
            await late.join(room, "late")
            await late.say("room:mute", muted=True)
            await late.wait("room:muted")
            return late.id
