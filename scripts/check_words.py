"""Check the vocabulary: words that `docs/glossary.md` replaces must not come back.

    python scripts/check_words.py            # every tracked text file of the project
    python scripts/check_words.py FILE ...   # these files only

Prints one line per finding (path:line: word: what to write instead) and exits with 1 if there is any.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

CHECKED = (".py", ".md", ".toml", ".js", ".html", ".css", ".yaml", ".cfg", ".conf", ".service", ".sh")
"""Endings of the files that are read; files without an ending (Makefile, Dockerfile) are read as well."""

EXEMPT = frozenset(
    {
        "LICENSE",
        "docs/glossary.md",
        "scripts/check_words.py",
        "bench/_speech_sentences.py",  # words that people say
        "bench/_speech_sounds.py",
        "bench/speech.py",
        "softswitch/speech/answering_machine.py",  # words that machines say
        "tests/scripts/test_check_words.py",
    }
)
"""Files that have to name the words."""

PROSE = {
    "somebody": "name the subject: caller, peer, client, operator",
    "nobody": "name the subject: no caller, no listener, no client",
    "whoever": "name the subject",
    "whom": "rewrite the sentence",
    "of ours": "say whose: the switch's",
    "of theirs": "say whose: the peer's",
    "is none": "use a negation: is not a",
    "no more than": "at most",
    "ours": "say whose: the switch's; a variable: local, own",
    "theirs": "say whose: the peer's; a variable: remote, peer",
    "no more": "no further, at most, not any longer",
    "anybody": "name the subject",
    "anyone": "name the subject",
    "everybody": "name the subjects: all participants, every client",
    "everyone": "name the subjects",
    "someone": "name the subject",
    "no one": "name the subject",
    "far end": "remote party, peer",
    "far ends": "remote parties, peers",
}
"""Phrases, matched without regard to case: what to write instead."""

NAMES = {
    "Carrier": "EffectExecutor",
    "Doorman": "RequestFilter",
    "Door": "EgressClient",
    "Doors": "IngressQueues",
    "Courier": "WebhookSender",
    "Story": "CallStatus",
    "Wish": "CallQuery",
    "MediaWish": "MediaOptions",
    "RoomWish": "RoomOptions",
    "Happening": "CallEvent",
    "Scene": "TickState",
    "entrust": "set_credentials",
    "made_up": "synthetic",
    "bury": "remember_ended",
    "hush": "mute",
}
"""Identifiers, matched exactly as words: the name that replaced them."""

_PROSE = re.compile(r"(?<![\w-])(" + "|".join(map(re.escape, PROSE)) + r")(?![\w-])", re.IGNORECASE)
_NAMES = re.compile(r"\b(" + "|".join(NAMES) + r")\b")


def find(text: str, *, code: bool) -> Iterator[tuple[int, str, str]]:
    """Yield line number, word and replacement for every finding in `text`.

    Args:
        text: contents of a file.
        code: also look for replaced identifiers, which are ordinary words in prose.
    """
    for number, line in enumerate(text.splitlines(), 1):
        for match in _PROSE.finditer(line):
            if match.group() == "is None":  # Python's own words.
                continue
            yield number, match.group(), PROSE[match.group().lower()]
        if code:
            for match in _NAMES.finditer(line):
                yield number, match.group(), NAMES[match.group()]


def tracked() -> Iterable[str]:
    """Return the paths of all files that git tracks, relative to the project."""
    command = ["git", "ls-files"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    return listed.stdout.splitlines()


def main(paths: list[str]) -> int:
    """Print the findings in `paths`, or in all tracked files; return the exit status."""
    found = 0
    for path in paths or tracked():
        file = ROOT / path
        if path in EXEMPT or not file.is_file() or (file.suffix and file.suffix not in CHECKED):
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        for number, word, instead in find(text, code=file.suffix == ".py"):
            found += 1
            print(f"{path}:{number}: {word!r}: {instead}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
