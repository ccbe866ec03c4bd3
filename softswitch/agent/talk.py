"""An agent in one call: it listens, has the model answer, speaks while the model writes, and gives way."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from itertools import count
from typing import Any, TypeVar

import aiohttp

from softswitch.agent.config import AgentConfig
from softswitch.agent.history import History, Line, ToolCall
from softswitch.agent.model import ModelError, think
from softswitch.agent.tools import Actions, Tools, shown
from softswitch.client import Answer, AsrFinal, Call, ClientError, Collect, Interruption, Reject, TrackEnd

logger = logging.getLogger(__name__)

T = TypeVar("T")

MOST_ROUNDS = 6
"""Replies of the model within one turn: each but the last calls tools."""
FAREWELL_S = 30.0
"""Longest wait until what was said was heard, seconds."""
RING_S = 30
COLLECT_MS = 20_000

_COUNTED = "calls turns interruptions tool_calls tools_failed models_failed transfers"
FIGURES = Counter(dict.fromkeys(_COUNTED.split(), 0))
"""What the agents of this process did, for /metrics."""


def option_of(config: AgentConfig) -> dict[str, Any]:
    """Return the options of a call that an agent takes."""
    option = {"asr": config.asr, "bargeIn": config.barge_in or True, "inbandDtmf": True}
    option |= {"tts": config.voice} if config.voice else {}
    return {**option, "inactivityTimeout": config.inactivity_s}


async def talk(
    call: Call, config: AgentConfig, session: aiohttp.ClientSession, *, call_id: str, caller: str
) -> None:
    """Serve a call that is answered, until it ends.

    Args:
        call: The call, with the options of :func:`option_of`.
        config: The agent.
        session: For the model and the tools.
        call_id: Id of the call, for the tools.
        caller: Number or name of the caller, for the model and the tools.
    """
    FIGURES["calls"] += 1
    await _Talk(call, config, session, call_id, caller).run()


class _Talk:
    def __init__(
        self, call: Call, config: AgentConfig, session: aiohttp.ClientSession, call_id: str, caller: str
    ) -> None:
        self._call, self._config, self._session = call, config, session
        prompt = f"{config.prompt}\n\nThe caller's number or name: {caller}" if caller else config.prompt
        self._history = History(prompt)
        built_in: Actions = {"transfer": self._transfer, "end_call": self._end_call}
        built_in |= {"take_number": self._take_number}
        self._tools = Tools(config, session, built_in, {"call": call_id, "caller": caller})
        self._turns = 0
        self._plays = count(1)
        self._play_id = ""
        """Of the playback that takes more text; empty: none does."""
        self._sounding: set[str] = set()
        """Playbacks with text that have not ended."""
        self._news = asyncio.Event()
        """Set with every event of the call."""
        self._task: asyncio.Future[None] | None = None
        """The present turn; what the caller says ends it."""
        self._running: set[asyncio.Future[None]] = set()
        """Turns and their tools: what the caller says does not end a tool."""
        self._referred: Answer | Reject | None = None
        """Outcome of the present transfer."""
        self._connected = False
        """Whether the caller was transferred: the agent is silent from then on."""

    async def run(self) -> None:
        """Greet, then answer whatever is said."""
        try:
            self._begin("")
            async for event in self._call.events():
                match event:
                    case Interruption(play_id=str(play_id)):
                        FIGURES["interruptions"] += 1
                        # The model is to believe that it said just what was heard.
                        self._history.interrupted(play_id, event.subtitle or "")
                        self._sounding.discard(play_id)
                        if play_id == self._play_id:
                            self._give_up()
                    case TrackEnd(play_id=str(play_id)):
                        self._sounding.discard(play_id)
                    case Answer(refer=True) | Reject(refer=True):
                        self._referred, self._connected = event, isinstance(event, Answer)
                    case AsrFinal(text=text, is_filler=False) if text and not self._connected:
                        self._begin(text)
                self._news.set()
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _until(self, found: Callable[[], T | None], within_s: float) -> T:
        """Wait for something that events of the call bring; raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while not (result := found()):
                self._news.clear()
                await self._news.wait()
        return result

    # --- turns ------------------------------------------------------------------------

    def _begin(self, heard: str) -> None:
        """Begin a turn; one that is still going on is given up."""
        self._give_up()
        self._turns += 1
        FIGURES["turns"] += 1
        self._task = self._keep(self._guarded(heard))

    def _give_up(self) -> None:
        """Stop a turn that is going on; its tools go on."""
        if self._task is not None:
            self._task.cancel()
        play_id, self._play_id = self._play_id, ""
        if play_id in self._sounding:
            self._keep(self._call.interrupt(play_id=play_id))

    def _keep(self, work: Awaitable[None]) -> "asyncio.Future[None]":
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _guarded(self, heard: str) -> None:
        """Carry a turn out; where the model fails, connect the caller with `fallback` or end the call."""
        try:
            try:
                await (self._turn(heard) if heard else self._speak(self._config.greeting))
            except ModelError as error:
                FIGURES["models_failed"] += 1
                logger.warning("the model of an agent failed", extra={"error": str(error)})
                await self._speak(self._config.sorry)
                if self._config.fallback:
                    await self._transfer(self._config.fallback)
                if not self._connected:
                    await self._end_call()
        except (ClientError, TimeoutError) as error:
            if self._call.end is None:
                logger.warning("an agent could not control its call", extra={"error": str(error)})
                await self._call.close()

    async def _turn(self, heard: str) -> None:
        if before := self._running - {self._task}:  # The model has to know what came of their tools.
            await asyncio.wait(before)
        self._history.hear(heard)
        if self._turns > self._config.max_turns:
            raise ModelError(f"max_turns: the call has more than {self._config.max_turns} turns")
        for _ in range(MOST_ROUNDS):
            if self._call.end is not None or self._connected:
                return
            line = await self._reply()
            if not line.calls:
                await self._finish_speech()
                return
            await asyncio.shield(self._keep(self._carry_out(line)))
        raise ModelError(f"the model called tools {MOST_ROUNDS} times in one turn")

    async def _reply(self) -> Line:
        """Speak a reply while the model writes it; return it with the tools that it calls."""
        line = self._line()
        thinking = think(self._session, self._config.model, self._history.messages(), shown(self._config))
        async with aclosing(thinking) as pieces:
            async for piece in pieces:
                if isinstance(piece, ToolCall):
                    line.calls.append(piece)
                else:
                    await self._say(line, piece)
        if line.calls and line.text.strip():
            await self._say(line, "\n")  # The sentence is over: it sounds while the tool works.
        return line

    async def _carry_out(self, line: Line) -> None:
        failures = self._tools.failures
        line.results = [await self._tools.run(call) for call in line.calls]
        FIGURES.update(tool_calls=len(line.calls), tools_failed=self._tools.failures - failures)

    # --- speech -----------------------------------------------------------------------

    def _line(self) -> Line:
        """Begin a line of the playback that takes more text, or of a new one."""
        self._play_id = self._play_id or f"agent-{next(self._plays)}"
        return self._history.reply(self._play_id)

    async def _speak(self, text: str) -> None:
        """Say a text of the file, instead of what is being said."""
        self._play_id = ""
        await self._say(self._line(), text)
        await self._finish_speech()

    async def _say(self, line: Line, piece: str) -> None:
        line.text += piece
        if piece.strip():
            self._sounding.add(line.play_id)
        await self._call.say(piece, play_id=line.play_id, streaming=True, wait=False)

    async def _finish_speech(self) -> None:
        """Tell the switch that no further text follows; what was said goes on sounding."""
        play_id, self._play_id = self._play_id, ""
        if play_id in self._sounding:
            await self._call.say("", play_id=play_id, streaming=True, end_of_stream=True, wait=False)

    async def _heard_out(self) -> None:
        """Wait until all that was said was heard."""
        await self._finish_speech()
        await self._until(lambda: not self._sounding, FAREWELL_S)

    # --- built-in tools ---------------------------------------------------------------

    async def _transfer(self, to: str) -> str:
        place = self._config.transfer.get(to)
        if place is None:
            raise ValueError(f"there is no destination {to!r}, known are {', '.join(self._config.transfer)}")
        await self._heard_out()
        self._referred = None
        try:
            await self._call.refer(place.callee, options={"timeout": RING_S, "autoHangup": True})
            outcome = await self._until(lambda: self._referred, RING_S + 5.0)
        except (ClientError, TimeoutError) as error:
            return f"not connected: {error or 'no answer'}"
        if isinstance(outcome, Reject):
            return f"not connected: {outcome.code} {outcome.reason}"
        FIGURES["transfers"] += 1
        return "connected"

    async def _take_number(self, number: str = "") -> str:
        if not number:
            await self._finish_speech()
            try:
                await self._call.collect(
                    max_digits=20, terminators="#", timeout_ms=COLLECT_MS, barge_in=False
                )
                number = (await self._call.wait(Collect, COLLECT_MS / 1000 + FAREWELL_S)).digits
            except (ClientError, TimeoutError) as error:
                return f"error: {error or 'no keys were pressed'}"
        digits = "".join(sign for sign in number if sign in "+0123456789")
        if not 3 <= len(digits) <= 20:
            return "error: this is no telephone number; ask again"
        await self._call.custom({"number": digits}, sender="agent")
        return f"taken down: {digits}"

    async def _end_call(self) -> str:
        try:
            await self._heard_out()
        except TimeoutError:
            logger.warning("an agent ends a call before all it said was heard")
        await self._call.hangup("agent", "system")
        return "ended"
