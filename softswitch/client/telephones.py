"""Context managers for telephone calls: dial one, or take an incoming one."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from yarl import URL

from softswitch.client.call import Call
from softswitch.client.commands import fields
from softswitch.client.connect import connect
from softswitch.protocol.call_events import Incoming


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
    """Call a telephone and hang up when the block is left.

    Args:
        url: ``ws://host:port/call/sip``.
        callee: a number, a user of the switch or a SIP URI.
        caller: the caller that is shown.
        username: user name for SIP authentication, where the settings of the switch have none.
        password: password for SIP authentication.
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
    """Take an incoming call that a webhook announced; :attr:`.Call.incoming` has the caller.

    Inside the block :meth:`.Commands.ring`, :meth:`.Commands.accept` and :meth:`.Commands.reject` decide;
    after ``accept``, :meth:`.Call.answered` waits until the call is up.

    Args:
        url: ``ws://host:port/call/sip``.
        dialog_id: ``dialogId`` of the webhook.
        incoming_timeout_s: seconds to wait for the event ``incoming``.
        more: as for :func:`.connect`, which also says what is raised.

    Raises:
        TimeoutError: no call waits under this id.
    """
    async with connect(url, id=dialog_id, command=None, **more) as call:
        await call.wait(Incoming, incoming_timeout_s)
        yield call
