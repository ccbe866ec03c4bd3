"""An agent as a program of its own: it takes the calls that a switch announces by webhook."""

import aiohttp
from aiohttp import web

from softswitch.agent.config import AgentConfig
from softswitch.agent.talk import option_of, talk
from softswitch.client import Call, webhook_application

ANSWERED_S = 30.0
"""Longest wait until an accepted call is up, seconds."""


def server_of(config: AgentConfig, switch: str, *, token: str = "", max_calls: int = 20) -> web.Application:
    """Return what takes the webhook of a switch.

    Args:
        config: The agent.
        switch: URL of the switch: ``ws://host:port/call/sip``.
        token: API key or token for it.
        max_calls: Most simultaneous calls; more are left to other applications.
    """

    async def serve(call: Call) -> None:
        await call.accept(option_of(config))
        await call.answered(ANSWERED_S)
        caller = (call.incoming and call.incoming.caller) or ""
        async with aiohttp.ClientSession() as session:
            await talk(call, config, session, call_id=call.id or "", caller=caller)

    return webhook_application(switch, serve, token=token or None, max_calls=max_calls)
