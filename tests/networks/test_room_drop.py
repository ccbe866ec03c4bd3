"""A mixed room whose participant loses its network for some seconds, or its socket: sound comes back."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp

from softswitch import client
from tests.networks.conftest import Place
from tests.support import sound
from tests.support.rooms import Browser, Rest, tones

HZ = 620.0


@contextmanager
def humming(place: Place, room: str) -> Iterator[None]:
    """Let a call on the side of the switch hum in a room."""
    ready, stop = threading.Event(), threading.Event()

    async def hum() -> None:
        url = place.switch.socket_url("/call")
        async with client.connect(url, option={"callee": f"room:{room}"}) as call:
            ready.set()
            piece = sound.tone(HZ, 0.5).tobytes()
            while not stop.is_set():
                await call.stream(piece)

    def work() -> None:
        with place.here.entered():
            asyncio.run(hum())

    thread = threading.Thread(target=work, name="humming")
    thread.start()
    try:
        assert ready.wait(20)
        yield
    finally:
        stop.set()
        thread.join(20)


def test_sound_of_a_room_comes_back_after_a_drop_and_goes_on_without_the_socket(place):
    async def listen() -> None:
        async with aiohttp.ClientSession() as http:
            rest = Rest(place.switch, http)
            room = await rest.create(max_participants=5)
            with humming(place, room):
                async with Browser(place.switch) as peer:
                    await peer.join(room, "listener")
                    await peer.talk()
                    assert await hears(peer)
                    place.plug(False)
                    await asyncio.sleep(2.5)
                    peer.rtc.sounds.clear()
                    place.plug(True)
                    # The same connection: neither an offer nor a socket was needed.
                    assert await hears(peer)
                    # The socket breaks, and is replaced; the sound does not care.
                    socket: Any = peer._ws
                    socket._response.connection.transport.abort()
                    await peer.closed()
                    assert await hears(peer)
                    async with Browser(place.switch) as again:
                        await again.say("room:join", roomId=room, agentId="listener", metadata={})
                        joined = await again.wait("room:joined")
                        assert joined["participantId"] == peer.id
                        again.room, again.id = room, peer.id
                        await again.say("room:mute", muted=True)
                        assert (await again.wait("room:muted"))["muted"] is True
                        assert await hears(peer)
                        await again.say("room:leave")
                        await again.wait("room:participant-left")

    place.run(listen)


async def hears(peer: Browser) -> bool:
    """Tell whether the hum arrives within ten seconds."""
    for _ in range(20):
        if tones(await peer.hear(0.5), [HZ], 48000):
            return True
    return False
