"""An agent in one call: it listens, has the model answer, speaks while the model writes, and gives way."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable
from contextlib import aclosing
from typing import Any

import aiohttp

from softswitch.agent.config import AgentConfig
from softswitch.agent.history import History, Line, ToolCall
from softswitch.agent.model import ModelError, think
from softswitch.agent.tools import Action, Tools, shown
from softswitch.client import (
    Answer,
    AsrFinal,
    Call,
    ClientError,
    Collect,
    Interruption,
    Reject,
    TrackEnd,
)

logger = logging.getLogger(__name__)

MOST_ROUNDS = 6
"""Replies of the model within one turn: each but the last calls tools."""
FAREWELL_S = 30.0
"""Longest wait until what was said was heard, seconds."""
RING_S = 30
COLLECT_S = 20.0

FIGURES: Counter[str] = Counter(
    dict.fromkeys(
        ("calls", "turns", "interruptions", "tool_calls", "tools_failed", "models_failed", "transfers"), 0
    )
)
"""What the agents of this process did, for /metrics."""


def option_of(config: AgentConfig) -> dict[str, Any]:
    """Return the options of a call that an agent takes."""
    option: dict[str, Any] = {
        "asr": config.asr,
        "bargeIn": config.barge_in or True,
        "inbandDtmf": True,
        "inactivityTimeout": config.inactivity_s,
    }
    if config.voice:
        option["tts"] = config.voice
    return option


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
        actions: dict[str, Action] = {
            "transfer": self._transfer,
            "take_number": self._take_number,
            "end_call": self._end_call,
        }
        self._tools = Tools(config, session, actions, {"call": call_id, "caller": caller})
        self._shown = shown(config)
        self._turns = self._plays = 0
        self._play_id = ""
        """Of the playback that takes more text; empty: none does."""
        self._sounding: set[str] = set()
        """Playbacks with text that have not ended."""
        self._quiet = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        """The present turn; what the caller says ends it."""
        self._running: set[asyncio.Future[None]] = set()
        """Tools: what the caller says does not end them."""
        self._referred: asyncio.Future[Answer | Reject] | None = None
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
                        self._interrupted(play_id, event.subtitle or "")
                    case TrackEnd(play_id=str(play_id)):
                        self._over(play_id)
                    case Answer(refer=True) | Reject(refer=True):
                        self._connected = isinstance(event, Answer)
                        if self._referred is not None and not self._referred.done():
                            self._referred.set_result(event)
                    case AsrFinal(text=text, is_filler=False) if text and not self._connected:
                        self._begin(text)
        finally:
            tasks = [task for task in (self._task, *self._running) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- turns ------------------------------------------------------------------------

    def _begin(self, heard: str) -> None:
        """Begin a turn; one that is still going on is given up."""
        self._give_up()
        self._turns += 1
        FIGURES["turns"] += 1
        self._task = asyncio.create_task(self._guarded(heard), name="agent turn")

    async def _guarded(self, heard: str) -> None:
        """Carry a turn out, and help the caller where the model fails."""
        try:
            try:
                await (self._turn(heard) if heard else self._speak(self._config.greeting))
            except ModelError as error:
                FIGURES["models_failed"] += 1
                logger.warning("the model of an agent failed", extra={"error": str(error)})
                await self._fail()
        except (ClientError, TimeoutError) as error:
            if self._call.end is None:
                logger.warning("an agent could not control its call", extra={"error": str(error)})
                await self._call.close()

    async def _turn(self, heard: str) -> None:
        if self._running:  # A tool of the turn before: the model has to know what came of it.
            await asyncio.wait(set(self._running))
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
        # A tool that waited until all was heard has ended the playback.
        line = self._history.reply(self._play_id or self._new_play())
        calls: list[ToolCall] = []
        thinking = think(self._session, self._config.model, self._history.messages(), self._shown)
        async with aclosing(thinking) as pieces:
            async for piece in pieces:
                if isinstance(piece, ToolCall):
                    calls.append(piece)
                else:
                    await self._say(line, piece)
        if calls and line.text.strip():
            await self._say(line, "\n")  # The sentence is over: it sounds while the tool works.
        line.calls = calls
        return line

    async def _carry_out(self, line: Line) -> None:
        line.results = [await self._tools.run(call) for call in line.calls]
        FIGURES["tool_calls"] += len(line.calls)
        FIGURES["tools_failed"] += self._tools.failures
        self._tools.failures = 0

    def _keep(self, work: Awaitable[None]) -> "asyncio.Future[None]":
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _fail(self) -> None:
        """Say that there is no help, and connect the caller with `fallback`, or end the call."""
        await self._speak(self._config.sorry)
        if self._config.fallback:
            await self._transfer(self._config.fallback)
        if not self._connected:
            await self._end_call()

    # --- speech -----------------------------------------------------------------------

    def _new_play(self) -> str:
        self._plays += 1
        self._play_id = f"agent-{self._plays}"
        return self._play_id

    async def _speak(self, text: str) -> None:
        """Say a text of the file."""
        await self._say(self._history.reply(self._new_play()), text)
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
        async with asyncio.timeout(FAREWELL_S):
            while self._sounding and self._call.end is None:
                self._quiet.clear()
                await self._quiet.wait()

    def _give_up(self) -> None:
        """Stop a turn that is going on; its tools go on."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        play_id, self._play_id = self._play_id, ""
        if play_id in self._sounding:
            self._keep(self._call.interrupt(play_id=play_id))

    def _interrupted(self, play_id: str, heard: str) -> None:
        """Note how much was heard: the model is to believe that it said just that."""
        FIGURES["interruptions"] += 1
        self._history.interrupted(play_id, heard)
        self._over(play_id)
        if play_id == self._play_id:
            self._give_up()

    def _over(self, play_id: str) -> None:
        self._sounding.discard(play_id)
        self._quiet.set()

    # --- built-in tools ---------------------------------------------------------------

    async def _transfer(self, to: str) -> str:
        place = self._config.transfer.get(to)
        if place is None:
            raise ValueError(f"there is no destination {to!r}, known are {', '.join(self._config.transfer)}")
        await self._heard_out()
        self._referred = asyncio.get_running_loop().create_future()
        try:
            await self._call.refer(place.callee, options={"timeout": RING_S, "autoHangup": True})
            outcome = await asyncio.wait_for(self._referred, RING_S + 5.0)
        except (ClientError, TimeoutError) as error:
            return f"not connected: {error or 'no answer'}"
        if isinstance(outcome, Reject):
            return f"not connected: {outcome.code} {outcome.reason}"
        FIGURES["transfers"] += 1
        return "connected"

    async def _take_number(self, number: str = "") -> str:
        if not number:
            await self._finish_speech()
            wait_ms = int(COLLECT_S * 1000)
            try:
                await self._call.collect(max_digits=20, terminators="#", timeout_ms=wait_ms, barge_in=False)
                number = (await self._call.wait(Collect, COLLECT_S + FAREWELL_S)).digits
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
