"""Signals: one struct for the engine and the call model."""

import msgspec
import pytest

from softswitch import signals
from softswitch.call.vocabulary import effects, reports
from softswitch.media import messages
from softswitch.switch.conversation.naming import is_for_call, to_port, to_track, with_leg, with_playback

SHARED_REPORTS = [
    kind
    for base in (signals.PortReport, signals.TrackReport)
    for kind in base.__subclasses__()
    if kind.__module__ == signals.__name__
]
SHARED_MESSAGES = [
    kind for base in (signals.PortMessage, signals.TrackMessage) for kind in base.__subclasses__()
]


@pytest.mark.parametrize("kind", SHARED_REPORTS)
def test_engine_and_call_report_with_the_same_struct(kind: type[signals.Report]) -> None:
    assert getattr(messages, kind.__name__) is kind
    assert getattr(reports, kind.__name__) is kind


@pytest.mark.parametrize("kind", SHARED_MESSAGES)
def test_a_call_asks_the_engine_with_the_engines_own_struct(kind: type[signals.Message]) -> None:
    assert getattr(messages, kind.__name__) is kind
    assert getattr(effects, kind.__name__) is kind


def test_a_signal_changes_its_name_and_nothing_else() -> None:
    press = signals.DigitReceived(7, 12.5, "5", 80, "inband", crossed=True)
    assert with_leg(press, "party") == signals.DigitReceived("party", 12.5, "5", 80, "inband", crossed=True)
    assert with_playback(signals.TrackEnded(91, 12.5, 480), 2) == signals.TrackEnded(2, 12.5, 480)
    assert to_port(signals.SetMuted("party", muted=True), 7) == signals.SetMuted(7, muted=True)
    assert to_track(signals.DropTrack(2, 40, at_boundary=True), 91) == signals.DropTrack(91, 40, True)


def test_signals_cross_a_process_boundary() -> None:
    kinds = signals.DigitReceived | signals.TrackDropped | signals.MarkReached
    press = signals.DigitReceived(7, 12.5, "5", 80, "inband")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(press), type=kinds) == press


def test_reports_that_only_the_switch_needs_do_not_reach_a_call() -> None:
    assert is_for_call(signals.SpeechStarted(7, 12.5, 12.3))
    assert not is_for_call(messages.DigitsSent(7, 12.5, "5"))
    assert not is_for_call(messages.PortClosed(7, 12.5, {}))
