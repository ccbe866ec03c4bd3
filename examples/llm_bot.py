"""A telephone bot: it answers calls with a language model behind any OpenAI-compatible URL.

LLM_URL=http://127.0.0.1:11434/v1 LLM_MODEL=llama3.2 python examples/llm_bot.py [port]

The switch announces calls to it: [webhook] url = "http://127.0.0.1:9000/". Environment: SWITCH (URL of the
switch, default ws://127.0.0.1:8080/call/sip), LLM_URL, LLM_MODEL and LLM_KEY.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator

from aiohttp import ClientSession, web

from softswitch.client import AsrFinal, Call, Interruption, webhook_application

SWITCH = os.environ.get("SWITCH", "ws://127.0.0.1:8080/call/sip")
LLM_URL = os.environ.get("LLM_URL", "http://127.0.0.1:11434/v1")
LLM_MODEL = os.environ.get("LLM_MODEL", "llama3.2")
LLM_KEY = os.environ.get("LLM_KEY", "none")
GREETING = "Hello, how can I help you?"
PROMPT = "You answer the telephone. Reply in one or two short sentences, without lists or emoji."

Messages = list[dict[str, str]]


async def think(session: ClientSession, messages: Messages) -> AsyncIterator[str]:
    """Yield the model's reply piece by piece, as it is written."""
    body = {"model": LLM_MODEL, "messages": messages, "stream": True}
    headers = {"Authorization": f"Bearer {LLM_KEY}"}
    async with session.post(f"{LLM_URL}/chat/completions", json=body, headers=headers) as response:
        response.raise_for_status()
        async for line in response.content:
            data = line.decode().removeprefix("data:").strip()
            if data.startswith("{"):
                choices = json.loads(data).get("choices") or [{}]
                yield choices[0].get("delta", {}).get("content") or ""


async def reply(call: Call, session: ClientSession, messages: Messages) -> None:
    """Speak the model's reply while it is written, and add it to the conversation."""
    said: list[str] = []

    async def pieces() -> AsyncIterator[str]:
        async for piece in think(session, messages):
            said.append(piece)
            yield piece

    try:
        await call.say_stream(pieces(), play_id=f"reply-{len(messages)}")
    finally:
        messages.append({"role": "assistant", "content": "".join(said)})


async def converse(call: Call) -> None:
    """Answer one call and talk until it is over."""
    async with ClientSession() as session:
        await call.accept({"asr": {"provider": "builtin"}, "bargeIn": True})
        await call.answered()
        await call.say(GREETING)
        messages = [{"role": "system", "content": PROMPT}, {"role": "assistant", "content": GREETING}]
        speaking: asyncio.Task[None] | None = None
        async for event in call.events():
            if isinstance(event, AsrFinal | Interruption) and speaking is not None:
                speaking.cancel()  # The caller spoke: the rest of the old reply is not wanted.
            if isinstance(event, AsrFinal) and event.text:
                print("caller:", event.text, flush=True)
                messages.append({"role": "user", "content": event.text})
                speaking = asyncio.create_task(reply(call, session, messages))


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    web.run_app(webhook_application(SWITCH, converse), host="127.0.0.1", port=port)
