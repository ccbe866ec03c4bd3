"""The agents of the settings as callees: ``agent:<name>`` is a leg whose other end an agent serves.

As where a call enters a room, a pair of legs joins two calls. The agent controls the inner one through
:mod:`softswitch.client`, as any application does, but in this process: without a socket and without a key.
The inner call belongs to the account of the outer one, which bounds what the agent may do.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import aiohttp

from softswitch.agent import FIGURES, AgentConfig, load_agent, option_of, talk
from softswitch.call.authority import Principal
from softswitch.call.interfaces import Endpoint, LegRequest
from softswitch.call.kind import LegKind
from softswitch.call.vocabulary.events import Event
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.call.vocabulary.reports import Report
from softswitch.client import Call, ClientError, ConnectionLostError
from softswitch.dialects.rustpbx import parse, render
from softswitch.errors import NotNowError, RejectedError, SettingsError
from softswitch.legs.feed_port import FeedEngine, Listen
from softswitch.legs.local.pair import LocalPair
from softswitch.log.tasks import Tasks
from softswitch.metrics import Reading, readings
from softswitch.settings import Settings
from softswitch.settings.agent import Agent
from softswitch.switch.directory import CallDirectory, CallHandle
from softswitch.switch.origin import Origin

logger = logging.getLogger(__name__)

PREFIX = "agent:"
MOST_WAITING = 2000
"""Messages that wait for an agent; the call of one that does not read them ends."""


class DirectoryLink:
    """The link of a client (a :class:`softswitch.client.link.Wire`) to a call of this process."""

    def __init__(self, handle: CallHandle, by: Principal) -> None:
        """Prepare.

        Args:
            handle: The call, which was opened for this client.
            by: The client.
        """
        self._handle, self._by = handle, by
        self._follower = _Follower(partial(handle.end, "error", "system"))

    @property
    def close_code(self) -> int | None:
        """Code that the call ended with."""
        return self._follower.code

    async def open(self, query: Mapping[str, str]) -> None:
        """Follow the call from its first event on."""
        await self._handle.subscribe(self._follower)

    async def reopen(self, query: Mapping[str, str], within_s: float) -> bool:
        """Return False: what is over here is over."""
        return False

    async def messages(self) -> AsyncIterator[str | bytes]:
        """Yield the events of the call."""
        while (text := await self._follower.messages.get()) is not None:
            yield text

    async def send(self, data: str | bytes) -> None:
        """Carry a command out; audio is ignored, as the party has a leg of its own.

        Raises:
            ConnectionLostError: The call is over.
        """
        if self._follower.code is not None:
            raise ConnectionLostError("the call is over", code=self._follower.code)
        if isinstance(data, bytes):
            return
        request_id = None
        try:
            command = parse(data)
            request_id = command.request_id
            await self._handle.command(command, self._by)
        except CommandRejected as rejected:
            rejected.request_id = rejected.request_id or request_id
            await self._handle.reject(rejected)

    async def close(self) -> None:
        """End the call, if it is not over."""
        if self._follower.code is None:
            self._handle.end("agent", "system")


class _Follower:
    """Keeps the events of a call for its client, within a bound (a subscriber)."""

    def __init__(self, overflow: Callable[[], None]) -> None:
        self.messages: asyncio.Queue[str | None] = asyncio.Queue()
        self.code: int | None = None
        self._overflow = overflow

    def event(self, event: Event, seq: int) -> None:
        """Keep an event; end the call of a client that does not read."""
        if self.messages.qsize() == MOST_WAITING:
            # The call is in the middle of publishing this event.
            asyncio.get_running_loop().call_soon(self._overflow)
        if self.messages.qsize() <= MOST_WAITING:
            self.messages.put_nowait(render(event, seq))

    def audio(self, side: int, pcm: bytes) -> None:
        """Ignore audio."""

    def close(self, code: int, reason: str) -> None:
        """Note the end."""
        self.code = code
        self.messages.put_nowait(None)


class Agents:
    """The agents by name: an ``EndpointFactory``, and who may call which."""

    def __init__(self, settings: Settings, calls: CallDirectory, engine: FeedEngine, listen: Listen) -> None:
        """Read the files of the agents.

        Raises:
            SettingsError: A file cannot be read, or is invalid.
        """
        self._agents: dict[str, tuple[Agent, AgentConfig]] = {}
        for number, agent in enumerate(settings.agent, 1):
            try:
                self._agents[agent.name] = agent, load_agent(Path(agent.file).expanduser())
            except SettingsError as error:
                raise SettingsError(
                    f"[[agent]] {number} file: {error}", section="agent", key="file"
                ) from None
        self._calls, self._engine, self._listen = calls, engine, listen
        self._tasks = Tasks("agent")
        self._active: Counter[str] = Counter()
        self._refused = 0
        self._session: aiohttp.ClientSession | None = None

    def refuse_callee(self, callee: str, by: Principal) -> tuple[int, str] | None:
        """Return code and reason why a client cannot call an agent; None if it can, or it calls none."""
        if not callee.startswith(PREFIX):
            return None
        return self._refusal(callee.removeprefix(PREFIX), by.account)

    def _refusal(self, name: str, account: str) -> tuple[int, str] | None:
        agent, _ = self._agents.get(name, (None, None))
        # An agent of other accounts is refused as if there were none.
        if agent is None or (agent.accounts and account and account not in agent.accounts):
            return 404, f"callee: there is no [[agent]] named {name!r}"
        if self._active[name] >= agent.max_calls:
            return 486, f"callee: the agent {name!r} has max_calls calls"
        return None

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Make the endpoint of a leg to ``agent:<name>``."""
        pair = LocalPair(self._engine, self._listen)
        name = request.callee.removeprefix(PREFIX)

        def answer() -> None:
            refused = self._refusal(name, request.account)
            if refused is not None:
                self._refused += 1
                pair.near.refuse(*refused)
                return
            self._active[name] += 1
            task = self._tasks.spawn(self._serve(name, pair, request), name="agent", call=request.call)
            task.add_done_callback(lambda _: self._active.subtract([name]))

        pair.near.on_answer = answer
        return pair.near(request, report)

    async def _serve(self, name: str, pair: LocalPair, request: LegRequest) -> None:
        """Open the inner call and let the agent talk until it ends."""
        _, config = self._agents[name]
        origin = Origin.within(request.account)
        try:
            handle, _ = await self._calls.open(LegKind.AGENT, origin, pair.far)
        except (NotNowError, RejectedError) as error:
            pair.near.refuse(503, str(error))
            return
        if not pair.near.port.is_open:  # The caller has gone meanwhile.
            handle.end("caller", "caller")
            return
        pair.far.on_answer = pair.connect
        call = Call(DirectoryLink(handle, origin.principal), id=handle.id)
        option = option_of(config) | {"caller": request.caller}
        if self._session is None:
            self._session = aiohttp.ClientSession()
        try:
            await call.open()
            await call.command("invite", {"option": option}, wait=False)
            await call.answered(10.0)
            await talk(call, config, self._session, call_id=request.call, caller=request.caller)
        except (ClientError, TimeoutError) as error:
            logger.warning("an agent lost its call", extra={"agent": name, "error": str(error)})
        finally:
            await call.close()

    async def stop(self) -> None:
        """End all talks."""
        await self._tasks.stop()
        if self._session is not None:
            await self._session.close()

    def figures(self) -> Iterator[Reading]:
        """Yield the figures for /metrics."""
        yield from readings("agent", FIGURES)
        yield Reading("agent_calls_refused", self._refused)
        yield Reading("agent_calls_active", sum(self._active.values()), "gauge")
