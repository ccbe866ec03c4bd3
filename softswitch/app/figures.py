"""Figures of the parts of the switch for /metrics: plain numbers, read at each scrape."""

from collections.abc import Iterator
from typing import Literal

from softswitch.egress.names import Names
from softswitch.legs.stream import StreamClients
from softswitch.legs.telephones import Telephones
from softswitch.legs.webrtc.endpoints import WebRtcEndpoints
from softswitch.log.tasks import FAILED
from softswitch.media.engine.engine import Engine
from softswitch.metrics import Metrics, Reading, readings
from softswitch.speech.provider import Providers
from softswitch.switch.notify.webhook_sender import WebhookSender
from softswitch.switch.resources import Resources
from softswitch.switch.rooms.rooms import Rooms
from softswitch.web.malformed import MALFORMED


def export(
    metrics: Metrics,
    engine: Engine,
    resources: Resources,
    webrtc: WebRtcEndpoints,
    telephones: Telephones | None,
) -> None:
    """Have scrapes read the numbers of media, legs, store and speech."""

    def read() -> list[Reading]:
        store, egress = resources.store.counters, resources.egress.counters
        ticks = engine.tick_seconds
        return [
            *readings("media", engine.counters),
            *readings("rtp", engine.rtp_counters),
            *readings("store", {name: getattr(store, name) for name in store.__slots__}),
            Reading("store_spooled_rows_waiting", resources.store.spooled_rows, "gauge"),
            Reading("store_spooled_bytes_waiting", resources.store.spooled_bytes, "gauge"),
            Reading("memory_held_bytes", resources.memory.held, "gauge"),
            Reading("memory_bound_bytes", resources.memory.bounds.process, "gauge"),
            Reading("memory_refused", resources.memory.refused),
            Reading("files_in_memory", len(resources.files), "gauge"),
            Reading("files_shared", resources.files.shared),
            *readings("speech", resources.providers.counters()),
            *_of_providers(resources.providers),
            *readings("overload", resources.pressure.totals()),
            *readings("overload", resources.pressure.gauges(), "gauge"),
            *readings("egress", {name: getattr(egress, name) for name in egress.__slots__}),
            Reading("media_tick_seconds", ticks.sum, "histogram", buckets=ticks.buckets()),
            *readings("webrtc", webrtc.numbers()),
            Reading("webrtc_legs", webrtc.legs, "gauge"),
            *(readings("sip", telephones.numbers()) if telephones is not None else ()),
            *(readings("sip", telephones.gauges(), "gauge") if telephones is not None else ()),
            Reading("speech_recognitions", resources.recognitions, "gauge"),
            Reading("media_tick_age_seconds", min(engine.tick_age_s(), 1e9), "gauge"),
            Reading("media_relaying_ports", engine.relaying, "gauge"),
            Reading("routes", len(resources.routes), "gauge"),
        ]

    metrics.register(read)


def _of_providers(providers: Providers) -> Iterator[Reading]:
    """Yield the numbers of each hosted provider of speech, for each account with one of its own."""
    for (name, account), counters in providers.hosted.counters().items():
        labels = (("provider", name), ("account", account))
        for field in counters.__slots__:
            kind: Literal["gauge", "counter"] = "gauge" if field == "active" else "counter"
            yield Reading(f"speech_provider_{field}", float(getattr(counters, field)), kind, labels)


def of_services(names: Names, rooms: Rooms, streams: StreamClients, sender: WebhookSender) -> list[Reading]:
    """Return the numbers of name look-ups, rooms, streams, webhooks, HTTP and background tasks."""
    counters = names.counters
    return [
        *readings("dns", {name: getattr(counters, name) for name in counters.__slots__}),
        Reading("dns_asking", names.asking, "gauge"),
        *readings("rooms", rooms.numbers(), "gauge"),
        *readings("stream", streams.numbers()),
        Reading("streams", streams.counters.open, "gauge"),
        *readings("webhook", sender.numbers()),
        Reading("webhook_waiting", sender.waiting, "gauge"),
        *readings("http", {"malformed_requests": MALFORMED.count}),
        *(
            Reading("background_tasks_failed", FAILED[package], labels=(("package", package),))
            for package in sorted(FAILED)
        ),
    ]
