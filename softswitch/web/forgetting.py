"""``POST /admin/forget``: what is kept of an account is deleted, on the disks of all machines.

The database is one for all nodes; recordings and dumps are on the machine that made them. So one node of each
other machine is asked as well, and machines that did not answer stand in the answer.
"""

import asyncio

import msgspec
from aiohttp import web

from softswitch.bus.bus import BusError
from softswitch.cluster.cluster import Cluster
from softswitch.store.queries import RecordingQuery
from softswitch.store.store import Forgotten
from softswitch.web.call_query import read_forget
from softswitch.web.forwarding import NODE, headers_of
from softswitch.web.keys import CLUSTER, RESOURCES


async def forget(request: web.Request) -> web.Response:
    """Serve ``POST /admin/forget``: delete recordings, dumps and transcripts of an account's calls."""
    account, before_ms = read_forget(await request.read())
    store, cluster = request.app[RESOURCES].store, request.app[CLUSTER]
    # The database first, here: the other machines then find only files that are left.
    done = await store.forget(account, before_ms)
    if cluster is None or NODE in request:
        return web.json_response(body=msgspec.json.encode(done))
    hosts = await cluster.peers.hosts()
    answers = await asyncio.gather(*(_ask(request, cluster, nodes) for nodes in hosts.values()))
    unanswered = [host for host, answer in zip(hosts, answers, strict=True) if answer is None]
    total = _sum([done, *(answer for answer in answers if answer is not None)])
    _, left = await store.records.find_recordings(RecordingQuery(account=account, until_ms=before_ms), 1, 0)
    shown = {**msgspec.to_builtins(total), "unanswered": unanswered, "recordingsLeft": left}
    return web.json_response(shown)


async def _ask(request: web.Request, cluster: Cluster, nodes: list[str]) -> Forgotten | None:
    """Return what the first node of a machine that answers has deleted; None: none has answered."""
    for node in nodes:
        try:
            answer = await cluster.peers.request(
                node,
                "POST",
                request.raw_path,
                headers=headers_of(request),
                data=await request.read(),
                said=request.remote or "",
            )
            async with answer:
                if answer.status == 200:
                    return msgspec.json.decode(await answer.read(), type=Forgotten)
        except (BusError, OSError, msgspec.DecodeError):
            continue  # Another worker of the machine has the same disk.
    return None


def _sum(parts: list[Forgotten]) -> Forgotten:
    rows = [msgspec.structs.astuple(part) for part in parts]
    return Forgotten(*(sum(column) for column in zip(*rows, strict=True)))
