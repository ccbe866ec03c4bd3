"""Telephones do what they like: whatever happens in whatever order, a call keeps its promises."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.call.call import Call
from softswitch.call.state import State
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import CallOption, Command, CommandBase
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.call.vocabulary.reports import Report
from tests.call.harness import Harness

LEGS = st.sampled_from(["party", "second", "transfer-1", "transfer-2", "unknown"])
REPORTS: st.SearchStrategy[Report] = LEGS.flatmap(
    lambda leg: st.sampled_from(
        [
            reports.LegRinging(leg),
            reports.LegRinging(leg, early_media=True),
            reports.LegAnswered(leg, codec="pcma"),
            reports.LegAnswered(leg, codec="opus", trunk="carrier"),
            reports.LegRejected(leg, 486, "Busy Here"),
            reports.LegFailed(leg, "media", "broken", 488),
            reports.LegEnded(leg),
            reports.LegHeld(leg, held=True),
            reports.LegHeld(leg, held=False),
            reports.LegReferred(leg, 180, "Ringing", final=False),
            reports.LegReferred(leg, 200, "OK", final=True),
            reports.TransferRequested(leg, "sip:bob@x", ""),
            reports.TransferRequested(leg, "sip:bob@x", "", ("a", "b", "c")),
            reports.DialogJoined(leg),
            reports.DialogForeign(leg),
            reports.LegReplaced(leg),
            reports.Bridged("s2"),
            reports.Bridged("s2", alone=True),
            reports.Unbridged("s2"),
            reports.DigitReceived(leg, 100.0, "1"),
            reports.DigitsPassed("2"),
            reports.TextReceived(leg, "hi", "text/plain"),
            reports.MediaSilent(leg, 100.0, 3.0),
            reports.MediaResumed(leg, 100.0, 4.0),
            reports.SpeechStopped(leg, 100.0, 1.0, 2.0),
        ]
    )
)
COMMANDS: st.SearchStrategy[Command] = st.sampled_from(
    [
        c.Accept(),
        c.Invite(option=CallOption(callee="bob")),
        c.Invite(option=CallOption(inactivity_s=20.0, max_duration_s=60.0)),
        c.Collect(timeout_ms=5000),
        c.Connect(callee="bob"),
        c.Connect(callee="bob", may_transfer=False),
        c.Ring(early_media=True, ringtone="http://x/y.wav", recorder=c.RecorderOption()),
        c.Reject(),
        c.Refer(callee="carol"),
        c.Refer(callee="carol", auto_hangup=False),
        c.Refer(callee="carol", method="refer"),
        c.Bridge(other="s2"),
        c.Unbridge(),
        c.SendDtmf(digits="1"),
        c.SendMessage(body="hi"),
        c.Say(text="hello", auto_hangup=True),
        c.Hangup(),
    ]
)
STEPS = st.lists(REPORTS | COMMANDS | st.floats(0.1, 100.0), max_size=30)


def check_deadline(call: Call) -> None:
    """Compare the deadline with those of all parts, also of those that are not in use and not asked."""
    if call.state is State.OVER:
        return
    speaking, times = call._playbacks.speaking, call.times
    ends = [due for due, _ in times.ends(call.state, speaking)]
    assert times.due(call.state, speaking) == min(ends, default=None)
    parts = (call._playbacks, call._turns, call._digits, call._parties, call._transfers)
    due = [time for time in (part.deadline() for part in parts) if time is not None]
    assert call.deadline() == min(ends + due, default=None)


@settings(deadline=None, max_examples=300)
@given(incoming=st.booleans(), steps=STEPS)
def test_call_ends_once_and_lets_everybody_go(incoming: bool, steps: list[Report | Command | float]) -> None:
    harness = Harness(kind="sip")
    if incoming:
        harness.call.incoming("alice", "100", "v=0", {}, harness.now, accept_s=50.0)
        harness.report()
    for step in steps:
        match step:
            case reports.ReportBase() | reports.PortReport() | reports.TrackReport():
                harness.report(step)
            case CommandBase():
                with suppress(CommandRejected):
                    harness.command(step)
            case float():
                harness.wait(step)
        check_deadline(harness.call)
    harness.call.end("killed", "system", harness.now)
    harness.report()
    assert [type(event) for event in harness.events].count(events.HungUp) == 1
    assert isinstance(harness.events[-1], events.HungUp)
    assert isinstance(harness.effects[-1], effects.CloseCall)
    opened = {leg.leg for leg in harness.effects_of(effects.OpenLeg)}
    opened |= {leg.leg for leg in harness.effects_of(effects.PrepareLeg)}
    gone = {step.leg for step in steps if isinstance(step, reports.LegRejected | reports.LegFailed)}
    closed = {leg.leg for leg in harness.effects_of(effects.CloseLeg)}
    assert opened <= closed | gone
    assert harness.call.deadline() is None
