"""Who has the turn: speech and silence, barge-in, end of utterance, waiting for input (speech.md)."""

import re

from softswitch.call import effects, events, reports
from softswitch.call.commands import BargeInOption, CallOption, Interrupt
from softswitch.call.outbox import Outbox
from softswitch.call.playbacks import Playbacks

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_HESITATION = frozenset({"uh", "um", "er", "erm", "hmm", "and", "but", "so", "because", "the", "a"})
_NUMBER = frozenset(
    "zero oh one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred"
    " thousand".split()
)
SHORTER, LONGER = 0.6, 2.0
"""How the wait for more changes after a sentence that is closed, and after one that is visibly not."""
FINAL_WAIT_S = 1.5
"""After speech has ended: how long the end of the utterance waits for its final text."""
WORDS_WAIT_S = 0.8
"""After a short noise: how long recognition may take to find words in it before playback goes on."""


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return _WORD.findall(text.lower())


def patience(text: str) -> float:
    """Return the factor by which to wait for more after ``text``."""
    spoken = words(text)
    if not spoken:
        return 1.0
    if spoken[-1] in _HESITATION:
        return LONGER
    if text.rstrip().endswith((".", "!", "?", "。", "！", "？")):
        return SHORTER
    if spoken[-1] in _NUMBER or spoken[-1].isdigit():
        digits = sum(1 for word in spoken if word in _NUMBER or word.isdigit())
        return SHORTER if digits in (4, 6, 10, 11) and digits == len(spoken) else LONGER
    return 1.0


class Turns:
    """Follows one party's speech against the machine's."""

    def __init__(self, outbox: Outbox, playbacks: Playbacks) -> None:
        """Start in silence, with the options of a call that has none; see :meth:`configure`."""
        self._outbox = outbox
        self._playbacks = playbacks
        self._barge_in = BargeInOption()
        self._recognising = False
        self._eou_s: float | None = None
        self._silence_timeout: float | None = None
        self.speaking_since: float | None = None
        self.silent_since: float | None = None
        self._repeat_at: float | None = None
        self._speech: tuple[float, float] | None = None
        self._suspect_since: float | None = None
        self._resume_at: float | None = None
        self._utterance: list[str] = []
        self._partial = ""
        self._final_missing = False
        self._eou_at: float | None = None
        self._input_wait: tuple[float, float] | None = None

    def configure(self, option: CallOption) -> None:
        """Take the options of the invite."""
        self._barge_in = option.barge_in
        self._recognising = option.asr is not None
        if option.eou is not None:
            self._eou_s = option.eou.silence_ms / 1000
        elif option.asr is not None:
            self._eou_s = 0.5
        if option.vad.silence_timeout_ms:
            self._silence_timeout = option.vad.silence_timeout_ms / 1000

    # --- reports ----------------------------------------------------------------

    def speech_started(self, report: reports.SpeechStarted) -> None:
        """The party speaks: tell it, and stop the machine if that is wanted."""
        self.speaking_since = report.began
        self.silent_since = None
        self._repeat_at = self._eou_at = self._input_wait = self._resume_at = None
        self._emit_speaking(report.began)
        if self._barge_in.server and self._playbacks.speaking and self._suspect_since is None:
            self._suspect_since = report.began
            self._playbacks.pause(True)
        self._confirm()

    def speech_stopped(self, report: reports.SpeechStopped, leg: str) -> None:
        """The party fell silent."""
        self.speaking_since = None
        self.silent_since = report.ended
        self._speech = (report.began, report.ended)
        self._emit_silence(report.ended)
        if self._silence_timeout:
            self._repeat_at = report.ended + self._silence_timeout
        if self._recognising:
            self._final_missing = True
            self._outbox.do(effects.FinalizeUtterance(leg))
        if self._suspect_since is not None:
            if (
                report.ended - self._suspect_since >= self._barge_in.min_speech_ms / 1000
                and not self._needs_words
            ):
                self._interrupt()
            elif self._needs_words:
                self._resume_at = self._outbox.now + WORDS_WAIT_S
            else:
                self._false_alarm()
        self._expect_end(report.ended)

    def transcribed(self, report: reports.Transcribed) -> None:
        """Something was understood."""
        if report.final:
            self._utterance.append(report.text)
            self._partial = ""
            self._final_missing = False
        else:
            self._partial = report.text
        self._confirm()
        if self.silent_since is not None:
            self._expect_end(self.silent_since)

    def pressed(self) -> None:
        """Count a key as input."""
        self._input_wait = None

    def playback_over(self, wait_input_ms: int | None) -> None:
        """Start to wait for input after a playback that asked for it."""
        if wait_input_ms is not None and self.speaking_since is None:
            self._input_wait = (self._outbox.now, self._outbox.now + wait_input_ms / 1000)
        if self._suspect_since is not None and self._playbacks.main is None:
            self._suspect_since = self._resume_at = None

    # --- time -------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When something is due."""
        due = [self._repeat_at, self._resume_at, self._eou_at, self._input_wait and self._input_wait[1]]
        if self._suspect_since is not None and self.speaking_since is not None and not self._needs_words:
            due.append(self._suspect_since + self._barge_in.min_speech_ms / 1000)
        return min((time for time in due if time is not None), default=None)

    def elapse(self) -> None:
        """Do what is due."""
        now = self._outbox.now
        self._confirm()
        if self._resume_at is not None and now >= self._resume_at:
            self._false_alarm()
        if self._repeat_at is not None and now >= self._repeat_at and self.silent_since is not None:
            self._repeat_at = now + (self._silence_timeout or 0)
            self._emit_silence(self.silent_since)
        if self._input_wait is not None and now >= self._input_wait[1]:
            since, self._input_wait = self._input_wait[0], None
            self._emit_silence(since, spoken=False)
        if self._eou_at is not None and now >= self._eou_at:
            self._end_of_utterance()

    # --- inside -----------------------------------------------------------------

    @property
    def _needs_words(self) -> bool:
        return self._recognising and self._barge_in.min_words > 0

    def _confirm(self) -> None:
        """Interrupt for good when what was heard is speech and not a cough."""
        if self._suspect_since is None:
            return
        if self._needs_words:
            heard = words(" ".join((*self._utterance, self._partial)))
            if sum(word not in self._barge_in.fillers for word in heard) >= self._barge_in.min_words:
                self._interrupt()
        elif (
            self.speaking_since is not None
            and self._outbox.now >= self._suspect_since + self._barge_in.min_speech_ms / 1000
        ):
            self._interrupt()

    def _interrupt(self) -> None:
        self._suspect_since = self._resume_at = None
        self._playbacks.interrupt(Interrupt(fade_ms=self._barge_in.fade_ms))

    def _false_alarm(self) -> None:
        self._suspect_since = self._resume_at = None
        self._playbacks.pause(False)

    def _expect_end(self, silent_since: float) -> None:
        if self._eou_s is None or self.speaking_since is not None or self._speech is None:
            return
        wait = self._eou_s * patience(" ".join((*self._utterance, self._partial)))
        if self._final_missing:
            wait = max(wait, FINAL_WAIT_S)
        self._eou_at = max(self._outbox.now, silent_since + wait)

    def _end_of_utterance(self) -> None:
        text = " ".join(filter(None, (*self._utterance, self._partial)))
        self._utterance, self._partial, self._eou_at, self._speech = [], "", None, None
        self._outbox.emit(
            events.EndOfUtterance(
                timestamp=self._outbox.epoch_ms(),
                track_id=self._outbox.session,
                completed=patience(text) <= 1.0,
                text=text,
            )
        )

    def _emit_speaking(self, began: float) -> None:
        self._outbox.emit(
            events.Speaking(
                timestamp=self._outbox.epoch_ms(),
                track_id=self._outbox.session,
                start_time=self._outbox.epoch_ms(began),
            )
        )

    def _emit_silence(self, since: float, spoken: bool = True) -> None:
        speech = self._speech if spoken else None
        self._outbox.emit(
            events.Silence(
                timestamp=self._outbox.epoch_ms(),
                track_id=self._outbox.session,
                start_time=self._outbox.epoch_ms(since),
                duration=max(0, round((self._outbox.now - since) * 1000)),
                speech_start=self._outbox.epoch_ms(speech[0]) if speech else None,
                speech_duration=round((speech[1] - speech[0]) * 1000) if speech else None,
            )
        )
