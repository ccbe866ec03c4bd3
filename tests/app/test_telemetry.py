"""Traces that a collector on loopback gets: spans of a real call, with what becomes of them when it fails."""

import asyncio
import importlib
import io
import json
import logging
import re
import wave
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from softswitch.app import telemetry
from softswitch.app.telemetry import SpanQueue, figures
from softswitch.egress.http import EgressClient
from softswitch.settings.telemetry import Telemetry
from tests.conftest import missing
from tests.support.servers import Files
from tests.support.switch import SwitchThread


def otlp() -> Any:
    """Return the module that reads the requests of OTLP; skip where the extra is not installed."""
    try:
        importlib.import_module("opentelemetry.sdk.trace")
        return importlib.import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    except ImportError:
        missing("the extra [otel] is not installed")
        raise


def attributes(of: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}


def spans_of(requests: Any, bodies: list[tuple[bytes, str]]) -> list[Any]:
    """Return the spans in the requests that the collector got."""
    spans: list[Any] = []
    for body, team in bodies:
        assert team == "pbx"
        for resource in requests.ExportTraceServiceRequest.FromString(body).resource_spans:
            assert attributes(resource.resource)["service.name"] == "test"
            spans += [span for scope in resource.scope_spans for span in scope.spans]
    return spans


async def test_spans_of_a_call_reach_the_collector(
    tmp_path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = otlp()
    monkeypatch.setattr(telemetry, "EVERY_S", 0.05)
    bodies: list[tuple[bytes, str]] = []
    hooks: list[tuple[dict[str, str], dict[str, Any]]] = []

    async def collect(request: web.Request) -> web.Response:
        bodies.append((await request.read(), request.headers.get("X-Team", "")))
        return web.Response()

    async def hook(request: web.Request) -> web.Response:
        hooks.append((dict(request.headers), await request.json()))
        return web.json_response({})

    async with Files() as files:
        files.answers |= {"v1/traces": collect, "hook": hook}
        sections = {
            "telemetry": {
                "endpoint": files.url("v1/traces"),
                "headers": ["X-Team: pbx"],
                "service_name": "test",
            },
        }
        caplog.set_level(logging.INFO, "softswitch")
        with SwitchThread(tmp_path / "data", sections) as switch:
            wish = {"url": files.url("hook"), "event_type": "on-call"}
            place = switch.url("/v1/call/webhooks")
            async with aiohttp.ClientSession() as http, http.post(place, json=wish) as answer:
                assert answer.status < 300, await answer.text()
            async with switch.client(id="traced") as client:
                await client.invite()
                await client.send("play", url=files.put("a.wav", tone()), playId="x")
                await client.wait("trackEnd")
                await client.send("hangup")
                await client.wait("hangup")
            spans: list[Any] = []
            async with asyncio.timeout(60):
                while not {"call", "leg", "playback", "webhook"} <= {span.name for span in spans}:
                    await asyncio.sleep(0.05)
                    spans = spans_of(requests, bodies)
    by_name = {span.name: span for span in spans}
    assert {"call", "leg", "playback", "webhook"} <= by_name.keys()
    call = by_name["call"]
    assert len({span.trace_id for span in spans}) == 1
    assert all(span.parent_span_id == call.span_id for span in spans if span is not call)
    assert attributes(call)["call.id"] == "traced"
    assert attributes(call)["call.answered"] is True
    assert attributes(by_name["playback"])["playback.played_ms"] > 0
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for span in spans)
    found = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0[13]", hooks[0][0]["traceparent"])
    assert found is not None
    assert found[1] == call.trace_id.hex()
    assert found[2] in {span.span_id.hex() for span in spans if span.name == "webhook"}


def tone() -> bytes:
    """Return a WAV file of a tenth of a second."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(1600))
    return data.getvalue()


class FakeContext:
    """Says that a span is sampled, or not."""

    def __init__(self, sampled: bool) -> None:
        self.trace_flags = type("Flags", (), {"sampled": sampled})


class FakeSpan:
    """A span that has ended."""

    def __init__(self, number: int, sampled: bool = True) -> None:
        self.number, self.context = number, FakeContext(sampled)


def encode(spans: Sequence[Any]) -> bytes:
    return json.dumps([span.number for span in spans]).encode()


async def test_spans_beyond_the_bound_are_dropped_and_those_not_sampled_are_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telemetry, "MOST_WAITING", 3)
    monkeypatch.setattr(telemetry, "BATCH", 2)
    got: list[list[int]] = []

    async def collect(request: web.Request) -> web.Response:
        got.append(json.loads(await request.read()))
        return web.Response()

    async with Files() as files:
        files.answers["v1/traces"] = collect
        queue = SpanQueue(Telemetry(endpoint=files.url("v1/traces")), EgressClient(), encode)
        for number in range(5):
            queue.on_end(FakeSpan(number))
        queue.on_end(FakeSpan(9, sampled=False))
        await queue.flush()
    assert got == [[0, 1], [2]]
    assert {reading.name: reading.value for reading in figures(queue)} == {
        "telemetry_spans_exported": 3.0,
        "telemetry_spans_dropped": 2.0,
        "telemetry_spans_failed": 0.0,
        "telemetry_spans_waiting": 0.0,
    }


@pytest.mark.parametrize(("statuses", "requests", "failed"), [([503, 200], 2, 0), ([400, 200], 1, 1)])
async def test_requests_are_repeated_where_the_collector_is_busy(
    monkeypatch: pytest.MonkeyPatch, statuses: list[int], requests: int, failed: int
) -> None:
    monkeypatch.setattr(telemetry, "PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(telemetry, "EVERY_S", 0.01)
    asked: list[int] = []

    async def collect(request: web.Request) -> web.Response:
        asked.append(statuses[len(asked)])
        return web.Response(status=asked[-1])

    async with Files() as files:
        files.answers["v1/traces"] = collect
        queue = SpanQueue(Telemetry(endpoint=files.url("v1/traces")), EgressClient(), encode)
        queue.on_end(FakeSpan(1))
        running = asyncio.create_task(queue.run())
        async with asyncio.timeout(60):
            while queue.exported + queue.failed < 1:
                await asyncio.sleep(0.01)
        running.cancel()
    assert (len(asked), queue.failed) == (requests, failed)


async def test_collector_that_is_away_costs_spans_and_nothing_else() -> None:
    queue = SpanQueue(Telemetry(endpoint="http://127.0.0.1:9/v1/traces"), EgressClient(), encode)
    queue.on_end(FakeSpan(1))
    await queue.flush()
    assert queue.failed == 1
