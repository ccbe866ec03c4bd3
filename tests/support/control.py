"""A client of the call control, and a server that takes its webhooks."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

from tests.support.switch import Places

PATIENCE_S = 15.0


@dataclass
class Reply:
    """An answer of the switch."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


class Control:
    """Asks a switch by REST. Use it with `async with`."""

    def __init__(
        self, switch: Places, prefix: str = "/v1/call", headers: dict[str, str] | None = None
    ) -> None:
        self.switch = switch
        self.prefix = prefix
        self._headers = headers

    async def __aenter__(self) -> Self:
        """Begin."""
        self._session = aiohttp.ClientSession(headers=self._headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every call that is left."""
        reply = await self.get("")
        for call in reply.body.get("calls", []):
            await self.delete(f"/{call['uuid']}")
        await self._session.close()

    async def ask(self, method: str, path: str, body: object = None, **query: object) -> Reply:
        """Send a request; `body` is sent as JSON, bytes as they are."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        url = self.switch.url(self.prefix + path, **query)
        headers = {"Content-Type": "application/json"}
        async with self._session.request(method, url, data=data, headers=headers) as response:
            assert response.content_type == "application/json", await response.text()
            return Reply(response.status, await response.json(), dict(response.headers))

    async def get(self, path: str, **query: object) -> Reply:
        """Send a GET."""
        return await self.ask("GET", path, **query)

    async def post(self, path: str, **body: object) -> Reply:
        """Send a POST."""
        return await self.ask("POST", path, body)

    async def delete(self, path: str, **query: object) -> Reply:
        """Send a DELETE."""
        return await self.ask("DELETE", path, **query)

    async def call(self, to: str = "echo", **fields: object) -> str:
        """Place a call, wait for the answer and return the uuid."""
        reply = await self.post("", **{"from": "100", "to": to, **fields})
        assert reply.status == 200, reply
        uuid = str(reply.body["uuid"])
        await self.until(uuid, "answered")
        return uuid

    async def until(self, uuid: str, event_type: str) -> dict[str, Any]:
        """Wait until a call has come so far; return its object."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    reply = await self.get(f"/{uuid}")
                    call = reply.body.get("call", {})
                    if call.get("event_type") == event_type:
                        return dict(call)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"the call is not {event_type}: {reply}") from None

    async def stream(
        self, uuid: str, url: str, kind: str = "twoway", channel: str = "inbound", **more: object
    ) -> str:
        """Start a stream; return its id."""
        reply = await self.post(
            f"/{uuid}/streams", stream_url=url, stream_type=kind, stream_channel=channel, **more
        )
        assert reply.status == 200, reply
        return str(reply.body["stream_id"])


Answer = Callable[[dict[str, Any]], Awaitable[int]]


class Hooks:
    """A web server that takes webhooks at any path. Use it with `async with`."""

    def __init__(self, answer: Answer | None = None) -> None:
        """Prepare one; `answer` decides about each body and returns a status."""
        self.bodies: list[dict[str, Any]] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        """Path, headers and body of each request."""
        self.answer = answer
        self._grown = asyncio.Condition()

    async def __aenter__(self) -> Self:
        """Start."""
        application = web.Application()
        application.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port: int = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self._runner.cleanup()

    def url(self, path: str = "hook") -> str:
        """Return a URL."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def types(self) -> list[str]:
        """Return the event types that came, in order."""
        return [str(body.get("event_type")) for body in self.bodies]

    def about(self, kind: str) -> list[dict[str, Any]]:
        """Return the payloads of what happened during calls, by kind."""
        happened = [body["event_payload"] for body in self.bodies if body.get("event_payload")]
        return [one["payload"] for one in happened if one["type"] == kind]

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait until something holds that webhooks change."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._grown:
                await self._grown.wait_for(condition)
        except TimeoutError:
            raise AssertionError(f"{what or 'the condition does not hold'}: {self.types()}") from None

    async def wait(self, event_type: str, count: int = 1) -> dict[str, Any]:
        """Return the count-th webhook of a type."""

        def found() -> list[dict[str, Any]]:
            return [body for body in self.bodies if body.get("event_type") == event_type]

        await self.until(lambda: len(found()) >= count, f"no {event_type}")
        return found()[count - 1]

    async def _take(self, request: web.Request) -> web.Response:
        data = await request.read()
        body = json.loads(data)
        async with self._grown:
            self.requests.append((request.path, dict(request.headers), data))
            self.bodies.append(body)
            self._grown.notify_all()
        status = await self.answer(body) if self.answer is not None else 200
        return web.Response(status=status)
