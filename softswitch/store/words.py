"""Words of transcripts, as they are indexed for search and looked up.

FTS5 in SQLite and a tsvector in PostgreSQL are given words that this module has cut, so that a search finds
the same in both. Scripts without spaces (Chinese, Japanese, Thai and their neighbours) are cut into pairs of
neighbouring characters.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from softswitch.store.transcript import decode

MAX_WORD = 64
"""Characters of a word that count."""
MAX_WORDS = 30_000
"""Most different words of a transcript that are indexed; PostgreSQL takes a megabyte of them."""
MAX_WANTED = 16
"""Most words of a search that count."""
_WORD = re.compile(r"[^\W_]+")
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_PIECE = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")


def indexed(account: str, transcript_json: str) -> str:
    """Return the words of a transcript to be indexed, each once, with a space between them.

    The first one stands for the account, so that the index itself bounds a search to it.

    Args:
        account: Account of the call.
        transcript_json: Its transcript as `softswitch.store.transcript` encodes it; junk has no words.
    """
    transcript = decode(transcript_json)
    found = {_of_account(account): None}
    for turn in transcript.turns if transcript is not None else ():
        for word in _words(turn.text):
            found.setdefault(word)
        if len(found) >= MAX_WORDS:
            break
    return " ".join(list(found)[:MAX_WORDS])


def matching(text: str, account: str | None) -> tuple[str, list[str]]:
    """Return what a search looks for.

    Args:
        text: Words, all of which a transcript must contain: each one, or one that begins so, in any case.
        account: Account of the calls; None: any.

    Returns:
        The word for the account, empty for any; and the beginnings of the words: without any, nothing fits.
    """
    wanted = list(dict.fromkeys(_wanted(text)))[:MAX_WANTED]
    return ("" if account is None else _of_account(account)), wanted


def _of_account(account: str) -> str:
    """Return the word for an account, which no transcript contains."""
    return "=" + account.encode("utf-8", "replace").hex()


def _words(text: str) -> Iterator[str]:
    """Yield the words to index; of an unspaced script all pairs of characters, and the last character."""
    for piece in _pieces(text):
        if _IS_UNSPACED.match(piece):
            yield from (piece[at : at + 2] for at in range(len(piece)))
        else:
            yield piece[:MAX_WORD]


def _wanted(text: str) -> Iterator[str]:
    """Yield the beginnings of words to look for; one character of an unspaced script begins its pairs."""
    for piece in _pieces(text):
        if _IS_UNSPACED.match(piece) and len(piece) > 1:
            yield from (piece[at : at + 2] for at in range(len(piece) - 1))
        else:
            yield piece[:MAX_WORD]


def _pieces(text: str) -> Iterable[str]:
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(one for one in decomposed if unicodedata.category(one) != "Mn")
    for word in _WORD.findall(plain):
        yield from _PIECE.findall(word)
