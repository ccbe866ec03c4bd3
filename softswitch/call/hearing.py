"""What a call hears of its party: speech and its text, digits, messages, hold and silence of its media."""

from typing import assert_never

from softswitch.call.collect import DigitCollector
from softswitch.call.lifetime import Lifetime
from softswitch.call.outbox import Outbox
from softswitch.call.parties import Parties
from softswitch.call.playbacks import Playbacks
from softswitch.call.streams import Streams
from softswitch.call.turns import Turns
from softswitch.call.vocabulary import commands, reports

HeardReport = (
    reports.LegHeld
    | reports.MediaSilent[str]
    | reports.MediaResumed[str]
    | reports.SpeechStarted[str]
    | reports.SpeechStopped[str]
    | reports.Transcribed
    | reports.TurnJudged
    | reports.DigitReceived[str]
    | reports.TextReceived
)
"""Reports about the party that do not change the state of the call."""


class Hearing:
    """Tells the parts of a call what its party says, presses and sends."""

    def __init__(
        self,
        outbox: Outbox,
        times: Lifetime,
        *,
        playbacks: Playbacks,
        turns: Turns,
        digits: DigitCollector,
        parties: Parties,
        streams: Streams,
    ) -> None:
        self._outbox = outbox
        self._times = times
        self._playbacks = playbacks
        self._turns = turns
        self._digits = digits
        self._parties = parties
        self._streams = streams
        self._unhearing: set[str] = set()
        """Reasons for which the party hears nothing: held, stalled, away."""

    def let_wait(self, reason: str, waits: bool) -> None:
        """Let playbacks wait for as long as any reason holds; another party would still hear them."""
        if waits and self._parties.alone:
            self._unhearing.add(reason)
        else:
            self._unhearing.discard(reason)
        self._playbacks.hold(bool(self._unhearing))

    def report(self, report: HeardReport) -> None:
        """Apply a report about the party."""
        now = self._outbox.now
        match report:
            case reports.SpeechStarted():
                self._times.active = now
                self._turns.speech_started(report)
                self._streams.spoke(True)
            case reports.SpeechStopped():
                self._times.active = now
                self._turns.speech_stopped(report, self._parties.party)
                self._streams.spoke(False)
            case reports.Transcribed():
                self._times.active = now
                self._turns.transcribed(report)
            case reports.TurnJudged():
                self._turns.judged(report)
            case reports.DigitReceived():
                self._times.active = now
                self._pressed(report)
            case reports.TextReceived():
                self._parties.text(report)
            case reports.LegHeld():
                self._times.media.hold(report.held)
                self.let_wait("held", report.held)
            case reports.MediaSilent():
                self._times.media.silent(report.seconds, now)
            case reports.MediaResumed():
                self._times.media.resumed()
            case _:
                assert_never(report)

    def _pressed(self, report: reports.DigitReceived[str]) -> None:
        self._turns.pressed()
        if self._digits.press(report.digit):
            self._playbacks.interrupt(commands.Interrupt())
        self._parties.cross(report)
        self._streams.pressed(report.digit)
