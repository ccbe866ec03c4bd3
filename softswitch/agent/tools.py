"""The tools of an agent: what the model is told of them, and how they are carried out."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import aiohttp

from softswitch.agent.config import AgentConfig, Tool
from softswitch.agent.history import Message, ToolCall

logger = logging.getLogger(__name__)

MOST_RESULT = 8_000
"""Bytes of an answer that the model is given."""

Actions = dict[str, Callable[..., Awaitable[str]]]
"""Tools by name: each takes the arguments by name, and returns what the model is told."""


def shown(config: AgentConfig) -> list[Message]:
    """Return the tools of an agent in the words of the API."""
    number = (
        "Take down a telephone number: the one that the caller said, or, without `number`, the keys "
        "that the caller presses next."
    )
    tools = [
        _function("end_call", "End the call once the caller has said goodbye."),
        _function("take_number", number, {"number": {"type": "string"}}),
        *(_function(tool.name, tool.about, tool.parameters, tool.required) for tool in config.tool),
    ]
    if places := config.transfer:
        known = "; ".join(f"{name}: {place.about or place.callee}" for name, place in places.items())
        to = {"to": {"type": "string", "enum": list(places)}}
        tools.append(_function("transfer", f"Connect the caller with one of: {known}", to, ("to",)))
    return tools


def _function(
    name: str, about: str, parameters: Mapping[str, Any] | None = None, required: tuple[str, ...] = ()
) -> Message:
    schema = {"type": "object", "properties": dict(parameters or {}), "required": list(required)}
    return {"type": "function", "function": {"name": name, "description": about, "parameters": schema}}


class Tools:
    """The tools of one call."""

    def __init__(
        self, config: AgentConfig, session: aiohttp.ClientSession, built_in: Actions, about: Mapping[str, str]
    ) -> None:
        """Prepare.

        Args:
            config: The agent.
            session: Sends the requests.
            built_in: What the built-in tools do, by name.
            about: What a request tells of the call.
        """
        self.failures = 0
        """Tools that failed."""
        self._session, self._about = session, about
        self._actions = built_in | {tool.name: partial(self._request, tool) for tool in config.tool}

    async def run(self, call: ToolCall) -> str:
        """Carry a tool out and return what the model is told; a failure is told as well."""
        try:
            if (action := self._actions.get(call.name)) is None:
                raise ValueError(f"there is no tool {call.name!r}")
            if not isinstance(arguments := json.loads(call.arguments or "{}"), dict):
                raise TypeError("the arguments must be a JSON object")
            return await action(**arguments)
        except (ValueError, TypeError, RecursionError, aiohttp.ClientError, TimeoutError) as error:
            self.failures += 1
            logger.warning("a tool of an agent failed", extra={"tool": call.name, "error": str(error)})
            return f"error: {error or type(error).__name__}"

    async def _request(self, tool: Tool, /, **arguments: Any) -> str:
        given: dict[str, Any] = {"json": {**self._about, "arguments": arguments}}
        if tool.method == "GET":
            given = {"params": {name: str(value) for name, value in arguments.items()}}
        given |= {"headers": {"Authorization": f"Bearer {tool.token}"} if tool.token else {}}
        given |= {"timeout": aiohttp.ClientTimeout(total=tool.timeout_s), "allow_redirects": False}
        async with self._session.request(tool.method, tool.url, **given) as response:
            if response.status >= 300:
                raise ValueError(f"the tool answered {response.status}")
            body = b""
            while len(body) < MOST_RESULT and (piece := await response.content.read(MOST_RESULT - len(body))):
                body += piece
            return body.decode(errors="replace")
