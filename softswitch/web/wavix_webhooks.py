"""Call control: the webhooks of an account, and the socket that is told every event of its calls."""

import asyncio
import contextlib

from aiohttp import web

from softswitch.dialects.wavix import requests as q
from softswitch.dialects.wavix.fields import InvalidError
from softswitch.dialects.wavix.responses import ManyWebhooks, Webhook, WebhookMade
from softswitch.store.store import WebhookRecord
from softswitch.switch.webhooks import Feed
from softswitch.web.auth import IDENTITY
from softswitch.web.keys import SETTINGS, WEBHOOKS
from softswitch.web.wavix_common import done, fields, read, shown

MOST_WAITING = 1000
"""Events that wait for a feed that reads slowly; then it is closed, for control is never dropped."""


async def list_webhooks(request: web.Request) -> web.Response:
    """Serve ``GET /v1/call/webhooks``."""
    records = request.app[WEBHOOKS].of(request[IDENTITY].name)
    return shown(ManyWebhooks(webhooks=[_shown(record) for record in records]))


async def add_webhook(request: web.Request) -> web.Response:
    """Serve ``POST /v1/call/webhooks``."""
    body = await read(request, q.NewWebhook)
    if not body.url.startswith(("http://", "https://")):
        raise InvalidError({"url": "Must be a valid URL (http:// or https://)"})
    record = await request.app[WEBHOOKS].add(request[IDENTITY].name, body.url, body.event_type)
    return shown(WebhookMade(id=record.id, url=record.url, event_type=body.event_type), 201)


async def remove_webhooks(request: web.Request) -> web.Response:
    """Serve ``DELETE /v1/call/webhooks``: those that the query or body names by id, url or event_type."""
    given = {**(await fields(request)), **request.query}
    number = str(given.get("id", "0"))
    if not number.isdecimal():
        raise InvalidError({"id": "Must be a number"})
    removed = await request.app[WEBHOOKS].remove(
        request[IDENTITY].name,
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
    ws = web.WebSocketResponse(heartbeat=heartbeat_s, compress=False, timeout=2.0, max_msg_size=4096)
    await ws.prepare(request)
    waiting: asyncio.Queue[bytes] = asyncio.Queue(MOST_WAITING)
    slow = asyncio.Event()

    def tell(message: bytes) -> None:
        if waiting.full():
            slow.set()
        else:
            waiting.put_nowait(message)

    ends = request.app[WEBHOOKS].listen(Feed(request[IDENTITY].name, tell))
    working = [
        asyncio.ensure_future(_send(ws, waiting)),
        asyncio.ensure_future(_ignore(ws)),
        asyncio.ensure_future(slow.wait()),
    ]
    try:
        await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ends()
        for task in working:
            task.cancel()
        await asyncio.wait(working)
        await ws.close(code=1013 if slow.is_set() else 1000)
    return ws


async def _send(ws: web.WebSocketResponse, waiting: "asyncio.Queue[bytes]") -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            await ws.send_str((await waiting.get()).decode())


async def _ignore(ws: web.WebSocketResponse) -> None:
    """Wait for the end; what a listener says is nobody's business."""
    async for _ in ws:
        pass


def _shown(record: WebhookRecord) -> Webhook:
    event_type: q.WebhookType = "on-call" if record.event_type == "on-call" else "post-call"
    return Webhook(id=record.id, url=record.url, event_type=event_type)
