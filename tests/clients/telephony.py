"""A switch between telephones: its settings file, its ports, its webhook, and what to listen for."""

import asyncio
import io
import json
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import numpy as np
from aiohttp import web

from tests.support.ports import free_port
from tests.support.servers import Files
from tests.support.sound import Pcm, level, share, tone
from tests.support.switch import SwitchProcess

TONES = (440, 1000, 620, 1500)
"""Pitches that tell the voices of a test apart, in Hz."""


class Telephony(SwitchProcess):
    """A switch process with SIP on a port of its own."""

    def __init__(self, data: Path, settings_text: str, environment: Mapping[str, str] | None = None) -> None:
        """Take what its settings file says besides `[sip] port`.

        Args:
            data: Its data folder.
            settings_text: TOML; keys of `[sip]` come first, further sections after them.
            environment: Further settings.
        """
        self.sip_port = free_port()
        more = {"SOFTSWITCH_EGRESS_ALLOW": "127.0.0.0/8", **(environment or {})}
        super().__init__(data, more, f"[sip]\nport = {self.sip_port}\n{settings_text}")

    def get(self, path: str) -> Any:
        """Return the JSON of a GET."""
        with urlopen(self.url(path), timeout=60) as response:
            return json.load(response)

    async def until(self, path: str, holds: Any, seconds: float = 60.0) -> Any:
        """Ask again and again until what a GET returns fits, and return it."""
        shown: Any = None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    shown = await asyncio.to_thread(self.get, path)
                    if holds(shown):
                        return shown
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"{path} stays {shown}:\n{self.output()[-4000:]}") from None

    async def recording(self, call_id: str) -> tuple[Pcm, Pcm, int]:
        """Return the left and right channel of a call's recording and its rate, once it is complete."""
        shown = await self.until(
            "/recordings",
            lambda all_of_them: any(one["callId"] == call_id for one in all_of_them["recordings"]),
        )
        (name,) = [one["name"] for one in shown["recordings"] if one["callId"] == call_id]
        with urlopen(self.url(f"/recordings/{quote(name)}"), timeout=60) as response:
            body = response.read()
        with wave.open(io.BytesIO(body)) as file:
            pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
            return pcm[:, 0].astype(np.int16), pcm[:, 1].astype(np.int16), file.getframerate()

    async def no_calls(self) -> None:
        """Wait until every call is over."""
        await self.until("/call/lists", lambda shown: not shown["calls"])


class Webhook(Files):
    """Takes the announcements of incoming calls."""

    def __init__(self, status: int = 200) -> None:
        super().__init__()
        self.calls: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.status = status
        self.answers["incoming"] = self._incoming

    async def _incoming(self, request: web.Request) -> web.Response:
        self.calls.put_nowait(await request.json())
        return web.Response(status=self.status)

    async def next(self, seconds: float = 60.0) -> dict[str, Any]:
        """Return the next announcement."""
        async with asyncio.timeout(seconds):
            return await self.calls.get()


def voice(hz: float, rate: int, seconds: float = 60.0) -> Pcm:
    """Return a voice of one pitch that outlasts any call of a test."""
    return tone(hz, seconds, rate, 0.3)


def hears(sound: Pcm, rate: int, hz: float, *, but_not: tuple[float, ...] = ()) -> None:
    """Make sure that a pitch is in a sound, loud enough, and others are not.

    The loudest second counts: before and after, the call was being set up or was over.
    """
    best = loudest(sound, rate)
    assert level(best) > 800, f"nothing is heard: level {level(best):.0f}"
    assert share(best, hz, rate) > 0.6, f"{hz} Hz has {share(best, hz, rate):.2f} of the power"
    for other in but_not:
        assert share(best, other, rate) < 0.05, f"{other} Hz has {share(best, other, rate):.2f} of the power"


def loudest(sound: Pcm, rate: int) -> Pcm:
    """Return the second with most power."""
    if sound.size <= rate:
        return sound
    power = np.convolve(sound.astype(np.float64) ** 2, np.ones(rate), "valid")[:: rate // 10]
    begin = int(np.argmax(power)) * (rate // 10)
    return sound[begin : begin + rate]
