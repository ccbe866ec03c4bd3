"""Turn-taking: speech and silence, barge-in, end of utterance, waiting for input."""

import re
from dataclasses import dataclass

from softswitch.call.outbox import Outbox
from softswitch.call.playbacks import Playbacks
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import BargeInOption, CallOption, EouOption, Interrupt

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_HESITATION = frozenset(
    "uh um er erm hmm and but so because the a an my your his our their its to of at for with from into"
    " about if when which whose than as i we they would could should".split()
)
"""Words after which another one is sure to come."""
_NUMBER = frozenset(
    "zero oh one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred"
    " thousand".split()
)
SHORTER, LONGER = 0.6, 2.0
"""Factors of the wait for more speech after a complete sentence, and after an incomplete one."""
UNSURE = 0.5
"""Probability of an end of turn below which the longest silence is waited for."""
BETWEEN = 1.5
"""Factor of the usual wait where an end is likely but not sure: longer than most pauses."""
FINAL_WAIT_S = 1.5
"""Longest wait for the final text of an utterance after its speech has ended, seconds."""
SAME_PAUSE_S = 0.4
"""Largest difference between two detectors of speech on when it ended, seconds."""
TEXT_WAIT_S = 4.0
"""Longest wait where not even a partial text is there: an end without words is of no use, seconds."""
WORDS_WAIT_S = 0.8
"""Longest wait for words in a short noise before playback resumes, seconds."""


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return _WORD.findall(text.lower())


def patience(text: str) -> float:
    """Return the factor of the wait for more speech after ``text``."""
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


@dataclass(frozen=True, slots=True)
class _Words:
    """A transcript, and when its last word ended in monotonic seconds."""

    text: str
    ended: float


class Turns:
    """Turn-taking between the first party and the playbacks of a call."""

    def __init__(self, outbox: Outbox, playbacks: Playbacks) -> None:
        """Make a turn-taker with the default options; :meth:`configure` sets those of an invite."""
        self._outbox = outbox
        self._playbacks = playbacks
        self._barge_in = BargeInOption()
        self._recognising = False
        self._eou_s: float | None = None
        self._eou = EouOption()
        self._judged: tuple[float, float] | None = None
        self._silence_timeout: float | None = None
        self.speaking_since: float | None = None
        self.silent_since: float | None = None
        self._repeat_at: float | None = None
        self._speech: tuple[float, float] | None = None
        self._suspect_since: float | None = None
        self._resume_at: float | None = None
        self._utterance: list[_Words] = []
        self._partial: _Words | None = None
        self._utterance_began: float | None = None
        self._utterances_ended = 0
        self._final_missing = False
        self._over_until = float("-inf")
        """End of the speech of the last utterance that is over, monotonic seconds."""
        self._eou_at: float | None = None
        self._input_wait: tuple[float, float] | None = None

    def configure(self, option: CallOption) -> None:
        """Apply the options of the invite."""
        self._barge_in = option.barge_in
        self._recognising = option.asr is not None
        if option.eou is not None:
            self._eou_s, self._eou = option.eou.silence_ms / 1000, option.eou
        elif option.asr is not None:
            self._eou_s = 0.5
        if option.vad.silence_timeout_ms:
            self._silence_timeout = option.vad.silence_timeout_ms / 1000

    def is_filler(self, text: str) -> bool:
        """Whether a text is only fillers, which confirm no interruption."""
        heard = words(text)
        return bool(heard) and all(word in self._barge_in.fillers for word in heard)

    # --- reports ----------------------------------------------------------------

    def speech_started(self, report: reports.SpeechStarted[str]) -> None:
        """Emit that the party speaks, and suspend playbacks if the server handles barge-in."""
        self.speaking_since = report.began
        if self._utterance_began is None:
            self._utterance_began = report.began
        self.silent_since = None
        self._repeat_at = self._eou_at = self._input_wait = self._resume_at = self._judged = None
        self._emit_speaking(report.began)
        if self._barge_in.server and self._playbacks.speaking and self._suspect_since is None:
            self._suspect_since = report.began
            self._playbacks.suspend()
        self._confirm()

    def speech_stopped(self, report: reports.SpeechStopped[str], leg: str) -> None:
        """Emit silence, and decide whether the speech was an interruption."""
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
        """Apply a transcript: it may confirm an interruption or end an utterance.

        Words of an utterance that has ended, from a slow recogniser, change nothing.
        """
        if self._is_late(report):
            return
        spoken = _Words(report.text, report.ended)
        if report.final:
            self._utterance.append(spoken)
            self._partial = None
            self._final_missing = False
        else:
            self._partial = spoken
        self._confirm()
        if self.silent_since is not None:
            self._expect_end(self.silent_since)

    def judged(self, report: reports.TurnJudged) -> None:
        """The party has paused: note how likely it is done, and wait less or longer for more."""
        self._judged = (report.probability, report.ended)
        if self.silent_since is not None:
            self._expect_end(self.silent_since)

    def pressed(self) -> None:
        """End the wait for input: a key or a new text counts as one."""
        self._input_wait = None

    def playback_over(self, wait_input_ms: int | None) -> None:
        """Start to wait for input after a playback that asks for it."""
        if wait_input_ms is not None and self.speaking_since is None:
            self._input_wait = (self._outbox.now, self._outbox.now + wait_input_ms / 1000)
        if self._suspect_since is not None and self._playbacks.silent:
            self._suspect_since = self._resume_at = None

    # --- time -------------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when :meth:`elapse` is due, monotonic seconds."""
        due: list[float] = []
        for time in (self._repeat_at, self._resume_at, self._eou_at):
            if time is not None:
                due.append(time)  # noqa: PERF401  (called after each report: a comprehension costs a call)
        if self._input_wait is not None:
            due.append(self._input_wait[1])
        if self._suspect_since is not None and self.speaking_since is not None and not self._needs_words:
            due.append(self._suspect_since + self._barge_in.min_speech_ms / 1000)
        return min(due, default=None)

    def elapse(self) -> None:
        """Emit and decide what has become due."""
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
        """Interrupt playbacks once the noise is known to be speech."""
        if self._suspect_since is None:
            return
        if self._needs_words:
            heard = words(self._text(since=self._suspect_since))
            if sum(word not in self._barge_in.fillers for word in heard) >= self._barge_in.min_words:
                self._interrupt()
        elif (
            self.speaking_since is not None
            and self._outbox.now >= self._suspect_since + self._barge_in.min_speech_ms / 1000
        ):
            self._interrupt()

    def _is_late(self, report: reports.Transcribed) -> bool:
        """Return whether words were spoken before the present utterance, in one that has ended."""
        if not self._utterances_ended:
            return False
        return self._utterance_began is None or report.ended <= self._utterance_began

    def _text(self, since: float = float("-inf")) -> str:
        """Return the words of the utterance that ended after `since`, monotonic seconds."""
        parts = self._utterance if self._partial is None else [*self._utterance, self._partial]
        return " ".join(part.text for part in parts if part.text and part.ended > since)

    def _interrupt(self) -> None:
        self._suspect_since = self._resume_at = None
        self._playbacks.interrupt(Interrupt(fade_ms=self._barge_in.fade_ms))

    def _false_alarm(self) -> None:
        self._suspect_since = self._resume_at = None
        self._playbacks.go_on()

    def _expect_end(self, silent_since: float) -> None:
        if self._eou_s is None or self.speaking_since is not None or self._speech is None:
            return
        wait = self._wait_s(self._eou_s)
        if self._final_missing:
            wait = max(wait, FINAL_WAIT_S if self._utterance or self._partial else TEXT_WAIT_S)
        self._eou_at = max(self._outbox.now, silent_since + wait)

    def _wait_s(self, plain_s: float) -> float:
        """Return how much silence ends the utterance: by its sound where it was judged, else by its text."""
        text = self._text()
        probability = self._probability()
        if probability is None:
            return plain_s * patience(text)
        # A recogniser that writes full stops writes them after halves of sentences too.
        going_on = patience(text.rstrip(".")) >= LONGER
        if going_on or probability < UNSURE:
            return self._eou.most_ms / 1000
        if probability < self._eou.threshold:
            return max(self._eou.silence_ms * BETWEEN, self._eou.least_ms) / 1000
        return self._eou.least_ms / 1000

    def _probability(self) -> float | None:
        """Return how likely the utterance is over, None where this pause was not judged."""
        if self._judged is None or self._speech is None:
            return None
        probability, ended = self._judged
        return probability if ended >= self._speech[1] - SAME_PAUSE_S else None

    def _end_of_utterance(self) -> None:
        text = self._text()
        judged, self._judged = self._probability(), None
        self._utterance, self._partial, self._eou_at, self._speech = [], None, None, None
        self._utterance_began, self._final_missing = None, False
        self._utterances_ended += 1
        self._outbox.emit(
            events.EndOfUtterance(
                timestamp=self._outbox.clock(),
                subject=self._outbox.party,
                completed=patience(text) <= 1.0 if judged is None else judged >= UNSURE,
                text=text,
                probability=judged,
            )
        )

    def _emit_speaking(self, began: float) -> None:
        self._outbox.emit(
            events.Speaking(
                timestamp=self._outbox.clock(),
                subject=self._outbox.party,
                start_time=self._outbox.clock(began),
            )
        )

    def _emit_silence(self, since: float, spoken: bool = True) -> None:
        speech = self._speech if spoken else None
        self._outbox.emit(
            events.Silence(
                timestamp=self._outbox.clock(),
                subject=self._outbox.party,
                start_time=self._outbox.clock(since),
                duration=max(0, round((self._outbox.now - since) * 1000)),
                speech_start=self._outbox.clock(speech[0]) if speech else None,
                speech_duration=round((speech[1] - speech[0]) * 1000) if speech else None,
            )
        )
