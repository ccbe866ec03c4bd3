"""Requests for what one machine of several has on its disk: recordings and dumps; and for running sessions.

The machine that is asked looks first. Where it has nothing, the others are asked, and the one that has it
serves the request as its client sent it. Where this process is alone, or its machine has no others, nothing
is asked.
"""

import asyncio
import contextlib
import json

import aiohttp
from aiohttp import web

from softswitch.bus.bus import BusError
from softswitch.cluster.cluster import Cluster
from softswitch.web.auth import Handler
from softswitch.web.forwarding import NODE, forward, headers_of, relay
from softswitch.web.keys import CLUSTER

SESSION = "GET /api/v1/sessions/{id}"
"""Route of a session: the node of its room knows it better than the store, while it runs."""
SOUGHT = {
    "GET /recordings/{name}",
    "DELETE /recordings/{name}",
    "GET /dumps/{id}",
    "DELETE /dumps/{id}",
    "GET /v1/recordings/{id}/file",
    "DELETE /v1/recordings/{id}",
    "PUT /v1/cdrs/{id}/retranscribe",
    "GET /api/v1/rooms/{id}/recordings/{name}",
    "DELETE /api/v1/rooms/{id}/recordings/{name}",
    SESSION,
}
"""Routes that need what the machine has that made it."""


def seeking(method: str, path: str, handler: Handler) -> Handler:
    """Return a handler that asks the other machines for what this one does not have."""
    route = f"{method} {path}"
    if route not in SOUGHT:
        return handler
    if route == SESSION:
        handler = _sessions(handler)

    async def serve(request: web.Request) -> web.StreamResponse:
        cluster = request.app[CLUSTER]
        if cluster is None or NODE in request:
            return await handler(request)
        try:
            own = await handler(request)
        except web.HTTPNotFound:
            if (found := await _ask(request, cluster)) is None:
                raise
            return found
        if own.status != 404:
            return own
        return await _ask(request, cluster) or own

    return serve


async def _ask(request: web.Request, cluster: Cluster) -> web.StreamResponse | None:
    """Have the machine serve a request that has what it asks for; None where none has."""
    nodes = await cluster.peers.machines()
    body = await request.read()

    async def ask(node: str) -> aiohttp.ClientResponse | None:
        try:
            return await cluster.peers.request(
                node,
                request.method,
                request.raw_path,
                headers=headers_of(request),
                data=body,
                said=request.remote or "",
            )
        except BusError:
            return None

    answers = [
        answer for answer in await asyncio.gather(*(ask(node) for node in nodes)) if answer is not None
    ]
    chosen = next((answer for answer in answers if answer.status != 404), None)
    for answer in answers:
        if answer is not chosen:
            answer.close()
    return await relay(request, chosen) if chosen is not None else None


def _sessions(handler: Handler) -> Handler:
    """Return a handler that has the node of the room serve a session that runs."""

    async def serve(request: web.Request) -> web.StreamResponse:
        own = await handler(request)
        cluster = request.app[CLUSTER]
        if cluster is None or NODE in request or own.status != 200 or not isinstance(own, web.Response):
            return own
        session = json.loads(own.body if isinstance(own.body, bytes) else b"{}")
        node = await cluster.owned.owner(f"room:{session.get('room_id', '')}")
        if not node:
            return own
        with contextlib.suppress(web.HTTPGatewayTimeout):
            newer = await forward(request, cluster, node)
            if newer.status == 200:
                return newer
        return own

    return serve
