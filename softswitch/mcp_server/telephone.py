"""The calls of one holder of a key: what the tools do."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import aiohttp
from yarl import URL

from softswitch.client import (
    Answer,
    AsrFinal,
    Call,
    ClientError,
    Dtmf,
    Interruption,
    Reject,
    TrackEnd,
    connect,
)
from softswitch.errors import RejectedError

MOST_CALLS = 8
"""Simultaneous calls of one key."""
MOST_TEXT = 2000
"""Characters that are said at once."""
SPOKEN_S, RING_S = 180.0, 60.0


class TelephoneError(RejectedError):
    """A tool cannot be carried out; the text is for the model."""


class Line:
    """One call that was placed here."""

    def __init__(self, call: Call, to: str, stack: contextlib.AsyncExitStack) -> None:
        self.call, self.to = call, to
        self.plays = 0
        self._stack = stack

    async def close(self) -> None:
        """End it."""
        with contextlib.suppress(ClientError, TimeoutError):
            await self._stack.aclose()


class Telephone:
    """Places calls with one key and keeps them until they end."""

    def __init__(self, switch: str, token: str | None) -> None:
        """Prepare.

        Args:
            switch: URL of the switch: ``http://host:port``.
            token: API key or token; None where the switch asks for none.
        """
        self._base, self._token = URL(switch), token
        self._lines: dict[str, Line] = {}
        self._opening = 0

    @property
    def is_idle(self) -> bool:
        """Whether there is no call, and none is being placed."""
        return not self._opening and all(line.call.state.is_final for line in self._lines.values())

    async def place(self, to: str, caller: str = "", say: str = "") -> dict[str, Any]:
        """Call a callee; return the id of the call once it is answered, or why it was not."""
        for call_id, line in list(self._lines.items()):
            if line.call.state.is_final:
                await self._forget(call_id)
        if len(self._lines) + self._opening >= MOST_CALLS:
            raise TelephoneError(f"there are {MOST_CALLS} calls already: hang one up first")
        stack = contextlib.AsyncExitStack()
        option = {"callee": to, "asr": {"provider": "builtin"}, "bargeIn": True}
        if caller:
            option["caller"] = caller
        self._opening += 1
        try:
            url = self._base.with_scheme("wss" if self._base.scheme == "https" else "ws") / "call/sip"
            call = await stack.enter_async_context(
                connect(url, token=self._token, option=option, answer_timeout_s=RING_S)
            )
        except (ClientError, TimeoutError) as error:
            await stack.aclose()
            return {"answered": False, "reason": str(error) or "no answer"}
        finally:
            self._opening -= 1
        call_id = call.id or str(id(call))
        self._lines[call_id] = Line(call, to, stack)
        told: dict[str, Any] = {"answered": True, "call": call_id}
        if say:
            told |= await self.say(call_id, say)
        return told

    async def say(self, call_id: str, text: str) -> dict[str, Any]:
        """Say something; return when it was heard, or what of it was heard before the party spoke."""
        line = self._line(call_id)
        if not text.strip() or len(text) > MOST_TEXT:
            raise TelephoneError(f"text must have 1 to {MOST_TEXT} characters")
        line.plays += 1
        play_id = f"mcp-{line.plays}"
        with _told():
            await line.call.say(text, play_id=play_id, end_of_stream=True)
            ended = asyncio.ensure_future(line.call.wait(TrackEnd, SPOKEN_S, play_id=play_id))
            cut = asyncio.ensure_future(line.call.wait(Interruption, SPOKEN_S, play_id=play_id))
            try:
                # An interruption is followed by the end of the track: it comes first.
                await asyncio.wait({ended, cut}, return_when=asyncio.FIRST_COMPLETED)
                if cut.done() and not cut.exception():
                    return {"said": cut.result().subtitle or "", "interrupted": True}
                await ended
            finally:
                cut.cancel()
                ended.cancel()
        return {"said": text, "interrupted": False}

    async def listen(self, call_id: str, seconds: float) -> dict[str, Any]:
        """Return what the party says next, or the key that it presses; nothing after some seconds."""
        line = self._line(call_id)
        try:
            async with asyncio.timeout(min(max(seconds, 0.0), 120.0)):
                while True:
                    spoken = asyncio.ensure_future(line.call.wait(AsrFinal))
                    pressed = asyncio.ensure_future(line.call.wait(Dtmf))
                    try:
                        await asyncio.wait({spoken, pressed}, return_when=asyncio.FIRST_COMPLETED)
                        if pressed.done():
                            return {"key": pressed.result().digit}
                        if text := spoken.result().text:
                            return {"heard": text}
                    finally:
                        spoken.cancel()
                        pressed.cancel()
        except TimeoutError:
            return {"heard": ""}
        except ClientError as error:
            return {"heard": "", "over": str(error)}

    async def press(self, call_id: str, digits: str) -> dict[str, Any]:
        """Press keys."""
        with _told():
            await self._line(call_id).call.dtmf(digits)
        return {"pressed": digits}

    async def transfer(self, call_id: str, to: str) -> dict[str, Any]:
        """Connect the party with another callee; return whether that one has answered."""
        call = self._line(call_id).call
        with _told():
            await call.refer(to, options={"timeout": int(RING_S), "autoHangup": True})
            answered = asyncio.ensure_future(call.wait(Answer, RING_S + 5, refer=True))
            refused = asyncio.ensure_future(call.wait(Reject, RING_S + 5, refer=True))
            try:
                await asyncio.wait({answered, refused}, return_when=asyncio.FIRST_COMPLETED)
                if refused.done() and not refused.exception():
                    return {"connected": False, "reason": refused.result().reason}
                await answered
            finally:
                answered.cancel()
                refused.cancel()
        return {"connected": True}

    async def hang_up(self, call_id: str) -> dict[str, Any]:
        """End a call that was placed here."""
        line = self._line(call_id)
        with _told():
            await line.call.hangup()
        await self._forget(call_id)
        return {"ended": call_id}

    async def list(self) -> dict[str, Any]:
        """Return the calls that were placed here, and those of the switch that the key may see."""
        placed = [
            {"call": call_id, "to": line.to, "state": str(line.call.state)}
            for call_id, line in self._lines.items()
        ]
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=10)) as session,
                session.get(self._base / "call/lists") as response,
            ):
                if response.status in (401, 403):
                    return {"placed": placed, "note": f"the switch answered {response.status} to the rest"}
                response.raise_for_status()
                shown: Mapping[str, Any] = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise TelephoneError(f"the switch cannot be asked: {error}") from None
        keys = ("id", "caller", "callee", "state", "direction", "duration")
        return {"placed": placed, "switch": [{key: call[key] for key in keys} for call in shown["calls"]]}

    async def close(self) -> None:
        """End all calls."""
        for call_id in list(self._lines):
            await self._forget(call_id)

    def _line(self, call_id: str) -> Line:
        line = self._lines.get(call_id)
        if line is None:
            raise TelephoneError(f"call: no call {call_id!r} was placed here; list_calls shows those")
        return line

    async def _forget(self, call_id: str) -> None:
        line = self._lines.pop(call_id, None)
        if line is not None:
            await line.close()


@contextlib.contextmanager
def _told() -> Any:
    """Turn failures of the client into errors of the tool."""
    try:
        yield
    except (ClientError, TimeoutError) as error:
        raise TelephoneError(str(error) or "the switch did not answer in time") from None
