"""Call control: the webhooks of an account, and its event feed."""

import asyncio
import contextlib

from aiohttp import web

from softswitch.dialects.wavix import requests as q
from softswitch.dialects.wavix.fields import InvalidError
from softswitch.dialects.wavix.responses import Webhook, WebhookMade
from softswitch.store.store import WebhookRecord
from softswitch.switch.notify.webhooks import Feed
from softswitch.web.auth import IDENTITY, principal
from softswitch.web.expiry import EXPIRED, POLICY_VIOLATION, Expiry
from softswitch.web.keys import SETTINGS, WEBHOOKS
from softswitch.web.server_socket import ServerSocket
from softswitch.web.wavix.common import done, fields, read, shown

MOST_WAITING = 1000
"""Messages that wait for a feed that reads slowly. Beyond it the feed is closed: no message is dropped."""


async def list_webhooks(request: web.Request) -> web.Response:
    """Serve ``GET /v1/call/webhooks``: a bare list, as the clients of Wavix read it."""
    records = request.app[WEBHOOKS].of(principal(request).account)
    return shown([_shown(record) for record in records])


async def add_webhook(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call/webhooks``."""
    body = await read(request, q.NewWebhook)
    if not body.url.startswith(("http://", "https://")):
        raise InvalidError({"url": "Must be a valid URL (http:// or https://)"})
    record = await request.app[WEBHOOKS].add(principal(request).account, body.url, body.event_type)
    return shown(WebhookMade(id=record.id, url=record.url, event_type=body.event_type), 201)


async def remove_webhooks(request: web.Request) -> web.Response:
    """Serve ``DELETE /v1/call/webhooks``: those that the query or body names by id, url or event_type."""
    given = {**(await fields(request)), **request.query}
    number = str(given.get("id", "0"))
    if not number.isdecimal():
        raise InvalidError({"id": "Must be a number"})
    removed = await request.app[WEBHOOKS].remove(
        principal(request).account,
        event_type=str(given.get("event_type", "")),
        url=str(given.get("url", "")),
        number=int(number),
    )
    if not removed and given:
        raise web.HTTPNotFound(reason="Webhook not found")
    return done()


async def event_feed(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /sip`` without the sub-protocol of SIP: every event of the account's calls, as text."""
    heartbeat_s = request.app[SETTINGS].limits.heartbeat_s
    ws = ServerSocket(most=4096, heartbeat_s=heartbeat_s)
    await ws.prepare(request)
    waiting: asyncio.Queue[bytes] = asyncio.Queue(MOST_WAITING)
    slow, over = asyncio.Event(), asyncio.Event()

    def tell(message: bytes) -> None:
        if waiting.full():
            slow.set()
        else:
            waiting.put_nowait(message)

    by = principal(request)
    ends = request.app[WEBHOOKS].listen(Feed(by.account, tell, administers=by.administers))
    working = [
        asyncio.ensure_future(_send(ws, waiting)),
        asyncio.ensure_future(_ignore(ws)),
        asyncio.ensure_future(slow.wait()),
        asyncio.ensure_future(over.wait()),
    ]
    expiry = Expiry(request[IDENTITY], over.set)
    try:
        await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ends()
        expiry.cancel()
        for task in working:
            task.cancel()
        await asyncio.wait(working)
        if over.is_set():
            await ws.close(code=POLICY_VIOLATION, message=EXPIRED.encode())
        else:
            await ws.close(code=1013 if slow.is_set() else 1000)
    return ws


async def _send(ws: web.WebSocketResponse, waiting: "asyncio.Queue[bytes]") -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            await ws.send_str((await waiting.get()).decode())


async def _ignore(ws: web.WebSocketResponse) -> None:
    """Wait for the end of the socket; messages of the client are ignored."""
    async for _ in ws:
        pass


def _shown(record: WebhookRecord) -> Webhook:
    event_type: q.WebhookType = "on-call" if record.event_type == "on-call" else "post-call"
    return Webhook(id=record.id, url=record.url, event_type=event_type)
