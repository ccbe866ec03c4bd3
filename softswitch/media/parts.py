"""What an engine is made of, wired together once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from softswitch.media.activity import Activity
from softswitch.media.denoising import Denoising
from softswitch.media.dialling import ToneListener, ToneSender
from softswitch.media.feeds import Feeds
from softswitch.media.needs import Denoiser, Plane, VadBank
from softswitch.media.playback import Playback
from softswitch.media.recorder import Recorders
from softswitch.media.registry import Doors, Registry
from softswitch.media.relaying import Relaying
from softswitch.media.taps import Taps
from softswitch.media.transports import Transports

COUNTERS = (
    "ticks", "late_ticks", "jumped_ticks", "tick_errors", "step_errors", "emit_errors",
    "ports_opened", "port_failures", "unknown_ids", "refused_messages",
    "dropped_feed_bytes", "stray_feed_bytes", "dropped_datagrams", "stray_datagrams", "refused_track_ms",
    "srtp_errors", "srtp_replays", "rejected_sources", "odd_datagrams", "receive_errors", "send_errors",
)  # fmt: skip
"""What every engine counts, from zero."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts. Only :attr:`doors` may be touched by threads other than the tick's."""

    counters: dict[str, int]
    doors: Doors
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
    denoising: Denoising
    relaying: Relaying


def build(
    plane: Plane,
    vads: Mapping[str, Callable[[], VadBank]],
    denoiser: Callable[[], Denoiser] | None,
    wake: Callable[[], None],
) -> Parts:
    """Return the parts of an engine.

    Args:
        plane: carries RTP.
        vads: makes the bank of each kind of voice activity detection.
        denoiser: makes what takes the noise out of one port; None: there is no such thing.
        wake: called from other threads when the engine has something to do.
    """
    counters = dict.fromkeys(COUNTERS, 0)
    doors = Doors()
    registry, playback, taps, recorders = Registry(doors), Playback(counters), Taps(), Recorders(wake)
    tone_listener, tone_sender = ToneListener(), ToneSender()
    activity, denoising, transports = Activity(vads), Denoising(denoiser), Transports(counters)
    relaying = Relaying(
        registry=registry, plane=plane, playback=playback, taps=taps, recorders=recorders,
        tone_listener=tone_listener, tone_sender=tone_sender, activity=activity, denoising=denoising,
        transports=transports,
    )  # fmt: skip
    parts = Parts(
        counters=counters,
        doors=doors,
        registry=registry,
        transports=transports,
        plane=plane,
        feeds=Feeds(),
        playback=playback,
        taps=taps,
        recorders=recorders,
        tone_listener=tone_listener,
        tone_sender=tone_sender,
        activity=activity,
        denoising=denoising,
        relaying=relaying,
    )
    for part in (plane, parts.feeds, parts.tone_listener, parts.activity):
        parts.registry.slots.on_growth(part.grow)
    return parts
