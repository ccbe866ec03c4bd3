"""The wire page, the table of its rows, and the tests that name them must agree."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.rows import ROWS
from tests.conftest import ROOT

HERE = Path(__file__).parent
PAGE = ROOT.parent / "shared" / "design" / "wire-call.md"


def named() -> Iterator[tuple[str, str]]:
    """Yield each row that a test names, with the place of the test."""
    for file in sorted(HERE.glob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.row":
                for argument in node.args:
                    assert isinstance(argument, ast.Constant), f"{file.name}: a row is named by a plain text"
                    yield str(argument.value), f"{file.name}:{node.lineno}"


def test_every_row_has_a_test_that_names_it() -> None:
    missing = ROWS - {row for row, _ in named()}
    assert not missing, f"{len(missing)} rows have no test: {sorted(missing)}"


def test_every_name_is_a_row() -> None:
    unknown = [(row, place) for row, place in named() if row not in ROWS]
    assert not unknown, f"tests name rows that the table does not have: {unknown}"


def table(section: int) -> Iterator[str]:
    """Yield the words in the first cells of the tables of one section of the page."""
    text = PAGE.read_text(encoding="utf-8")
    body = re.split(r"^## ", text, flags=re.MULTILINE)
    [part] = [one for one in body if one.startswith(f"{section}. ")]
    for line in part.splitlines():
        cell = line.split("|")[1].strip() if line.startswith("|") else ""
        if cell and not cell.startswith("---") and cell not in {"command", "event"}:
            yield from re.findall(r"[A-Za-z]+", cell)


@pytest.mark.skipif(not PAGE.exists(), reason="the wire page is not here")
@pytest.mark.parametrize("section", [4, 8])
def test_every_row_of_the_pages_tables_is_known(section: int) -> None:
    words = {f"{section}:{word}" for word in table(section)}
    assert len(words) > 15
    unknown = words - ROWS
    assert not unknown, f"the page has rows that the table does not know: {sorted(unknown)}"
