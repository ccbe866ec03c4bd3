"""An agent as a program of its own: it takes the calls that a switch announces by webhook."""

import asyncio
import logging

import aiohttp
from aiohttp import web

from softswitch.agent.config import AgentConfig
from softswitch.agent.talk import option_of, talk
from softswitch.client import ClientError, take

logger = logging.getLogger(__name__)

MOST_BODY = 64 * 1024


class AgentServer:
    """Receiver of the webhook of a switch; each announced call gets a task."""

    def __init__(self, config: AgentConfig, switch: str, *, token: str = "", max_calls: int = 20) -> None:
        """Prepare.

        Args:
            config: The agent.
            switch: URL of the switch: ``ws://host:port/call/sip``.
            token: API key or token for it.
            max_calls: Most simultaneous calls; more are left to other applications.
        """
        self._config, self._switch, self._token = config, switch, token
        self._max_calls = max_calls
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession
        """Open while the application runs."""

    def application(self) -> web.Application:
        """Return what takes the webhook, on any path."""
        application = web.Application(client_max_size=MOST_BODY)
        application.router.add_post("/{any:.*}", self._announced)
        application.cleanup_ctx.append(self._running)
        return application

    async def _running(self, application: web.Application):  # type: ignore[no-untyped-def]  # noqa: ANN202
        async with aiohttp.ClientSession() as self._session:
            yield
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _announced(self, request: web.Request) -> web.Response:
        """Answer the announcement of a call; 503 leaves the call to others."""
        try:
            announced = await request.json()
            call_id, caller = str(announced["dialogId"]), str(announced.get("caller") or "")
        except (ValueError, KeyError, TypeError, AttributeError):
            return web.Response(status=400, text="this is no announcement of a call: dialogId is missing")
        if len(self._tasks) >= self._max_calls:
            return web.Response(status=503, text="the agent has max_calls calls")
        task = asyncio.create_task(self._serve(call_id, caller), name=f"call {call_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.Response()

    async def _serve(self, call_id: str, caller: str) -> None:
        try:
            async with take(self._switch, call_id, token=self._token or None) as call:
                await call.accept(option_of(self._config))
                await call.answered(30.0)
                await talk(call, self._config, self._session, call_id=call_id, caller=caller)
        except (ClientError, TimeoutError) as error:
            logger.warning("a call could not be served", extra={"call": call_id, "error": str(error)})
