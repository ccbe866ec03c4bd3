"""What a party hears while it waits."""

from typing import Any

import pytest

from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import CallOption
from tests.call.harness import Harness


def sounds(harness: Harness) -> list[str]:
    """Return the sounds that were begun, and "-" for each that was dropped, in order."""
    told: list[str] = []
    for effect in harness.effects:
        match effect:
            case effects.PlaySound():
                told.append(effect.sound)
            case effects.DropTrack() if effect.track < 0:
                told.append("-")
    return told


def connected(**limits: Any) -> Harness:
    """Return a call that a rule has connected, both parties up."""
    harness = Harness(kind="sip", **limits)
    harness.call.incoming("alice", "100", "v=0", {}, harness.now)
    harness.command(c.Connect(callee="user:bob"))
    harness.report(reports.LegAnswered("second"), reports.LegAnswered("party"))
    assert sounds(harness) == []
    return harness


def hold(harness: Harness, leg: str, held: bool = True) -> None:
    harness.report(reports.LegHeld(leg, held))


@pytest.mark.parametrize("leg", ["party", "second"])
def test_hold_plays_music_until_its_end(leg: str) -> None:
    harness = connected()
    hold(harness, leg)
    assert sounds(harness) == ["music"]
    hold(harness, leg, False)
    assert sounds(harness) == ["music", "-"]
    assert not harness.emitted(events.TrackStart)[1:], "no event tells of it"


def test_nobody_hears_music_where_both_hold() -> None:
    harness = connected()
    hold(harness, "party")
    hold(harness, "second")
    hold(harness, "party", False)
    assert sounds(harness) == ["music", "-", "music"]


def test_music_can_be_off_and_ringback_stays() -> None:
    harness = connected(hold_music=False)
    hold(harness, "second")
    harness.report(reports.TransferRequested("second", "sip:carl@x", ""))
    assert sounds(harness) == []
    harness.report(reports.LegRinging("transfer-1"))
    assert sounds(harness) == ["ringback"]


def test_party_alone_hears_no_music() -> None:
    harness = Harness(CallOption(), kind="sip")
    hold(harness, "party")
    assert sounds(harness) == []


@pytest.mark.parametrize("callee", ["echo", "tone", "room:lobby"])
def test_no_music_is_played_into_a_room(callee: str) -> None:
    harness = Harness(CallOption(callee=callee))
    harness.report(reports.LegAnswered("second"))
    hold(harness, "party")
    assert sounds(harness) == []


def test_calls_inside_a_room_are_silent() -> None:
    harness = Harness(CallOption(), kind="local")
    harness.command(c.Refer(callee="bob"))
    harness.report(reports.LegRinging("second"))
    assert sounds(harness) == []


@pytest.mark.parametrize(("early", "told"), [(False, ["music", "-", "ringback"]), (True, ["music", "-"])])
def test_refer_is_heard_until_its_target_answers(early: bool, told: list[str]) -> None:
    harness = Harness(CallOption())
    harness.command(c.Refer(callee="bob"))
    harness.report(reports.LegRinging("second", early_media=early))
    assert sounds(harness) == told
    harness.report(reports.LegAnswered("second"))
    assert sounds(harness)[-1] == "-"


def test_music_of_the_application_takes_the_place_of_all_sounds() -> None:
    harness = Harness(CallOption())
    harness.command(c.Refer(callee="bob", moh="http://x/moh.wav"))
    harness.report(reports.LegRinging("second"))
    assert sounds(harness) == []


def test_what_the_application_plays_silences_the_music_while_it_sounds() -> None:
    harness = Harness(CallOption())
    harness.command(c.Refer(callee="bob"))
    harness.command(c.Play(url="http://x/note.wav"))
    assert sounds(harness) == ["music", "-"]
    harness.report(reports.SourceFed(1), reports.TrackStarted(1, 100.0), reports.SourceDone(1, 1))
    harness.report(reports.TrackDrained(1, 100.0))
    assert sounds(harness) == ["music", "-", "music"]


def test_refused_target_ends_the_sound() -> None:
    harness = Harness(CallOption())
    harness.command(c.Refer(callee="bob"))
    harness.report(reports.LegRejected("second", 486, "Busy Here"))
    assert sounds(harness) == ["music", "-"]


def test_transferred_party_waits_for_the_target() -> None:
    harness = connected()
    hold(harness, "second")
    harness.report(reports.TransferRequested("second", "sip:carl@x", ""))
    assert sounds(harness) == ["music"]
    harness.report(reports.LegRinging("transfer-1"))
    harness.report(reports.LegEnded("second", "callee", "callee"))
    assert sounds(harness) == ["music", "-", "ringback"]
    harness.report(reports.LegAnswered("transfer-1"))
    assert sounds(harness) == ["music", "-", "ringback", "-"]


def test_peer_that_hangs_up_after_its_refer_leaves_music() -> None:
    harness = connected()
    harness.report(reports.TransferRequested("second", "sip:carl@x", ""))
    assert sounds(harness) == [], "it may still talk"
    harness.report(reports.LegEnded("second", "callee", "callee"))
    assert sounds(harness) == ["music"]


def test_failed_transfer_returns_to_the_music_of_the_hold() -> None:
    harness = connected()
    hold(harness, "second")
    harness.report(reports.TransferRequested("second", "sip:carl@x", ""))
    harness.report(reports.LegRinging("transfer-1"), reports.LegRejected("transfer-1", 486, "Busy Here"))
    assert sounds(harness) == ["music", "-", "ringback", "-", "music"]


def test_bridged_calls_tell_each_other_of_a_hold() -> None:
    harness = Harness(CallOption(), kind="sip")
    harness.report(reports.Bridged("z", False))
    hold(harness, "party")
    assert harness.effects_of(effects.TellHold)[-1] == effects.TellHold("z", True)
    assert sounds(harness) == [], "the other call plays the music"
    hold(harness, "party", False)
    assert harness.effects_of(effects.TellHold)[-1] == effects.TellHold("z", False)
    harness.report(reports.PeerHeld(True))
    assert sounds(harness) == ["music"]
    harness.report(reports.Unbridged("z"))
    assert sounds(harness) == ["music", "-"]


def test_hold_before_the_bridge_is_told_with_it() -> None:
    harness = Harness(CallOption(), kind="sip")
    hold(harness, "party")
    harness.report(reports.Bridged("z", False))
    assert harness.effects_of(effects.TellHold) == [effects.TellHold("z", True)]


def test_reports_of_these_tracks_concern_no_playback() -> None:
    harness = connected()
    hold(harness, "party")
    track = harness.effects_of(effects.PlaySound)[0].track
    harness.report(reports.SourceFed(track), reports.TrackStarted(track, 100.0))
    hold(harness, "party", False)
    harness.report(reports.TrackDropped(track, 100.0, 400, 5000))
    assert not harness.emitted(events.Interruption)
    assert len(harness.emitted(events.TrackEnd)) == 0
