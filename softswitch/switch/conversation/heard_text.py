"""How much of a spoken text was heard when its playback was cut short, to the word."""

from dataclasses import dataclass, field

MS_PER_CHARACTER = 60.0
"""Slow speech, for a piece whose audio is not complete: rather a word less than one that was not heard."""


@dataclass(slots=True)
class _Piece:
    text: str
    begin_ms: float
    end_ms: float
    complete: bool = False
    words: list[float] = field(default_factory=list)
    """Where each word begins, as far as the voice tells, ms."""

    def heard(self, played_ms: float) -> str:
        """Return the words that had begun when ``played_ms`` of the track had been heard."""
        words = self.text.split()
        if len(self.words) != len(words):
            # The voice does not tell, or counts other words: they are spread by their letters.
            end_ms = self.end_ms
            if not self.complete:
                end_ms = max(end_ms, self.begin_ms + len(self.text) * MS_PER_CHARACTER)
            per_letter = (end_ms - self.begin_ms) / max(sum(map(len, words)), 1)
            begins, letters = [], 0
            for word in words:
                begins.append(self.begin_ms + letters * per_letter)
                letters += len(word)
        else:
            begins = self.words
        return " ".join(word for word, begin in zip(words, begins, strict=True) if begin < played_ms)


class HeardText:
    """What is said on one track, piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []

    def fed(self, text: str, begin_ms: float, end_ms: float, *, last: bool) -> None:
        """Note that audio was fed.

        Args:
            text: What it says; empty: it goes on with the piece before.
            begin_ms: Where in the track it begins.
            end_ms: Where it ends.
            last: Whether a piece of text ends with it.
        """
        if text:
            self._pieces.append(_Piece(text, begin_ms, end_ms, last))
        elif self._pieces and not self._pieces[-1].complete:
            self._pieces[-1].end_ms = max(self._pieces[-1].end_ms, end_ms)
            self._pieces[-1].complete = last

    def word(self, begin_ms: float) -> None:
        """Note that a word of the latest piece begins at a place in the track."""
        if self._pieces:
            self._pieces[-1].words.append(begin_ms)

    def until(self, played_ms: float) -> str:
        """Return the text that had begun when ``played_ms`` had been heard."""
        heard = []
        for piece in self._pieces:
            if piece.begin_ms >= played_ms:
                break
            whole = piece.complete and piece.end_ms <= played_ms
            heard.append(piece.text if whole else piece.heard(played_ms))
        return " ".join(filter(None, heard))
