"""The overview for administrators: the switch as it stands, live as server-sent events, and by the hour."""

import asyncio
import json
import time
from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import web

from softswitch.metrics import reason_label
from softswitch.store.store import HourRow
from softswitch.switch.trunk_quality import TrunkQuality, merged
from softswitch.web.auth import IDENTITY, principal
from softswitch.web.expiry import Expiry
from softswitch.web.forwarding import NODE, headers_of
from softswitch.web.gathering import merge_readiness, merge_trunks
from softswitch.web.keys import CALLS, CLUSTER, READINESS, RESOURCES, SIP
from softswitch.web.route import Route

EVERY_S = 2.0
"""Time between two events, seconds."""
HOURS_EVERY = 5
"""Events of the present between two of the last hours."""
WRITE_S = 30.0
"""Longest wait for a client that does not read, seconds."""
MOST_VIEWERS = 32
"""Clients of one process that follow the overview at once."""
MOST_HOURS = 168
HOUR_MS = 3_600_000
PATH = "/admin/overview"
SHOWN = (
    "process_resident_memory_bytes",
    "softswitch_answer_seconds_bucket",
    "softswitch_media_tick_seconds_bucket",
    "softswitch_memory_held_bytes",
    "softswitch_memory_bound_bytes",
    "softswitch_overload_late_ticks_ratio",
    "softswitch_overload_calls_refused_total",
    "softswitch_speech_seconds_bucket",
    "softswitch_store_spooled_rows_waiting",
    "softswitch_store_rows_lost_total",
    "softswitch_webhook_dropped_total",
)
"""Metrics that the overview shows."""


class Viewers:
    """The clients that follow the overview, and the end of the switch, which ends their streams."""

    def __init__(self) -> None:
        """Start without clients."""
        self.count = 0
        self.closing = asyncio.Event()

    async def close(self, app: web.Application) -> None:
        """End all streams (an ``on_shutdown`` signal)."""
        self.closing.set()


VIEWERS = web.AppKey("viewers", Viewers)


async def get_overview(request: web.Request) -> web.Response:
    """Serve ``GET /admin/overview``: readiness, live calls, trunks with their quality, and figures."""
    return web.json_response(await _everywhere(request))


async def follow_overview(request: web.Request) -> web.StreamResponse:
    """Serve ``GET /admin/overview/events``: the overview every two seconds, as server-sent events."""
    viewers = request.app[VIEWERS]
    if viewers.count >= MOST_VIEWERS:
        raise web.HTTPServiceUnavailable(text=f"{MOST_VIEWERS} clients follow the overview already")
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    over = asyncio.Event()
    expiry = Expiry(request[IDENTITY], over.set)
    viewers.count += 1
    try:
        await response.prepare(request)
        turn = 0
        while not (over.is_set() or viewers.closing.is_set()):
            await _write(response, "now", await _everywhere(request))
            if turn % HOURS_EVERY == 0:
                await _write(response, "hours", await _hours(request, 48))
            turn += 1
            await _either(over, viewers.closing)
    except (ConnectionError, TimeoutError):
        pass  # the client has gone, or does not read
    finally:
        viewers.count -= 1
        expiry.cancel()
    return response


async def get_hours(request: web.Request) -> web.Response:
    """Serve ``GET /admin/overview/hours``: calls of the last hours by the hour, from the database."""
    text = request.query.get("hours", "24")
    if not text.isdecimal() or not 1 <= int(text) <= MOST_HOURS:
        raise web.HTTPBadRequest(text=f"hours must be a number from 1 to {MOST_HOURS}")
    return web.json_response(await _hours(request, int(text)))


def by_hour(rows: Iterable[HourRow]) -> list[dict[str, Any]]:
    """Return the hours that had calls, the oldest first: answered, failed, why, mean time to answer."""
    hours: dict[int, dict[str, Any]] = {}
    for row in rows:
        hour = hours.setdefault(
            row.hour, {"at": row.hour * HOUR_MS, "answered": 0, "failed": 0, "reasons": {}, "setupMs": None}
        )
        if row.failure:
            label = reason_label(row.failure)
            hour["failed"] += row.calls
            hour["reasons"][label] = hour["reasons"].get(label, 0) + row.calls
        else:
            hour["answered"] += row.calls
            hour["setupMs"] = round(row.setup_ms / row.calls)
    return [hours[at] for at in sorted(hours)]


def shown_metrics(text: str) -> str:
    """Return the samples of an exposition that the overview shows."""
    return "\n".join(line for line in text.splitlines() if line.startswith(SHOWN))


async def _write(response: web.StreamResponse, name: str, data: object) -> None:
    async with asyncio.timeout(WRITE_S):
        await response.write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())


async def _either(*events: asyncio.Event) -> None:
    """Wait for the next turn, or for one of several events."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waits, timeout=EVERY_S, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


async def _hours(request: web.Request, hours: int) -> dict[str, Any]:
    since = (int(time.time() * 1000) // HOUR_MS - hours + 1) * HOUR_MS
    return {"since": since, "hours": by_hour(await request.app[RESOURCES].store.records.hours(since))}


async def _everywhere(request: web.Request) -> dict[str, Any]:
    """Return the overview of all processes of the switch; asked by another one, of this one."""
    own = await _own(request)
    cluster = request.app[CLUSTER]
    if cluster is None or NODE in request:
        return own
    bodies = await cluster.peers.read_all(PATH, headers_of(request), request.remote or "")
    far = [json.loads(body) for body in bodies.values()]
    return _merged(own, [one for one in far if isinstance(one, dict)], request)


async def _own(request: web.Request) -> dict[str, Any]:
    app = request.app
    readiness, resources, side = app[READINESS], app[RESOURCES], app.get(SIP)
    calls = await app[CALLS].list(principal(request))
    return {
        "at": int(time.time() * 1000),
        "health": {"faults": readiness.faults(), "warnings": readiness.warnings()},
        "calls": len(calls),
        "trunks": msgspec.to_builtins(list(side.trunks())) if side is not None else [],
        "quality": msgspec.to_builtins(resources.trunks.recent()),
        "metrics": shown_metrics(resources.metrics.render().decode()),
    }


def _merged(own: dict[str, Any], far: list[dict[str, Any]], request: web.Request) -> dict[str, Any]:
    every = [own, *far]
    qualities = [msgspec.convert(one, TrunkQuality) for node in every for one in node["quality"]]
    return {
        **own,
        "health": merge_readiness(own["health"], [one["health"] for one in far], request),
        "calls": sum(node["calls"] for node in every),
        "trunks": merge_trunks(own, far, request)["trunks"],
        "quality": msgspec.to_builtins(merged(qualities)),
        "metrics": "\n".join(node["metrics"] for node in every),
    }


ROUTES = (
    Route("GET", PATH, get_overview, "admin"),
    Route("GET", f"{PATH}/events", follow_overview, "admin"),
    Route("GET", f"{PATH}/hours", get_hours, "admin"),
)
