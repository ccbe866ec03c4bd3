"""What a call is made of, when it is over, and what its parts conclude for the whole of it."""

import msgspec

from softswitch.call import commands, effects, events, reports
from softswitch.call.announce import error
from softswitch.call.arrival import Arrival
from softswitch.call.collect import DigitCollector
from softswitch.call.commands import CallOption, Command
from softswitch.call.effects import Effect
from softswitch.call.events import Event
from softswitch.call.lifetime import CallLimits, Lifetime
from softswitch.call.outbox import Outbox
from softswitch.call.outcome import Moved, Outcome, Over, Through, code_of
from softswitch.call.parties import Parties
from softswitch.call.playbacks import Playbacks
from softswitch.call.setup import media_effects
from softswitch.call.state import Input, State, after
from softswitch.call.streams import Streams
from softswitch.call.transfers import Transfers
from softswitch.call.turns import Turns

LINGER_S = 0.25
"""After the last audio for an autoHangup was sent: what RTP needs to reach the far end's ear."""


class Core:
    """The parts of one conversation and their common end; :class:`softswitch.call.call.Call` drives them."""

    def __init__(
        self,
        call_id: str,
        kind: str,
        now: float,
        *,
        epoch_offset: float,
        limits: CallLimits | None = None,
        resume_token: str | None = None,
    ) -> None:
        """Make a call that waits for its first command.

        Args:
            call_id: Session id; also the wire's track id of the party.
            kind: ``websocket``, ``webrtc`` or ``sip``.
            now: Monotonic seconds.
            epoch_offset: Epoch seconds minus monotonic seconds at the start.
            limits: Times; the defaults where absent.
            resume_token: Handed to the client in ``answer``, where it asked for one.
        """
        self.id = call_id
        self.kind = kind
        self.state = State.NEW
        self.option = CallOption()
        self.times = Lifetime(limits or CallLimits(), now)
        self.reason = ""
        self.initiator = ""
        self.code = 0
        """SIP code of the refusal, where the call was never answered; 0: there was none."""
        self.codec = ""
        self.trunk = ""
        """Name of the trunk that a leg of it was dialled over last."""
        self.resume_token = resume_token
        self._outbox = Outbox(call_id, epoch_offset)
        self._outbox.now = now
        self._playbacks = Playbacks(self._outbox, self.option.tts)
        self._turns = Turns(self._outbox, self._playbacks)
        self._digits = DigitCollector(self._outbox)
        self._parties = Parties(self._outbox, self._playbacks, self.times.limits)
        self._transfers = Transfers(self._outbox, self._parties)
        self._arrival = Arrival(self._outbox, self._playbacks)
        self.streams = Streams(self._outbox)
        self._waiting: list[Command] = []
        self._warnings: list[reports.SpeechWarned] = []

    # --- time and what was decided ---------------------------------------------------

    def end(self, reason: str, initiator: str, now: float, *, code: int = 0) -> None:
        """End the call from outside: killed, shut down, its socket gone.

        ``code`` is what a caller is told who was not answered; 0: what the reason says.
        """
        self._outbox.now = now
        self._end(Over(reason, initiator, code))

    def elapse(self, now: float) -> None:
        """Do what has become due by ``now``."""
        self._outbox.now = now
        if self.state is State.OVER:
            return
        for due, reason in self.times.ends(self.state, self._playbacks.speaking):
            if now >= due:
                self._end(Over(reason, "system"))
                return
        self._playbacks.elapse()
        self._turns.elapse()
        self._digits.elapse(self._playbacks.speaking)
        self._conclude(self._parties.elapse())
        self._conclude(self._transfers.elapse())

    def deadline(self) -> float | None:
        """When :meth:`elapse` wants to be called, in monotonic seconds."""
        if self.state is State.OVER:
            return None
        due = [time for time, _ in self.times.ends(self.state, self._playbacks.speaking)]
        parts = (self._playbacks, self._turns, self._digits, self._parties, self._transfers)
        due += [time for part in parts if (time := part.deadline()) is not None]
        return min(due, default=None)

    @property
    def connected(self) -> bool:
        """Whether a rule of the settings connected the call and no application follows it."""
        return self._parties.connected

    def take_events(self) -> list[Event]:
        """Return what clients are to be told since the last time."""
        return self._outbox.take_events()

    def take_effects(self) -> list[Effect]:
        """Return what is to be done since the last time."""
        return self._outbox.take_effects()

    def epoch_ms(self, monotonic: float) -> int:
        """Return epoch milliseconds of a monotonic time by this call's own clock."""
        return self._outbox.epoch_ms(monotonic)

    # --- for the whole of it ---------------------------------------------------------

    def _set_up(self, option: CallOption) -> None:
        self._move(Input.INVITE)
        self.option = option
        self.times.set_up(option.handshake_s, option.inactivity_s, self._outbox.now)
        self.times.last_at_most(option.max_duration_s)
        self._playbacks.option = option.tts
        self._turns.configure(option)

    def _conclude(self, outcome: Outcome) -> None:
        """Do what a part of the call concluded for the whole of it."""
        match outcome:
            case Over():
                self._end(outcome)
            case Through():
                codec = "" if outcome.codec == "pcm" else outcome.codec
                option = msgspec.structs.replace(
                    self.option, codec=codec, vad=commands.VadOption(off=True), inband_dtmf=False
                )
                self._set_up(option)
                self._outbox.do(effects.OpenLeg(self._parties.party, option))
            case Moved():
                self.times.media.begin(self._outbox.now)
                option = msgspec.structs.replace(self.option, recorder=None, media_pass=None, subscribe=False)
                for effect in media_effects(option, self._parties.party, tones_only=False):
                    self._outbox.do(effect)

    def _warn(self, report: reports.SpeechWarned) -> None:
        """Tell of a degraded provider; never before the answer."""
        if self.state is State.UP:
            self._error(report.sender, report.error, report.code)
        else:
            self._warnings.append(report)

    # --- ending -------------------------------------------------------------------

    def _hang_up_soon(self) -> None:
        """Hang up for autoHangup; audio in the client's own socket arrives before the close by itself."""
        if self.kind == "websocket":
            self._end(Over("autohangup", "system"))
        else:
            self.times.hang_up_in(LINGER_S, self._outbox.now)

    def _end(self, over: Over) -> None:
        if not self._move(Input.END):
            return
        now, times = self._outbox.now, self.times
        times.ended = now
        self.reason, self.initiator = over.reason, over.initiator
        self.code = over.code if times.answered is None else 0
        self._digits.stop("interrupted")
        self._playbacks.close()
        self._transfers.close(over.reason)
        self.streams.close()
        self._parties.close(over.reason, over.headers)
        timestamp = self._outbox.epoch_ms()
        if times.answered is not None:
            duration = round((now - times.answered) * 1000)
            self._outbox.emit(events.TrackEnd(timestamp=timestamp, track_id=self.id, duration=duration))
        self._outbox.emit(
            events.HungUp(
                timestamp=timestamp,
                track_id=self.id,
                reason=over.reason,
                initiator=over.initiator,
                start_time=self._outbox.epoch_ms(times.created),
                answer_time=self._outbox.epoch_ms(times.answered) if times.answered is not None else None,
                hangup_time=timestamp,
                caller=self.option.caller,
                callee=self.option.callee,
                headers=over.headers or None,
            )
        )
        if self._arrival.waits:
            self._outbox.do(effects.RejectLeg(self._parties.party, code_of(over), over.text))
        self._outbox.do(effects.CloseLeg(self._parties.party, over.reason, over.headers))
        self._outbox.do(effects.CloseCall(over.reason))

    def _move(self, moved: Input) -> bool:
        state = after(self.state, moved)
        if state is None:
            return False
        self.state = state
        return True

    def _error(self, sender: str, text: str, code: int, request_id: str | None = None) -> None:
        self._outbox.emit(error(sender, text, code, self.id, self._outbox, request_id))
