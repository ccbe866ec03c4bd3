"""Telephones do what they like: whatever happens in whatever order, a call keeps its promises."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.call import commands as c
from softswitch.call import effects, events, reports
from softswitch.call.commands import CallOption, Command, CommandRejected
from softswitch.call.reports import Report
from tests.call.desk import Desk

LEGS = st.sampled_from(["party", "second", "transfer-1", "transfer-2", "nobody"])
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
            reports.DigitReceived(leg, "1"),
            reports.DigitsPassed("2"),
            reports.TextReceived(leg, "hi", "text/plain"),
            reports.MediaSilent(leg, 3.0),
            reports.MediaResumed(leg, 4.0),
            reports.SpeechStopped(leg, 1.0, 2.0),
        ]
    )
)
COMMANDS: st.SearchStrategy[Command] = st.sampled_from(
    [
        c.Accept(),
        c.Invite(option=CallOption(callee="bob")),
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


@settings(deadline=None, max_examples=300)
@given(incoming=st.booleans(), steps=STEPS)
def test_call_ends_once_and_lets_everybody_go(incoming: bool, steps: list[Report | Command | float]) -> None:
    desk = Desk(kind="sip")
    if incoming:
        desk.call.incoming("alice", "100", "v=0", {}, desk.now, accept_s=50.0)
        desk.report()
    for step in steps:
        match step:
            case Report():
                desk.report(step)
            case Command():
                with suppress(CommandRejected):
                    desk.command(step)
            case _:
                desk.wait(step)
    desk.call.end("killed", "system", desk.now)
    desk.report()
    assert [type(event) for event in desk.events].count(events.HungUp) == 1
    assert isinstance(desk.events[-1], events.HungUp)
    assert isinstance(desk.effects[-1], effects.CloseCall)
    opened = {leg.leg for leg in desk.did(effects.OpenLeg)}
    opened |= {leg.leg for leg in desk.did(effects.PrepareLeg)}
    gone = {step.leg for step in steps if isinstance(step, reports.LegRejected | reports.LegFailed)}
    closed = {leg.leg for leg in desk.did(effects.CloseLeg)}
    assert opened <= closed | gone
    assert desk.call.deadline() is None
