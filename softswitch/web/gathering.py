"""Lists of all nodes in one answer: calls, rooms, users, trunks, readiness and metrics.

Where this process is alone, the lists are its own.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from aiohttp import web

from softswitch.bus.bus import BusError
from softswitch.web.auth import Handler
from softswitch.web.forwarding import NODE, headers_of
from softswitch.web.keys import CLUSTER, SUPERVISOR

Merge = Callable[[dict[str, Any], list[dict[str, Any]], web.Request], dict[str, Any]]
"""Adds the answers of other nodes to that of this one."""
_SAMPLE = re.compile(r"([A-Za-z_:][A-Za-z0-9_:]*)(\{.*\})? (.+)")


def gathering(method: str, path: str, handler: Handler) -> Handler:
    """Return a handler that adds what the other nodes have, for the routes that list something."""
    merge = MERGES.get(f"{method} {path}")
    if merge is None:
        return handler

    async def serve(request: web.Request) -> web.StreamResponse:
        own = await handler(request)
        cluster = request.app[CLUSTER]
        if cluster is None or NODE in request or not isinstance(own, web.Response):
            return own
        if own.status not in (200, 503) or not isinstance(own.body, bytes):
            return own
        bodies = await cluster.peers.read_all(far_path(request), headers_of(request), request.remote or "")
        far = [json.loads(body) for body in bodies.values()]
        merged = merge(json.loads(own.body), [one for one in far if isinstance(one, dict)], request)
        headers = {name: own.headers[name] for name in ("Retry-After",) if name in own.headers}
        status = 503 if merged.get("faults") else 200
        return web.json_response(merged, status=status, headers=headers)

    return serve


def far_path(request: web.Request) -> str:
    """Return path and query to ask other nodes for: a page is cut from all, so each sends its first ones."""
    url = request.rel_url
    if "offset" in url.query and url.query["offset"].isdecimal():
        limit = int(url.query.get("limit", "50")) if url.query.get("limit", "50").isdecimal() else 50
        url = url.update_query(limit=str(min(limit + int(url.query["offset"]), 100)), offset="0")
    return str(url)


def _under(name: str, order: str, *, newest: bool = False) -> Merge:
    """Return the merge of lists under a name, in the order of a field."""

    def merge(own: dict[str, Any], far: list[dict[str, Any]], request: web.Request) -> dict[str, Any]:
        rows = [*own[name], *(row for one in far for row in one.get(name, []))]
        return {**own, name: sorted(rows, key=lambda row: str(row.get(order, "")), reverse=newest)}

    return merge


def _dumps(own: dict[str, Any], far: list[dict[str, Any]], request: web.Request) -> dict[str, Any]:
    """Merge dumps, the newest first; workers of one machine list the same files."""
    rows = [*own["dumps"], *(row for one in far for row in one.get("dumps", []))]
    by_id = {row["callId"]: row for row in rows}
    return {"dumps": sorted(by_id.values(), key=lambda row: str(row["modifiedAt"]), reverse=True)}


def _users(own: dict[str, Any], far: list[dict[str, Any]], request: web.Request) -> dict[str, Any]:
    """Merge users: a device that several nodes know stands there once."""
    by_name = {row["name"]: row for row in own["users"]}
    for row in (row for one in far for row in one.get("users", [])):
        known = by_name.setdefault(row["name"], row)
        uris = {(contact["uri"], contact["address"]) for contact in known["contacts"]}
        known["contacts"] += [
            contact for contact in row["contacts"] if (contact["uri"], contact["address"]) not in uris
        ]
        known["registered"] = known["registered"] or row["registered"]
    return {"users": list(by_name.values())}


def merge_trunks(own: dict[str, Any], far: list[dict[str, Any]], request: web.Request) -> dict[str, Any]:
    """Merge trunks: calls are added up, and the state is that of the node that registers the trunk."""
    by_name = {row["name"]: dict(row) for row in own["trunks"]}
    for row in (row for one in far for row in one.get("trunks", [])):
        known = by_name.setdefault(row["name"], dict(row))
        if known is row:
            continue
        calls = known["calls"] + row["calls"]
        refused = known["calls_refused"] + row["calls_refused"]
        if known["state"] == "registering" != row["state"]:
            known.update(row)
        known.update(calls=calls, calls_refused=refused)
    return {"trunks": list(by_name.values())}


def _queues(own: dict[str, Any], far: list[dict[str, Any]], request: web.Request) -> dict[str, Any]:
    """Merge queues: each node has some of the callers of one line, and figures of its own."""
    by_name = {row["name"]: row for row in own["queues"]}
    for row in (row for one in far for row in one.get("queues", [])):
        known = by_name.setdefault(row["name"], row)
        if known is row:
            continue
        answered = known["answered"] + row["answered"]
        waited_ms = sum(one["meanWaitMs"] * one["answered"] for one in (known, row))
        known["callers"] = sorted(
            # A node of the version before tells no places: its callers come first.
            [*known["callers"], *row["callers"]],
            key=lambda caller: int(caller.get("place", 0)),
        )
        known["free"] = [user for user in known["free"] if user in row["free"]]
        known["longestWaitMs"] = max(known["longestWaitMs"], row["longestWaitMs"])
        for name in ("waiting", "entered", "answered", "abandoned", "timedOut", "refused", "ringsMissed"):
            known[name] += row[name]
        known["meanWaitMs"] = round(waited_ms / answered) if answered else 0
    return {"queues": list(by_name.values())}


def _rooms(own: dict[str, Any], far: list[dict[str, Any]], request: web.Request) -> dict[str, Any]:
    """Merge pages of rooms; of a room that several nodes have stored, the open one counts."""
    by_id: dict[str, dict[str, Any]] = {}
    rows = [*own["data"], *(row for one in far for row in one.get("data", []))]
    total = max([own["pagination"]["total"], *(one["pagination"]["total"] for one in far)])
    for row in rows:
        known = by_id.get(row["id"])
        if known is None or known["status"] == "closed":
            by_id[row["id"]] = row
    page = own["pagination"]
    ordered = sorted(by_id.values(), key=lambda row: str(row.get("created_at", "")), reverse=True)
    start = 0 if len(far) == 0 else page["offset"]
    data = ordered[start : start + page["limit"]] if far else ordered
    return {"data": data, "pagination": {**page, "total": max(total, len(by_id))}}


def merge_readiness(own: dict[str, Any], far: list[dict[str, Any]], request: web.Request) -> dict[str, Any]:
    """Merge readiness: new calls go to ready workers only, so one ready node is enough."""
    if not own.get("faults") or all(one.get("faults") for one in far):
        return own
    ready = next(one for one in far if not one.get("faults"))
    warnings = [*ready.get("warnings", []), *(f"a worker: {fault}" for fault in own["faults"])]
    return {**ready, "warnings": warnings}


MERGES: dict[str, Merge] = {
    "GET /call/lists": _under("calls", "created_at"),
    "GET /list": _under("calls", "created_at"),
    "GET /queues": _queues,
    "GET /supervise": _under("calls", "createdAt"),
    "GET /v1/call": _under("calls", "call_started"),
    "GET /v1/calls": _under("calls", "call_started"),
    "GET /admin/users": _users,
    "GET /admin/trunks": merge_trunks,
    "GET /api/v1/rooms": _rooms,
    "GET /dumps": _dumps,
    "GET /readyz": merge_readiness,
}
"""What each list is merged by; the others are read from the store, which all nodes share."""


async def metrics_of_all(request: web.Request, own: bytes) -> bytes:
    """Return the metrics of all workers in one text, each sample with the label ``worker``."""
    cluster = request.app[CLUSTER]
    if cluster is None or NODE in request:
        return own
    texts = {cluster.bus.node: own}
    texts |= await cluster.peers.read_all(request.raw_path, headers_of(request), request.remote or "")
    lines = merged_metrics({_label(node): text.decode() for node, text in texts.items()})
    if (supervisor := request.app[SUPERVISOR]) is not None:
        try:
            figures = json.loads(await supervisor.supervisor_figures())
        except BusError:
            figures = {}
        for name, value in figures.items():
            full = f"softswitch_supervisor_{name}"
            lines += [f"# TYPE {full} {'counter' if name.endswith('_total') else 'gauge'}", f"{full} {value}"]
    return ("\n".join(lines) + "\n").encode()


def _label(node: str) -> str:
    return node.rpartition(".")[2]


def merged_metrics(texts: dict[str, str]) -> list[str]:
    """Return the lines of several expositions, one family after the other, with the label ``worker``."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for worker, text in texts.items():
        for family, line in _families(text.splitlines()):
            if line.startswith("#"):
                known = heads.setdefault(family, [])
                if line not in known and len(known) < 2:
                    known.append(line)
            else:
                samples.setdefault(family, []).append(_labelled(line, worker))
    return [line for family, lines in samples.items() for line in [*heads.get(family, []), *lines]]


def _families(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    family = ""
    for line in lines:
        if line.startswith("#"):
            family = line.split(" ", 3)[2]
        if line:
            yield family, line


def _labelled(line: str, worker: str) -> str:
    found = _SAMPLE.fullmatch(line)
    if found is None:
        return line
    name, labels, value = found.groups()
    own = f'worker="{worker}"'
    return f"{name}{{{own},{labels[1:]} {value}" if labels else f"{name}{{{own}}} {value}"
