"""Telephone calls in one line: dial one, take one that has come in."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from yarl import URL

from softswitch.client.call import Call
from softswitch.client.commands import fields
from softswitch.client.connect import connect
from softswitch.client.events import Incoming


def dial(
    url: str | URL,
    callee: str,
    *,
    caller: str | None = None,
    username: str | None = None,
    password: str | None = None,
    headers: Mapping[str, str] | None = None,
    option: Mapping[str, Any] | None = None,
    **more: Any,
) -> AbstractAsyncContextManager[Call]:
    """Call a telephone, and hang up when the block is left.

    Args:
        url: ``ws://host:port/call/sip``.
        callee: a number, a user of the switch or a SIP URI.
        caller: who is shown to be calling.
        username: of the account to prove, where the settings of the switch have none.
        password: of that account.
        headers: further headers of the INVITE.
        option: asr, tts, recorder ..., in the wire's spelling.
        more: as for :func:`.connect`, which also says what is raised.
    """
    sip = fields(username=username, password=password, headers=headers)
    asked = {**(option or {}), **fields(caller=caller, callee=callee, sip=sip or None)}
    return connect(url, option=asked, **more)


@asynccontextmanager
async def take(
    url: str | URL, dialog_id: str, *, incoming_timeout_s: float = 10.0, **more: Any
) -> AsyncIterator[Call]:
    """Take up a call that a webhook told of; :attr:`.Call.incoming` says who calls.

    Inside the block :meth:`.Commands.ring`, :meth:`.Commands.accept` and :meth:`.Commands.reject` decide;
    behind ``accept`` :meth:`.Call.answered` waits until both can speak.

    Args:
        url: ``ws://host:port/call/sip``.
        dialog_id: ``dialogId`` of the webhook.
        incoming_timeout_s: how long to wait for the event ``incoming``.
        more: as for :func:`.connect`, which also says what is raised.

    Raises:
        TimeoutError: no call waits under this id (any more).
    """
    async with connect(url, id=dialog_id, command=None, **more) as call:
        await call.wait(Incoming, incoming_timeout_s)
        yield call
