"""A scripted language model: a chat API in the form of OpenAI's, on loopback."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer

Said = str | dict[str, Any] | float
"""A piece of text, a tool that is called (`name` and its arguments), or seconds to think."""
Script = Callable[[list[dict[str, Any]]], Sequence[Said]]


class ScriptedModel:
    """Answers each request with what the script makes of its messages; keeps the requests."""

    def __init__(self, script: Script, status: int = 200) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.status = status
        self._script = script
        application = web.Application()
        application.router.add_post("/v1/chat/completions", self._complete)
        self._server = TestServer(application)

    async def __aenter__(self) -> Self:
        """Serve."""
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self._server.close()

    @property
    def url(self) -> str:
        """Return the base URL."""
        return str(self._server.make_url("/v1"))

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.keys.append(request.headers.get("Authorization"))
        if self.status != 200:
            return web.json_response({"error": {"message": "quota"}}, status=self.status)
        assert body["stream"] is True
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        tools = 0
        for piece in self._script(body["messages"]):
            if isinstance(piece, float):
                await asyncio.sleep(piece)
                continue
            if isinstance(piece, str):
                deltas: list[dict[str, Any]] = [{"content": piece}]
            else:
                text = json.dumps({key: value for key, value in piece.items() if key != "name"})
                call: dict[str, Any] = {"index": tools, "id": f"call-{tools}", "type": "function"}
                first = call | {"function": {"name": piece["name"], "arguments": text[:3]}}
                rest = {"index": tools, "function": {"arguments": text[3:]}}
                deltas = [{"tool_calls": [first]}, {"tool_calls": [rest]}]
                tools += 1
            for delta in deltas:
                await response.write(b"data: %s\n\n" % json.dumps({"choices": [{"delta": delta}]}).encode())
        await response.write(b"data: [DONE]\n\n")
        return response


def last_user(messages: list[dict[str, Any]]) -> str:
    """Return what the caller said last, in small letters."""
    return next((m["content"] for m in reversed(messages) if m["role"] == "user"), "").lower()
