"""Count and measure, in the words of Prometheus: prefix `softswitch_`, seconds and bytes.

A `Metrics` belongs to one running switch. Floors below the shells do not know it: they keep plain numbers
and are read through `Metrics.register`.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

logger = logging.getLogger(__name__)

PREFIX = "softswitch"
CONTENT_TYPE = CONTENT_TYPE_LATEST
"""The media type of what `Metrics.render` returns."""

LATENCY_BUCKETS = (0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.12, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 5.0, 10.0)
DURATION_BUCKETS = (1.0, 5.0, 15.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 14400.0)

REASONS = frozenset(
    {"caller", "callee", "user_requested", "autohangup", "killed", "rejected", "busy", "no_answer"}
    | {"media_timeout", "inactivity", "max_duration", "server_shutdown", "error"}
)
"""The reasons of a hangup that get a line of their own; a client may invent any number of others."""


def reason_label(reason: str) -> str:
    """Return a reason of a hangup as a label with few values."""
    return reason if reason in REASONS else "other"


class Reading(msgspec.Struct, frozen=True):
    """One plain number of a floor at the moment of the scrape."""

    name: str
    """Without prefix, with its unit: `rtp_packets_received`; a counter gets its `_total` by itself."""
    value: float
    """The number; the sum of all observations for a histogram."""
    kind: Literal["counter", "gauge", "histogram"] = "counter"
    """A counter only grows."""
    labels: tuple[tuple[str, str], ...] = ()
    """Names and values; every reading of one name has the same names."""
    buckets: tuple[tuple[float, int], ...] = ()
    """Of a histogram: upper bound and count of observations at or below it; the last bound is infinite."""
    help: str = ""
    """What it counts."""


Source = Callable[[], Iterable[Reading]]


def readings(
    prefix: str, numbers: Mapping[str, float], kind: Literal["counter", "gauge"] = "counter"
) -> Iterator[Reading]:
    """Yield a reading for each of a floor's plain numbers.

    Args:
        prefix: the floor's word in the name, as `rtp`.
        numbers: values by name.
        kind: of all of them.
    """
    for name, value in numbers.items():
        yield Reading(f"{prefix}_{name}", float(value), kind)


class _Sources(Collector):
    """Ask the registered floors for their numbers, at each scrape."""

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.errors = 0

    def collect(self) -> Iterator[Metric]:
        """Yield one family for each name, whichever sources have it."""
        families: dict[str, Metric] = {}
        for source in self.sources:
            for reading in self._read(source):
                family = families.get(reading.name)
                if family is None:
                    family = families[reading.name] = _family(reading)
                _add(family, reading)
        yield from families.values()
        yield CounterMetricFamily(f"{PREFIX}_source_errors", "Floors that gave no numbers", self.errors)

    def _read(self, source: Source) -> list[Reading]:
        try:
            return list(source())
        except Exception:
            # One floor without figures must not blind the operator to all others.
            self.errors += 1
            logger.exception("a floor gave no numbers")
            return []


def _family(reading: Reading) -> Metric:
    name = f"{PREFIX}_{reading.name}"
    labels = [name for name, _ in reading.labels]
    text = reading.help or reading.name.replace("_", " ")
    match reading.kind:
        case "counter":
            return CounterMetricFamily(name, text, labels=labels)
        case "gauge":
            return GaugeMetricFamily(name, text, labels=labels)
        case "histogram":
            return HistogramMetricFamily(name, text, labels=labels)


def _add(family: Metric, reading: Reading) -> None:
    labels = [value for _, value in reading.labels]
    if isinstance(family, HistogramMetricFamily):
        buckets = [(_bound(bound), float(count)) for bound, count in reading.buckets]
        family.add_metric(labels, buckets, reading.value)
    elif isinstance(family, CounterMetricFamily | GaugeMetricFamily):
        family.add_metric(labels, reading.value)


def _bound(bound: float) -> str:
    return "+Inf" if bound == float("inf") else repr(bound)


class Metrics:
    """The counters of one switch, in a registry of their own."""

    def __init__(self, version: str = "") -> None:
        self.registry = CollectorRegistry()
        self._sources = _Sources()
        self.registry.register(self._sources)
        ProcessCollector(registry=self.registry)
        info = self._gauge("info", "The running version; always 1", "version")
        info.labels(version).set(1)
        self._make_calls()
        self._make_web()
        self._make_speech()

    def _make_calls(self) -> None:
        self.calls_started = self._counter("calls_started", "Calls begun", "type")
        self.calls_ended = self._counter("calls_ended", "Calls ended (see reason_label)", "type", "reason")
        self.calls_active = self._gauge("calls_active", "Calls now", "type")
        self.calls_refused = self._counter("calls_refused", "Calls not even begun", "reason")
        self.call_seconds = self._histogram("call_seconds", "Duration of calls", DURATION_BUCKETS, "type")
        self.answer_seconds = self._histogram("answer_seconds", "Invite to answer", LATENCY_BUCKETS, "type")
        self.commands = self._counter("commands", "Commands received", "command")
        self.commands_refused = self._counter("commands_refused", "Commands answered by an error", "code")
        self.events = self._counter("events", "Events told to clients", "event")
        self.audio_dropped_seconds = self._counter(
            "audio_dropped_seconds", "Audio thrown away, in seconds", "place", "reason"
        )
        self.recordings_refused = self._counter("recordings_refused", "Recordings not made", "reason")

    def _make_web(self) -> None:
        self.auth_failures = self._counter("auth_failures", "Requests refused", "reason")
        self.sockets_active = self._gauge("sockets_active", "WebSockets open now")
        self.sockets_closed_slow = self._counter(
            "sockets_closed_slow", "WebSockets of too slow readers closed"
        )
        self.loop_lag_seconds = self._histogram(
            "loop_lag_seconds", "How late the event loop wakes", LATENCY_BUCKETS
        )

    def _make_speech(self) -> None:
        self.errors = self._counter("errors", "Failures that calls survived", "sender")
        self._speech_seconds = self._histogram(
            "speech_seconds", "Speaking and understanding, by stage", LATENCY_BUCKETS, "stage", "provider"
        )

    def measure(self, key: str, seconds: float) -> None:
        """Take a measurement of speech, as calls tell it.

        Args:
            key: `ttfb.tts.builtin`: the stage is `ttfb.tts`, the rest names the provider.
            seconds: how long it took.
        """
        first, _, rest = key.partition(".")
        kind, _, provider = rest.partition(".")
        self._speech_seconds.labels(f"{first}.{kind}", provider).observe(seconds)

    def register(self, source: Source) -> Callable[[], None]:
        """Read these numbers at each scrape; return the function that ends it.

        Args:
            source: called without arguments in the thread of the scrape; must be quick.
        """
        self._sources.sources.append(source)
        return lambda: self._sources.sources.remove(source)

    def render(self) -> bytes:
        """Return everything in the text format of Prometheus (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)

    def value(self, name: str, **labels: str) -> float:
        """Return one number as a scrape would see it; 0 if nothing was counted yet.

        Args:
            name: in full, with `softswitch_` and `_total`.
            labels: those of the sample.
        """
        return self.registry.get_sample_value(name, labels) or 0.0

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace=PREFIX, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, namespace=PREFIX, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, namespace=PREFIX, registry=self.registry, buckets=buckets)
