"""Prometheus metrics of a switch: prefix `softswitch_`, units seconds and bytes.

A `Metrics` belongs to one running switch. Lower packages do not know it: they keep plain numbers, which
sources read at each scrape (`Metrics.register`).
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

logger = logging.getLogger(__name__)

PREFIX = "softswitch"
CONTENT_TYPE = CONTENT_TYPE_LATEST
"""Media type of `Metrics.render`."""

LATENCY_BUCKETS = (0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.12, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 5.0, 10.0)
MOS_BUCKETS = (1.5, 2.0, 2.5, 3.0, 3.3, 3.6, 3.8, 4.0, 4.2, 4.3, 4.4)
LOSS_BUCKETS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
DURATION_BUCKETS = (1.0, 5.0, 15.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 14400.0)

REASONS = frozenset(
    {"caller", "callee", "user_requested", "autohangup", "killed", "rejected", "busy", "no_answer"}
    | {"media_timeout", "inactivity", "max_duration", "server_shutdown", "error", "token_expired"}
)
"""Hangup reasons with a label value of their own; clients may send any other text."""


def reason_label(reason: str) -> str:
    """Return the label value of a hangup reason, "other" for unknown ones."""
    return reason if reason in REASONS else "other"


class Reading(msgspec.Struct, frozen=True):
    """A number read at the time of a scrape."""

    name: str
    """Name without prefix, with its unit: `rtp_packets_received`; `_total` is appended to counters."""
    value: float
    """Value; for a histogram the sum of all observations."""
    kind: Literal["counter", "gauge", "histogram"] = "counter"
    """A counter never decreases."""
    labels: tuple[tuple[str, str], ...] = ()
    """Names and values of labels; all readings of one name have the same label names."""
    buckets: tuple[tuple[float, int], ...] = ()
    """Buckets of a histogram: upper bound and number of observations up to it; the last bound is infinite."""
    help: str = ""
    """Help text."""


Source = Callable[[], Iterable[Reading]]


def readings(
    prefix: str, numbers: Mapping[str, float], kind: Literal["counter", "gauge"] = "counter"
) -> Iterator[Reading]:
    """Yield a reading for each number of a package.

    Args:
        prefix: prefix of the names, such as `rtp`.
        numbers: values by name; those whose name ends in `_ms` are exported in seconds, the base unit.
        kind: kind of all readings.
    """
    for name, value in numbers.items():
        if name.endswith("_ms"):
            yield Reading(f"{prefix}_{name.removesuffix('_ms')}_seconds", value / 1000, kind)
        else:
            yield Reading(f"{prefix}_{name}", float(value), kind)


class _Sources(Collector):
    """Collector that reads the registered sources at each scrape."""

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.errors = 0

    def collect(self) -> Iterator[Metric]:
        """Yield one metric family for each name, with the readings of all sources."""
        families: dict[str, Metric] = {}
        for source in self.sources:
            for reading in self._read(source):
                family = families.get(reading.name)
                if family is None:
                    family = families[reading.name] = _family(reading)
                _add(family, reading)
        yield from families.values()
        yield CounterMetricFamily(f"{PREFIX}_source_errors", "Sources of metrics that failed", self.errors)

    def _read(self, source: Source) -> list[Reading]:
        try:
            return list(source())
        except Exception:
            # A failing source must not hide the metrics of all others.
            self.errors += 1
            logger.exception("a source of metrics failed")
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


class Tally(Collector):
    """A counter with one label that the event loop counts many times a second.

    Counting is one addition, where a `Counter` takes a lock and some calls; the rest is done at each scrape.
    """

    def __init__(self, name: str, text: str, label: str, registry: CollectorRegistry) -> None:
        self._name = f"{PREFIX}_{name}"
        self._text = text
        self._labelnames = (label,)
        """As a `Counter` has them."""
        self._counts: dict[str, int] = {}
        self._created: dict[str, float] = {}
        """When each value of the label was counted first, epoch seconds."""
        registry.register(self)

    def count(self, value: str) -> None:
        """Add one for a value of the label, one of a few."""
        try:
            self._counts[value] += 1
        except KeyError:
            self._created[value] = time.time()
            self._counts[value] = 1

    def describe(self) -> Iterator[Metric]:
        """Yield the family, without numbers."""
        yield CounterMetricFamily(self._name, self._text, labels=self._labelnames)

    def collect(self) -> Iterator[Metric]:
        """Yield the family with a sample for each value of the label; called in the thread of a scrape."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labelnames)
        for value, number in self._counts.copy().items():
            family.add_metric([value], number, created=self._created[value])
        yield family


class CallMetrics(NamedTuple):
    """Metrics of the calls of one kind: a look-up by labels costs more than the counting."""

    started: Counter
    active: Gauge
    seconds: Histogram
    answer_seconds: Histogram
    ended: dict[str, Counter]
    """By the label of the reason."""


class Metrics:
    """Metrics of one switch, in a registry of their own."""

    def __init__(self, version: str = "") -> None:
        self.registry = CollectorRegistry()
        self._sources = _Sources()
        self.registry.register(self._sources)
        ProcessCollector(registry=self.registry)
        info = self._gauge("info", "The running version; always 1", "version")
        info.labels(version).set(1)
        self._make_calls()
        self._make_trunks()
        self._make_web()
        self._make_speech()

    def _make_calls(self) -> None:
        self.calls_started = self._counter("calls_started", "Calls started", "type")
        self.calls_ended = self._counter("calls_ended", "Calls ended (see reason_label)", "type", "reason")
        self.calls_active = self._gauge("calls_active", "Active calls", "type")
        self.calls_refused = self._counter("calls_refused", "Calls refused", "reason")
        self.call_seconds = self._histogram("call_seconds", "Duration of calls", DURATION_BUCKETS, "type")
        self.answer_seconds = self._histogram("answer_seconds", "Invite to answer", LATENCY_BUCKETS, "type")
        self.commands = self._counter("commands", "Commands received", "command")
        self.commands_refused = self._counter("commands_refused", "Commands answered with an error", "code")
        self.rooms_refused = self._counter("rooms_refused", "Rooms refused because of a limit", "bound")
        self.commands_denied = self._counter(
            "commands_denied", "Commands of clients without permission", "act"
        )
        self.count_event = Tally("events", "Events sent to clients", "event", self.registry).count
        """Counts an event that was sent to clients, by the name of its type."""
        self._of_kinds: dict[str, CallMetrics] = {}
        """Metrics of calls by kind: looking one up by its label takes longer than counting."""
        self.audio_dropped_seconds = self._counter(
            "audio_dropped_seconds", "Audio dropped, in seconds", "place", "reason"
        )
        self.certificate_orders = self._counter("certificate_orders", "Orders of certificates", "result")
        self.certificate_seconds_left = self._gauge(
            "certificate_seconds_left", "Time of the certificate left"
        )
        self.uploads = self._counter("uploads", "Uploads of recordings", "result")
        self.uploads_waiting = self._gauge("uploads_waiting", "Recordings that wait for their upload")
        self.removals = self._counter("upload_removals", "Deletions of uploaded recordings", "result")
        self.removals_waiting = self._gauge("upload_removals_waiting", "Objects that wait for their deletion")
        self.uploaded_bytes = self._counter("uploaded_bytes", "Bytes of recordings uploaded")
        self.recordings_refused = self._counter("recordings_refused", "Recordings refused", "reason")
        self.transcripts = self._counter("transcripts", "Transcripts of recorded calls", "result")

    def _make_trunks(self) -> None:
        self.trunk_mos = self._histogram(
            "trunk_mos", "Estimated MOS of calls (E-model), by five seconds", MOS_BUCKETS, "trunk"
        )
        self.trunk_loss = self._histogram(
            "trunk_loss_ratio", "Share of packets lost, by five seconds", LOSS_BUCKETS, "trunk", "direction"
        )
        self.trunk_jitter_seconds = self._histogram(
            "trunk_jitter_seconds", "Jitter of calls, by five seconds", LATENCY_BUCKETS, "trunk"
        )
        self.trunk_round_trip_seconds = self._histogram(
            "trunk_round_trip_seconds", "Round trip of calls, by five seconds", LATENCY_BUCKETS, "trunk"
        )

    def _make_web(self) -> None:
        self.auth_failures = self._counter("auth_failures", "Requests refused", "reason")
        self.sockets_active = self._gauge("sockets_active", "Open WebSockets")
        self.sockets_closed_slow = self._counter(
            "sockets_closed_slow", "WebSockets closed because the client read too slowly"
        )
        self.loop_lag_seconds = self._histogram(
            "loop_lag_seconds", "Delay of the event loop", LATENCY_BUCKETS
        )

    def _make_speech(self) -> None:
        self.errors = self._counter("errors", "Errors that did not end a call", "sender")
        self._speech_seconds = self._histogram(
            "speech_seconds",
            "Duration of speech synthesis and recognition, by stage",
            LATENCY_BUCKETS,
            "stage",
            "provider",
        )
        self._stages: dict[str, Histogram] = {}
        """Histograms of stages and providers by key."""

    def call_started(self, kind: str) -> None:
        """Count a call that begins; `kind` is a value of :class:`softswitch.call.kind.LegKind`."""
        metrics = self._of_kind(kind)
        metrics.started.inc()
        metrics.active.inc()

    def call_ended(self, kind: str, reason: str, lasted_s: float | None, answer_s: float) -> None:
        """Count a call that has ended.

        Args:
            kind: as for :meth:`call_started`.
            reason: its hangup reason.
            lasted_s: seconds from its answer to its end; None: it was not answered.
            answer_s: seconds from its beginning to its answer.
        """
        metrics, label = self._of_kind(kind), reason_label(reason)
        metrics.active.dec()
        counter = metrics.ended.get(label)
        if counter is None:
            counter = metrics.ended[label] = self.calls_ended.labels(kind, label)
        counter.inc()
        if lasted_s is not None:
            metrics.seconds.observe(lasted_s)
            metrics.answer_seconds.observe(answer_s)

    def _of_kind(self, kind: str) -> CallMetrics:
        found = self._of_kinds.get(kind)
        if found is None:
            found = self._of_kinds[kind] = CallMetrics(
                self.calls_started.labels(kind),
                self.calls_active.labels(kind),
                self.call_seconds.labels(kind),
                self.answer_seconds.labels(kind),
                {},
            )
        return found

    def measure(self, key: str, seconds: float) -> None:
        """Record a measurement of speech.

        Args:
            key: stage and provider: `ttfb.tts.builtin` is the stage `ttfb.tts` of the provider `builtin`.
            seconds: duration in seconds.
        """
        stage = self._stages.get(key)
        if stage is None:
            first, _, rest = key.partition(".")
            kind, _, provider = rest.partition(".")
            stage = self._stages[key] = self._speech_seconds.labels(f"{first}.{kind}", provider)
        stage.observe(seconds)

    def register(self, source: Source) -> Callable[[], None]:
        """Register a source, and return a function that removes it.

        Args:
            source: returns readings; called at each scrape, in its thread, so it must be fast.
        """
        self._sources.sources.append(source)
        return lambda: self._sources.sources.remove(source)

    def render(self) -> bytes:
        """Return all metrics in the text format of Prometheus (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)

    def value(self, name: str, **labels: str) -> float:
        """Return the value of a metric, 0 if nothing was counted yet.

        Args:
            name: full name, with `softswitch_` and `_total`.
            labels: label values of the sample.
        """
        return self.registry.get_sample_value(name, labels) or 0.0

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace=PREFIX, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, namespace=PREFIX, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, namespace=PREFIX, registry=self.registry, buckets=buckets)
