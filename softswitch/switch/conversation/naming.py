"""The one place where ids of the engine and names of the call model replace each other."""

from typing import TypeVar, cast, get_args, get_origin

import msgspec

from softswitch.call.vocabulary import reports as r
from softswitch.media import messages as m
from softswitch.signals import PortMessage, PortReport, TrackMessage, TrackReport

T = TypeVar("T", bound=TrackReport)

_KNOWN = frozenset(get_origin(kind) or kind for kind in get_args(r.Report))
"""Kinds of reports that a call handles."""


def is_for_call(report: m.Report) -> bool:
    """Whether a call handles a kind of report; the engine has others, which concern only the switch."""
    return type(report) in _KNOWN


def with_leg(report: PortReport, leg: str) -> r.OfLeg:
    """Return a report of the engine about a port as the report of a call about its leg.

    Args:
        report: A report that the call model shares with the engine.
        leg: Name of the leg that the port carries.
    """
    return cast(r.OfLeg, msgspec.structs.replace(report, port=leg))


def with_playback(report: T, playback: int) -> T:
    """Return a report of the engine about a track with the call's own number of the playback."""
    return msgspec.structs.replace(report, track=playback)


def to_port(effect: PortMessage[str], port: int) -> m.Message:
    """Return an effect of a call on a leg as a message to the leg's port."""
    return msgspec.structs.replace(effect, port=cast(str, port))


def to_track(effect: TrackMessage, track: int) -> m.Message:
    """Return an effect of a call on a playback as a message to the engine's track."""
    return msgspec.structs.replace(effect, track=track)
