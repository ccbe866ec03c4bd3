"""The table of rows of the `/call` API, and the tests that name them, must agree."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.rows import ROWS

HERE = Path(__file__).parent


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
