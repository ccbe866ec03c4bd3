"""The context manager that makes a call."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal

import aiohttp
from yarl import URL

from softswitch.client.call import Call
from softswitch.client.link import Link


@asynccontextmanager
async def connect(
    url: str | URL,
    *,
    token: str | None = None,
    id: str | None = None,  # noqa: A002  (what the wire calls it)
    option: Mapping[str, Any] | None = None,
    command: Literal["invite", "accept"] | None = "invite",
    resume_s: int = 0,
    dump: bool | None = None,
    answer_timeout_s: float | None = 60.0,
    connect_timeout_s: float = 10.0,
    command_timeout_s: float = 10.0,
    heartbeat_s: float = 20.0,
    acknowledge: bool = True,
    session: aiohttp.ClientSession | None = None,
) -> AsyncIterator[Call]:
    """Make a call, and hang up when the block is left.

    Args:
        url: ``ws://host:port/call``, ``/call/webrtc`` or ``/call/sip``.
        token: API key or token, where the switch asks for one.
        id: the session id to request; that of a waiting incoming call takes it.
        option: of the first command: caller, callee, offer, codec, asr, tts ..., in the wire's spelling.
        command: the first command; None sends none, for an incoming call that is not accepted at once.
        resume_s: for how many seconds (at most 600) the switch shall keep the call when the socket is lost.
        dump: whether the switch keeps a record of commands and events; its default if None.
        answer_timeout_s: seconds to wait for the answer before the block is entered; None: do not wait,
            :meth:`.Call.answered` does it later.
        connect_timeout_s: seconds for opening the socket.
        command_timeout_s: seconds for the acknowledgement of a command.
        heartbeat_s: seconds between pings to a silent switch.
        acknowledge: ask the switch to acknowledge commands; False for one that cannot.
        session: the aiohttp session to use; None: a new one.

    Raises:
        ConnectionFailedError: the switch cannot be reached, or refuses the call.
        CallEndedError: the remote party refused, or the call ended before it was answered.
        TimeoutError: no answer came in time.
    """
    async with AsyncExitStack() as stack:
        if session is None:
            session = await stack.enter_async_context(aiohttp.ClientSession())
        link = Link(session, url, token=token, timeout_s=connect_timeout_s, heartbeat_s=heartbeat_s)
        call = Call(
            link, id=id, resume_s=resume_s, command_timeout_s=command_timeout_s, acknowledge=acknowledge
        )
        stack.push_async_callback(call.close)
        await call.open({} if dump is None else {"dump": str(dump).lower()})
        if command is not None:
            await call.command(command, {"option": dict(option or {})}, wait=False)
            if answer_timeout_s is not None:
                await call.answered(answer_timeout_s)
        yield call
