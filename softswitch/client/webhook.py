"""The other end of the switch's webhook: it takes the calls that the switch announces."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from yarl import URL

from softswitch.client.call import Call
from softswitch.client.errors import ClientError
from softswitch.client.telephones import take

logger = logging.getLogger(__name__)

MOST_BODY: Final = 64 * 1024
"""Longest announcement, bytes."""

Talk = Callable[[Call], Awaitable[None]]
"""Serves one call until it ends."""


def webhook_application(
    url: str | URL, talk: Talk, *, path: str = "/{any:.*}", max_calls: int = 20, **more: Any
) -> web.Application:
    """Return an application that takes each announced call, as :func:`.take` does, and lets `talk` serve it.

    ``web.run_app(webhook_application("ws://127.0.0.1:8080/call/sip", talk), port=9000)`` is a whole bot. A
    call whose `talk` raises is hung up, and the log tells why; the others go on. With the application all its
    calls end.

    Args:
        url: ``ws://host:port/call/sip``.
        talk: serves one call, beside others; :attr:`.Call.incoming` has the caller.
        path: path of the webhook, in aiohttp's spelling.
        max_calls: most calls at a time; further ones are answered with 503 and left to other applications.
        more: as for :func:`.take`: the key of the switch (``token``) is one.
    """
    application = web.Application(client_max_size=MOST_BODY)
    calls = _Calls(url, talk, max_calls, more)
    application.router.add_post(path, calls.announced)
    application.cleanup_ctx.append(calls.running)
    return application


class _Calls:
    """The calls of one application; each has a task."""

    def __init__(self, url: str | URL, talk: Talk, most: int, more: dict[str, Any]) -> None:
        self._url, self._talk, self._most, self._more = url, talk, most, more
        self._tasks: set[asyncio.Task[None]] = set()

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        """End all calls with the application."""
        yield
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def announced(self, request: web.Request) -> web.Response:
        """Answer the announcement of a call, and begin to serve it."""
        try:
            call_id = str((await request.json())["dialogId"])
        except (ValueError, KeyError, TypeError):
            return web.Response(status=400, text="this is no announcement of a call: dialogId is missing")
        if len(self._tasks) >= self._most:
            return web.Response(status=503, text=f"all {self._most} calls of max_calls are busy")
        task = asyncio.create_task(self._serve(call_id), name=f"call {call_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.Response()

    async def _serve(self, call_id: str) -> None:
        try:
            async with take(self._url, call_id, **self._more) as call:
                await self._talk(call)
        except (ClientError, TimeoutError) as error:
            logger.warning("a call could not be served", extra={"call": call_id, "error": str(error)})
        except Exception:
            logger.exception("an application failed in a call", extra={"call": call_id})
