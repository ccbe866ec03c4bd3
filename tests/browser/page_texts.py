"""Which texts the page has: those of its HTML and those that its modules write."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

STATIC = Path(__file__).parents[2] / "static"
SPOKEN = {"aria-label", "title", "placeholder", "label"}
"""Attributes that people read or hear."""
SILENT = {"script", "style", "code", "pre", "svg"}
"""Elements whose content is no text."""
VOID = {"meta", "link", "input", "br", "use", "path"}

_LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_PROSE = re.compile(r"[A-Za-z{][^<>=\[\]\\/_#$^|]*")
NO_TEXT = re.compile(
    r"[A-Z][a-z]+[A-Z]\w*|[A-Z][a-z]+(-[A-Z][a-z]+)+|[A-Z]|[A-Z]{2,}.*|Authorization|Bearer .*"
    r"|Home|End|Enter|Tab|Escape|Error|Python|JavaScript|curl|Server|Opus|.*[a-z]\.[a-z].*|[a-z]+-[a-z]+ .*"
    r"|button quiet|import os|voice sample"
)
"""Names of headers, keys and classes, which only look like words."""


def texts_of_html(path: Path) -> set[str]:
    """Return the texts of a page, with single spaces."""
    reader = _Reader()
    reader.feed(path.read_text("utf-8"))
    return {text for text in reader.found if re.search(r"[A-Za-z]{2}", text)}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        quiet = tag in SILENT or given.get("translate") == "no" or bool(self._open and self._open[-1][1])
        if not quiet:
            self.found |= {" ".join(str(given[name]).split()) for name in SPOKEN & given.keys()}
        if tag not in VOID:
            self._open.append((tag, quiet))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not (self._open and self._open[-1][1]):
            self.found.add(" ".join(data.split()))


def texts_of_module(path: Path) -> Iterator[str]:
    """Yield the string literals of a module that are prose."""
    code = re.sub(r"/\*.*?\*/|(?m:^\s*//.*$)", "", path.read_text("utf-8"), flags=re.DOTALL)
    code = re.sub(r'(?m)^(import|export) .*from ".*";$|^import ".*";$', "", code)
    marked = set(re.findall(r'\bt\(\s*"((?:[^"\\]|\\.)*)"', code))
    for text in _LITERAL.findall(code):
        if text in marked or (
            _PROSE.fullmatch(text)
            and not NO_TEXT.fullmatch(text)
            and (" " in text or re.match("[A-Z][a-z]", text))
        ):
            yield text.replace('\\"', '"')
