"""The recogniser's tokens: pieces of text, joined from pairs in the order of their numbers (BPE).

The file `tokenizer.bin` has for each token its length (one byte, or two where the first is 128 or more) and
its bytes; a space is written as U+2581.
"""

from collections.abc import Iterable
from itertools import pairwise

SPACE = "\u2581"
FIRST_TEXT = 3
"""Number of the first token that is text; those before mean unknown, begin and end."""
_FIRST_PIECE = 259
"""The tokens before are single bytes, for signs that have no token of their own."""


class Vocabulary:
    """All tokens."""

    def __init__(self, data: bytes) -> None:
        """Read the file.

        Raises:
            ValueError: it is cut off.
        """
        self.pieces: list[bytes] = []
        at = 0
        while at < len(data):
            size = data[at]
            at += 1
            if size >= 128:
                size = data[at] * 128 + size - 128
                at += 1
            piece = data[at : at + size]
            if len(piece) != size:
                raise ValueError("the list of tokens is cut off")
            self.pieces.append(piece)
            at += size
        self._numbers: dict[str, int] = {}
        for number, piece in enumerate(self.pieces):
            if number >= _FIRST_PIECE:
                self._numbers.setdefault(piece.decode("utf-8", "replace"), number)

    def text(self, tokens: Iterable[int]) -> str:
        """Return what tokens say."""
        data = b"".join(self.pieces[token] for token in tokens if token >= FIRST_TEXT)
        return data.decode("utf-8", "replace").replace(SPACE, " ").strip()

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of a text; signs that no token has are left out."""
        parts = [sign for sign in SPACE + text.strip().replace(" ", SPACE) if sign in self._numbers]
        while True:
            joined = [
                (self._numbers[first + second], index)
                for index, (first, second) in enumerate(pairwise(parts))
                if first + second in self._numbers
            ]
            if not joined:
                return [self._numbers[part] for part in parts]
            _, index = min(joined)
            parts[index : index + 2] = [parts[index] + parts[index + 1]]
