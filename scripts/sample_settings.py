"""Write softswitch.toml from the settings: every key with its text and its default.

`python scripts/sample_settings.py` prints it, `--write` puts it into the file (`make sample`).
"""

import argparse
import ast
import inspect
import itertools
import json
import textwrap
from pathlib import Path
from typing import get_origin, get_type_hints

from softswitch.settings import Section
from softswitch.settings.load import SECTIONS, TABLES, row_type

FILE = Path(__file__).resolve().parent.parent / "softswitch.toml"

HEAD = """\
# Settings of softswitch: `softswitch --config softswitch.toml`, or SOFTSWITCH_CONFIG=softswitch.toml.
# Every key stands here with its default. Each is also an environment variable, which wins over the file:
# SOFTSWITCH_<SECTION>_<KEY>, as SOFTSWITCH_HTTP_PORT=8081; lists are comma-separated there, lists of
# tables are JSON, as SOFTSWITCH_USER='[{"name": "alice", "password": "secret"}]'. An empty text or list
# means "not set". This file is written by `make sample`.
"""


def texts(struct: type[Section]) -> dict[str, str]:
    """Return the text below each field of a section."""
    body = ast.parse(textwrap.dedent(inspect.getsource(struct))).body[0]
    lines = body.body if isinstance(body, ast.ClassDef) else []
    found = {}
    for field, text in itertools.pairwise(lines):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=key)),
                ast.Expr(value=ast.Constant(value=str(words))),
            ):
                found[key] = " ".join(words.split())
    return found


def rows(struct: type[Section], mark: str = "#") -> list[str]:
    """Return the lines of a section's keys, each under its text."""
    lines = []
    defaults = dict(
        zip(reversed(struct.__struct_fields__), reversed(struct.__struct_defaults__), strict=False)
    )
    words, hints = texts(struct), get_type_hints(struct)
    for key in struct.__struct_fields__:
        if row_type(hints[key]):
            continue
        lines += textwrap.wrap(words[key], 105, initial_indent="# ", subsequent_indent="# ")
        value = defaults.get(key, [] if get_origin(hints[key]) is tuple else "")
        if get_origin(hints[key]) is dict:
            value = {}
        lines.append(f"{mark}{key} = {json.dumps(value)}")
    return lines


def sample() -> str:
    """Return the whole file."""
    lines = [HEAD]
    for name, struct in SECTIONS.items():
        lines += [f"# {inspect.getdoc(struct)}", f"[{name}]", *rows(struct), ""]
        for key, hint in get_type_hints(struct).items():
            if row := row_type(hint):
                lines += [
                    f"# {texts(struct)[key]} {inspect.getdoc(row)}",
                    f"#[[{name}.{key}]]",
                    *rows(row),
                    "",
                ]
    for name, struct in TABLES.items():
        lines += [f"# {inspect.getdoc(struct)}", f"#[[{name}]]", *rows(struct), ""]
    return "\n".join(lines)


def main() -> None:
    """Print the sample, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {FILE.name}")
    if parser.parse_args().write:
        FILE.write_text(sample(), "utf-8")
    else:
        print(sample(), end="")


if __name__ == "__main__":
    main()
