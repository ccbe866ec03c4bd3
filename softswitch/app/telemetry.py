"""Traces for an OpenTelemetry collector: spans of the SDK, sent by OTLP/HTTP through the egress client."""

import asyncio
import contextlib
import importlib
import logging
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from aiohttp import web

from softswitch import __version__
from softswitch.egress import EgressError, EgressRefused
from softswitch.egress.http import EgressClient
from softswitch.errors import UnavailableError
from softswitch.log import set_trace_of
from softswitch.metrics import Reading
from softswitch.settings.telemetry import Telemetry
from softswitch.switch.notify.webhook_sender import WebhookSender
from softswitch.switch.switch import Switch
from softswitch.switch.tracing import Span, Traces, Value

logger = logging.getLogger(__name__)

MOST_WAITING = 4096
"""Spans that wait for the collector; further ones are dropped and counted."""
BATCH = 128
"""Spans in one request: encoding them takes a few milliseconds of the loop."""
EVERY_S = 2.0
"""Longest wait of a span, seconds, while the collector takes them."""
PAUSES_S = (2.0, 5.0)
"""Pauses before a request is repeated, seconds."""
CLOSE_S = 3.0
"""Longest wait for the collector at the end of the switch, seconds."""
_AGAIN = frozenset({429, 502, 503, 504})
"""Statuses after which a request is repeated (OTLP 1.0, "Failures")."""


class SpanQueue:
    """The spans that have ended and wait for the collector."""

    def __init__(
        self, settings: Telemetry, egress: EgressClient, encode: Callable[[Sequence[Any]], bytes]
    ) -> None:
        """Start without spans.

        Args:
            settings: URL and headers of the collector.
            egress: sends the requests; the URL is the operator's, so it may be private.
            encode: returns spans of the SDK as the body of a request.
        """
        self._settings, self._egress, self._encode = settings, egress, encode
        self._waiting: deque[Any] = deque()
        self._filled = asyncio.Event()
        self.exported = self.dropped = self.failed = 0
        """Spans that the collector has taken, that did not fit in the queue, and that it did not take."""

    def on_end(self, span: Any) -> None:
        """Queue a span that is sampled."""
        if not span.context.trace_flags.sampled:
            return
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(span)
        if len(self._waiting) >= BATCH:
            self._filled.set()

    async def run(self) -> None:
        """Send spans as they come, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._filled.wait()
            await self._send(PAUSES_S)

    async def flush(self) -> None:
        """Send what waits, within a bounded time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._send(())

    async def _send(self, pauses: Sequence[float]) -> None:
        self._filled.clear()
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            body = self._encode(batch)
            wrong = await self._post(body)
            for pause in pauses:
                if wrong != "again":
                    break
                await asyncio.sleep(pause)
                wrong = await self._post(body)
            if wrong:
                self.failed += len(batch)
            else:
                self.exported += len(batch)

    async def _post(self, body: bytes) -> str:
        """Send a body; return an empty text, "again" or "no"."""
        headers = {"Content-Type": "application/x-protobuf", **self._settings.pairs()}
        try:
            answer = await self._egress.fetch(
                self._settings.endpoint,
                method="POST",
                headers=headers,
                body=body,
                trusted=True,
                redirects=False,
            )
        except EgressError as error:
            logger.warning("the collector of traces is not reached", extra={"error": str(error)})
            return "no" if isinstance(error, EgressRefused) else "again"
        if 200 <= answer.status < 300:
            return ""
        logger.warning("the collector refuses traces", extra={"status": answer.status})
        return "again" if answer.status in _AGAIN else "no"

    @property
    def waiting(self) -> int:
        """Return the number of spans that wait."""
        return len(self._waiting)


def figures(queue: SpanQueue | None) -> Iterable[Reading]:
    """Yield the counts of spans, for metrics; zeros where there are no traces."""
    for name in ("exported", "dropped", "failed"):
        yield Reading(f"telemetry_spans_{name}", float(getattr(queue, name)) if queue is not None else 0.0)
    yield Reading("telemetry_spans_waiting", queue.waiting if queue is not None else 0, "gauge")


class OtelTracer:
    """Maker of spans of the SDK (a `softswitch.switch.tracing.Tracer`)."""

    def __init__(self, settings: Telemetry, egress: EgressClient) -> None:
        """Prepare; `queue.run` sends the spans.

        Raises:
            UnavailableError: the extra [otel] is not installed.
        """
        try:
            self._api: Any = importlib.import_module("opentelemetry.trace")
            context = importlib.import_module("opentelemetry.context")
            sdk = importlib.import_module("opentelemetry.sdk.trace")
            sampling = importlib.import_module("opentelemetry.sdk.trace.sampling")
            resources = importlib.import_module("opentelemetry.sdk.resources")
            encoder = importlib.import_module("opentelemetry.exporter.otlp.proto.common.trace_encoder")
        except ImportError as error:
            raise UnavailableError(
                "[telemetry] endpoint needs OpenTelemetry: pip install softswitch[otel]"
            ) from error

        def encode(spans: Sequence[Any]) -> bytes:
            data: bytes = encoder.encode_spans(spans).SerializeToString()
            return data

        self.queue = queue = SpanQueue(settings, egress, encode)

        # The base class of the SDK may be absent, so the class is made here.
        processor = type("Processor", (sdk.SpanProcessor,), {"on_end": lambda self, span: queue.on_end(span)})
        provider = sdk.TracerProvider(
            resource=resources.Resource.create(
                {
                    "service.name": settings.service_name,
                    "service.version": __version__,
                    "host.name": socket.gethostname(),
                }
            ),
            sampler=sampling.ParentBased(sampling.TraceIdRatioBased(settings.sample)),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(processor())
        self._tracer = provider.get_tracer("softswitch", __version__)
        self._empty = context.Context

    def begin(self, name: str, at: float, attributes: Mapping[str, Value]) -> Span:
        """Begin the first span of a trace."""
        return self.span(name, at, attributes, self._empty())

    def span(self, name: str, at: float, attributes: Mapping[str, Value], context: Any) -> "OtelSpan":
        """Begin a span in a context."""
        span = self._tracer.start_span(name, context, start_time=_ns(at), attributes=dict(attributes))
        return OtelSpan(self, span)

    def inside(self, span: Any) -> Any:
        """Return the context of a span's children."""
        return self._api.set_span_in_context(span, self._empty())

    def failed(self, text: str) -> Any:
        """Return the status of a span that failed."""
        return self._api.Status(self._api.StatusCode.ERROR, text)


class OtelSpan:
    """A span of the SDK (a `softswitch.switch.tracing.Span`)."""

    def __init__(self, tracer: OtelTracer, span: Any) -> None:
        self._tracer, self._span = tracer, span

    @property
    def trace_id(self) -> str:
        """Return 32 hexadecimal digits."""
        return f"{self._span.get_span_context().trace_id:032x}"

    @property
    def traceparent(self) -> str:
        """Return the value of the header (W3C Trace Context)."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def child(self, name: str, at: float, attributes: Mapping[str, Value]) -> "OtelSpan":
        """Begin a span inside this one."""
        return self._tracer.span(name, at, attributes, self._tracer.inside(self._span))

    def end(self, at: float, attributes: Mapping[str, Value], error: str = "") -> None:
        """End the span."""
        for key, value in attributes.items():
            self._span.set_attribute(key, value)
        if error:
            self._span.set_status(self._tracer.failed(error))
        self._span.end(_ns(at))


def _ns(at: float) -> int:
    return int(at * 1_000_000_000)


def trace_calls(switch: Switch, sender: WebhookSender) -> Callable[[web.Application], AsyncIterator[None]]:
    """Trace all calls where the settings name a collector; return what sends the spans, the last to stop.

    Raises:
        UnavailableError: the extra [otel] is not installed.
    """
    resources = switch.resources
    settings = resources.settings.telemetry
    queue: SpanQueue | None = None
    if settings.endpoint:
        tracer = OtelTracer(settings, resources.egress)
        traces, queue = Traces(tracer), tracer.queue
        switch.followers.append(traces.follow)
        sender.traces = traces
        set_trace_of(traces.trace_id)
    resources.metrics.register(partial(figures, queue))

    async def running(app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(queue.run()) if queue is not None else None
        yield
        if task is not None and queue is not None:
            task.cancel()
            await asyncio.wait([task])
            await queue.flush()
            set_trace_of(None)

    return running
