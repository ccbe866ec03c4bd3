"""The components of an engine and their wiring."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from softswitch.media.discards import DiscardCounter
from softswitch.media.engine.activity import Activity
from softswitch.media.engine.conditioning import Conditioning
from softswitch.media.engine.dialling import ToneListener, ToneSender
from softswitch.media.engine.interfaces import Denoiser, Plane, VadBank
from softswitch.media.engine.registry import IngressQueues, Registry
from softswitch.media.engine.relay_rules import Relaying
from softswitch.media.engine.taps import Taps
from softswitch.media.feeds.feeds import Feeds
from softswitch.media.feeds.stream_queue import StreamTable
from softswitch.media.recording.recorder import Recorders
from softswitch.media.rtp.transports import Transports
from softswitch.media.tracks.playback import Playback

COUNTERS = (
    "ticks", "late_ticks", "jumped_ticks", "tick_errors", "step_errors", "emit_errors", "thread_restarts",
    "ports_opened", "port_failures", "unknown_ids", "refused_messages",
    "dropped_feed_bytes", "stray_feed_bytes", "dropped_datagrams", "stray_datagrams", "refused_track_ms",
    "late_cut_ms", "late_compressed_ms", "late_dropped_ms",
    "recorder_lost_bytes", "recorder_restarts",
    "srtp_errors", "srtp_replays", "rejected_sources", "odd_datagrams", "receive_errors", "send_errors",
    "stale_datagrams",
)  # fmt: skip
"""Names of the counters of every engine; all begin at zero."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Components of one engine. Only :attr:`ingress` may be used by threads other than the tick's."""

    counters: dict[str, int]
    ingress: IngressQueues
    registry: Registry
    transports: Transports
    plane: Plane
    feeds: Feeds
    playback: Playback
    taps: Taps
    recorders: Recorders
    tone_listener: ToneListener
    tone_sender: ToneSender
    activity: Activity
    conditioning: Conditioning
    relaying: Relaying


def build(
    plane: Plane,
    vads: Mapping[str, Callable[[], VadBank]],
    denoiser: Callable[[], Denoiser] | None,
    wake: Callable[[], None],
) -> Parts:
    """Build the components of an engine.

    Args:
        plane: the RTP plane.
        vads: factory of each kind of voice activity detector.
        denoiser: factory of the noise suppression of one port; None: the engine has none.
        wake: called from other threads when the engine has something to do.
    """
    counters = dict.fromkeys(COUNTERS, 0)
    discards = DiscardCounter(counters)
    ingress = IngressQueues()
    streams = StreamTable()
    registry, playback, taps = Registry(ingress), Playback(counters, discards, streams), Taps(streams)
    recorders = Recorders(wake, counters)
    tone_listener, tone_sender = ToneListener(), ToneSender()
    activity, conditioning, transports = Activity(vads), Conditioning(denoiser), Transports(counters)
    relaying = Relaying(
        registry=registry, plane=plane, playback=playback, taps=taps, recorders=recorders,
        tone_listener=tone_listener, tone_sender=tone_sender, activity=activity, conditioning=conditioning,
        transports=transports,
    )  # fmt: skip
    parts = Parts(
        counters=counters,
        ingress=ingress,
        registry=registry,
        transports=transports,
        plane=plane,
        feeds=Feeds(discards),
        playback=playback,
        taps=taps,
        recorders=recorders,
        tone_listener=tone_listener,
        tone_sender=tone_sender,
        activity=activity,
        conditioning=conditioning,
        relaying=relaying,
    )
    for part in (plane, parts.feeds, parts.tone_listener, parts.activity):
        parts.registry.slots.on_growth(part.grow)
    return parts
