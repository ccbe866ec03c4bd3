"""A language model behind a chat API in the form of OpenAI's, read as it writes."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import aiohttp
import msgspec

from softswitch.agent.config import Model
from softswitch.agent.history import Message, ToolCall
from softswitch.errors import UnavailableError

MOST_TEXT, MOST_ARGUMENTS, MOST_CALLS = 8_000, 16_000, 8
"""Characters of a reply and of the arguments of a tool, and tools called by one reply."""


class ModelError(UnavailableError):
    """The model cannot be reached, refuses, or writes what is no chat."""


class _Function(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct, frozen=True):
    index: int = 0
    id: str | None = None
    function: _Function = _Function()


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta = _Delta()


class _Chunk(msgspec.Struct, frozen=True):
    choices: list[_Choice] = []
    error: Any = None


_DECODER = msgspec.json.Decoder(_Chunk)


class Reply:
    """Puts one reply together from the lines of its event stream; pure, for tests and evals."""

    def __init__(self) -> None:
        self.over = False
        self._size = 0
        self._calls: dict[int, ToolCall] = {}

    def line(self, line: bytes) -> str:
        """Take a line and return the text that it adds.

        Raises:
            ModelError: The line is no part of a chat, or a bound is passed.
        """
        data = line.strip().removeprefix(b"data:").strip()
        self.over = self.over or data == b"[DONE]"
        if not line.startswith(b"data:") or not data or self.over:
            return ""
        try:
            chunk = _DECODER.decode(data)
        except msgspec.DecodeError as error:
            raise ModelError(f"the model wrote what is no chat: {error}") from None
        if chunk.error is not None:
            raise ModelError(f"the model failed: {str(chunk.error)[:300]}")
        delta = chunk.choices[0].delta if chunk.choices else _Delta()
        for part in delta.tool_calls or ():
            call = self._calls.setdefault(part.index, ToolCall(f"call_{part.index}"))
            call.id = part.id or call.id
            call.name += part.function.name or ""
            call.arguments += part.function.arguments or ""
            if len(self._calls) > MOST_CALLS or len(call.name + call.arguments) > MOST_ARGUMENTS:
                raise ModelError("the model calls too many tools, or with arguments that are too long")
        text = delta.content or ""
        self._size += len(text)
        if self._size > MOST_TEXT:
            raise ModelError(f"the model wrote more than {MOST_TEXT} characters")
        return text

    def calls(self) -> tuple[ToolCall, ...]:
        """Return the tools that it called."""
        return tuple(self._calls[index] for index in sorted(self._calls))


async def think(
    session: aiohttp.ClientSession, model: Model, messages: Sequence[Message], tools: Sequence[Message]
) -> AsyncGenerator[str | ToolCall]:
    """Yield a reply piece by piece, then the tools that it calls.

    Raises:
        ModelError: See there; also when the API is silent for longer than `timeout_s`.
    """
    body: dict[str, Any] = {**model.extra, "model": model.model, "messages": messages, "stream": True}
    body |= {"tools": tools} if tools else {}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=model.timeout_s, sock_read=model.timeout_s)
    headers = {"Authorization": f"Bearer {secret}"} if (secret := model.secret()) else {}
    asked: dict[str, Any] = {"json": body, "headers": headers, "timeout": timeout, "allow_redirects": False}
    reply = Reply()
    try:
        async with session.post(f"{model.url.rstrip('/')}/chat/completions", **asked) as response:
            if response.status != 200:
                told = (await response.content.read(300)).decode(errors="replace")
                raise ModelError(f"the model answered {response.status}: {told}")
            async for line in response.content:
                if text := reply.line(line):
                    yield text
                if reply.over:
                    break
    except (aiohttp.ClientError, ValueError, TimeoutError) as error:
        raise ModelError(f"the model cannot be reached: {error or type(error).__name__}") from None
    for call in reply.calls():
        yield call
