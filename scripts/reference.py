"""Write docs/reference/ from the structs, settings, metrics and routes of the switch.

`python scripts/reference.py` says which pages are out of date and exits with 1 if there are any; `--write`
writes them. Words that the code does not hold (what a field means, examples) stand in `reference.toml`.
"""

import argparse
import inspect
import json
import re
import sys
import tempfile
import tomllib
import types
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import sample_settings  # noqa: E402  (a neighbour of this script)
from softswitch.app import build  # noqa: E402
from softswitch.app.membership import membership  # noqa: E402
from softswitch.cli import COMMANDS, command_of  # noqa: E402
from softswitch.errors import SoftswitchError  # noqa: E402
from softswitch.protocol import call_commands, call_events, wavix_stream  # noqa: E402
from softswitch.settings import Cluster, Paths, Settings  # noqa: E402
from softswitch.settings.load import SECTIONS, TABLES, row_type  # noqa: E402
from softswitch.settings.queue import Queue  # noqa: E402
from softswitch.supervisor.supervisor import Supervisor  # noqa: E402
from softswitch.web.application import ROUTES  # noqa: E402
from softswitch.web.keys import RESOURCES  # noqa: E402
from softswitch.web.wavix.routes import GROUPS, RECORDS  # noqa: E402

FOLDER = ROOT / "docs" / "reference"
TEXTS: dict[str, Any] = tomllib.loads((ROOT / "scripts" / "reference.toml").read_text("utf-8"))
"""The words: `fields`, `commands`, `events`, `stream`, `metrics` and `routes`."""

NOTE = "<!-- written by scripts/reference.py --write; edit the code or scripts/reference.toml instead -->\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    escaped = ([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows)
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in escaped),
        "",
    ]


# --- types --------------------------------------------------------------------------------


def shown(hint: Any) -> str:
    """Return a type in the words of JSON, with its bounds."""
    origin = get_origin(hint)
    if origin is Annotated:
        base, *metas = get_args(hint)
        return shown(base) + "".join(_bounds(meta) for meta in metas if isinstance(meta, msgspec.Meta))
    if origin is Literal:
        return ", ".join(f"`{json.dumps(value)}`" for value in get_args(hint))
    if origin in (Union, types.UnionType):
        return " or ".join(shown(each) for each in get_args(hint) if each is not type(None))
    if origin in (list, tuple):
        return f"list of {shown(get_args(hint)[0])}"
    if origin is dict:
        return "object"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return f"[{hint.__name__}](#{hint.__name__.lower()}-object)"
    names = {
        str: "text",
        int: "integer",
        float: "number",
        bool: "boolean",
        bytes: "base64 text",
        object: "any",
        Any: "any",
    }
    return names.get(hint, "object" if hint is dict else str(hint))


def _bounds(meta: msgspec.Meta) -> str:
    least, most = meta.ge, meta.le
    if meta.pattern:
        return f" that matches `{meta.pattern}`"
    if meta.max_length:
        return f", at most {meta.max_length} long"
    if least is not None and most is not None:
        return f", {least} to {most}" + (f", a multiple of {meta.multiple_of}" if meta.multiple_of else "")
    if least is not None:
        return f", {least} or more"
    if meta.gt is not None:
        return f", above {meta.gt}" + (f", at most {most}" if most is not None else "")
    return ""


def default_of(field: msgspec.inspect.Field | Any) -> str:
    """Return a field's default as it would stand in JSON."""
    if field.required:
        return "required"
    value = field.default
    if value is msgspec.NODEFAULT:
        value = field.default_factory()
    if value is None:
        return ""
    if isinstance(value, msgspec.Struct):
        return "`{}`"
    return f"`{json.dumps(value)}`"


def described(struct: type[msgspec.Struct], name: str, hint: Any) -> str:
    """Return what a field means: by its own metadata, else by `scripts/reference.toml`."""
    if get_origin(hint) is Annotated:
        for meta in get_args(hint)[1:]:
            if isinstance(meta, msgspec.Meta) and meta.description:
                return meta.description
    texts = TEXTS["fields"]
    return str(texts.get(f"{struct.__name__}.{name}", texts.get(name, "")))


def field_rows(struct: type[msgspec.Struct], *, skip: frozenset[str] = frozenset()) -> Iterator[list[str]]:
    """Yield a row for each field: name, type, default, meaning."""
    hints = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        name, hint = field.encode_name, hints[field.name]
        if name not in skip:
            yield [f"`{name}`", shown(hint), default_of(field), described(struct, name, hint)]


def summary(struct: type[msgspec.Struct]) -> str:
    """Return the first line of a struct's documentation."""
    return (inspect.getdoc(struct) or "").partition("\n")[0]


def nested(structs: Iterable[type[msgspec.Struct]]) -> list[type[msgspec.Struct]]:
    """Return the structs that stand inside others, each once, in the order they are met."""
    found: dict[type[msgspec.Struct], None] = {}

    def look(hint: Any) -> None:
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct) and hint not in found:
            found[hint] = None
            inside(hint)
        for part in get_args(hint):
            look(part)

    def inside(struct: type[msgspec.Struct]) -> None:
        for hint in get_type_hints(struct, include_extras=True).values():
            look(hint)

    for struct in structs:
        inside(struct)
    return list(found)


def commands() -> tuple[type[msgspec.Struct], ...]:
    """Return the commands of `/call`."""
    return get_args(call_commands.WireCommand)


def events() -> list[type[msgspec.Struct]]:
    """Return the events of `/call`."""
    return list(call_events.KINDS.values())


def _messages(kinds: Iterable[type[msgspec.Struct]], section: str, skip: frozenset[str]) -> list[str]:
    lines = []
    for kind in kinds:
        tag = str(kind.__struct_config__.tag)
        words = TEXTS[section].get(tag, {})
        lines += [f"## {tag}", "", words.get("text", summary(kind)), ""]
        if rows := list(field_rows(kind, skip=skip)):
            lines += table(("field", "type", "default", "meaning"), rows)
        if "example" in words:
            lines += ["```json", words["example"], "```", ""]
    return lines


def _objects(kinds: Iterable[type[msgspec.Struct]]) -> list[str]:
    lines = []
    for kind in kinds:
        lines += [
            f"## {kind.__name__} object",
            "",
            str(TEXTS["objects"].get(kind.__name__, summary(kind))),
            "",
        ]
        lines += table(("field", "type", "default", "meaning"), field_rows(kind))
        if example := TEXTS["options"].get(kind.__name__):
            lines += ["```json", example, "```", ""]
    return lines


# --- pages --------------------------------------------------------------------------------


def commands_page() -> str:
    """Return docs/reference/commands.md."""
    lines = [
        "# Commands of `/call`",
        "",
        NOTE,
        TEXTS["pages"]["commands"],
        "",
        "Commands: "
        + ", ".join(
            f"[{c.__struct_config__.tag}](#{str(c.__struct_config__.tag).lower()})" for c in commands()
        ),
        "",
        *_messages(commands(), "commands", frozenset({"requestId"})),
        "# Objects inside commands",
        "",
        *_objects(nested(commands())),
    ]
    return "\n".join(lines)


def events_page() -> str:
    """Return docs/reference/events.md."""
    names = ", ".join(
        f"[{e.__struct_config__.tag}](#{str(e.__struct_config__.tag).lower()})" for e in events()
    )
    lines = [
        "# Events of `/call`",
        "",
        NOTE,
        TEXTS["pages"]["events"],
        "",
        f"Events: {names}",
        "",
        *_messages(events(), "events", frozenset({"timestamp", "seq"})),
        "# Objects inside events",
        "",
        *_objects(nested(events())),
    ]
    return "\n".join(lines)


def streams_page() -> str:
    """Return docs/reference/streams.md."""
    outgoing = get_args(wavix_stream.Outgoing)
    incoming = get_args(wavix_stream.Incoming)
    lines = [
        "# Messages of a stream",
        "",
        NOTE,
        TEXTS["pages"]["streams"],
        "",
        "# From the switch to the service",
        "",
    ]
    for kinds, section in ((outgoing, "stream"), (incoming, "service")):
        if section == "service":
            lines += ["# From the service to the switch", ""]
        for kind in kinds:
            tag = str(kind.__struct_config__.tag)
            lines += [
                f"## {tag}" if section == "stream" else f"## {tag} (service)",
                "",
                TEXTS[section][tag],
                "",
            ]
            if rows := list(field_rows(kind)):
                lines += table(("field", "type", "default", "meaning"), rows)
    lines += ["# Objects inside messages", "", *_objects(nested([*outgoing, *incoming]))]
    return "\n".join(lines)


def settings_page() -> str:
    """Return docs/reference/settings.md."""
    lines = [
        "# Settings",
        "",
        NOTE,
        TEXTS["pages"]["settings"],
        "",
    ]
    for name, struct in SECTIONS.items():
        lines += [f"## [{name}]", "", inspect.getdoc(struct) or "", "", *_keys(struct, name)]
        for key, hint in get_type_hints(struct).items():
            if row := row_type(hint):
                lines += [f"## [[{name}.{key}]]", "", inspect.getdoc(row) or "", "", *_keys(row, "")]
    for name, struct in TABLES.items():
        variable = f"As a variable: `SOFTSWITCH_{name.upper()}`, a JSON list of objects."
        lines += [f"## [[{name}]]", "", inspect.getdoc(struct) or "", "", variable, "", *_keys(struct, "")]
    return "\n".join(lines)


def _keys(struct: type[Any], section: str) -> list[str]:
    texts = sample_settings.texts(struct)
    hints = get_type_hints(struct, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(struct):
        if row_type(get_type_hints(struct)[field.name]):
            continue
        row = [f"`{field.name}`", shown(hints[field.name]), default_of(field), texts[field.name]]
        if section:
            row.insert(1, f"`SOFTSWITCH_{section}_{field.name}`".upper())
        rows.append(row)
    head = ["key", "type", "default", "meaning"]
    if section:
        head.insert(1, "variable")
    return table(head, rows)


def metrics_page() -> str:
    """Return docs/reference/metrics.md."""
    lines = [
        "# Metrics",
        "",
        NOTE,
        TEXTS["pages"]["metrics"],
        "",
    ]
    rows = []
    for name, kind, text, labels in families():
        words = TEXTS["metrics"].get(name, text.rstrip(".") + ".")
        rows.append([f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels), words])
    return "\n".join([*lines, *table(("metric", "type", "labels", "meaning"), sorted(rows))])


def families() -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Yield name, type, help and labels of every metric of a switch that has not started, in a cluster."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(bus="redis://127.0.0.1/0", address="127.0.0.1:8190", secret="x" * 32)
        # Figures of a queue exist once there is one.
        queue = Queue("sales", ("anna",))
        settings = Settings(paths=Paths(data=folder), cluster=cluster, queue=(queue,))
        for name in Supervisor(settings, lambda *states: None, 0.0).figures():
            kind = "counter" if name.endswith("_total") else "gauge"
            yield f"softswitch_supervisor_{name}", kind, name.replace("_", " "), ()
        app = build(settings, membership(settings, None))
        resources = app[RESOURCES]
        with suppress(SoftswitchError):
            resources.providers.asr("builtin")  # Its counters exist once it is made.
        labels = {
            name: tuple(collector._labelnames)  # noqa: SLF001  (label names are nowhere public)
            for collector, names in resources.metrics.registry._collector_to_names.items()  # noqa: SLF001
            for name in names
            if hasattr(collector, "_labelnames")
        }
        for family in resources.metrics.registry.collect():
            if family.name.startswith("process_"):
                continue
            name = f"{family.name}_total" if family.type == "counter" else family.name
            sampled = tuple(key for sample in family.samples[:1] for key in sample.labels if key != "le")
            text = family.documentation
            yield name, family.type, text[:1].upper() + text[1:], labels.get(family.name, sampled)


def rest_page() -> str:
    """Return docs/reference/rest.md."""
    lines = [
        "# REST routes and WebSockets",
        "",
        NOTE,
        TEXTS["pages"]["rest"],
        "",
    ]
    summaries = {
        f"{one.method} /v1/call{one.path}": one.summary for group in GROUPS.values() for one in group
    } | {f"{one.method} {one.path}": one.summary for one in RECORDS}
    sections: dict[str, list[list[str]]] = {}
    for route in ROUTES:
        name = f"{route.method} {route.path}"
        known = TEXTS["routes"].get(name, {})
        alias = known.get("same_as")
        text = f"The same as `{alias}`." if alias else known.get("text", summaries.get(name, ""))
        if route.path.startswith("/v1/calls"):
            continue
        example = f"`{known['example']}`" if "example" in known else ""
        row = [f"`{name}`", f"`{route.scope}`" if route.scope else "", text, example]
        sections.setdefault(_section(route.path), []).append(row)
    for section, rows in sections.items():
        lines += [f"## {section}", ""]
        if section == "Call control":
            lines += ["Every route of this section is also there under `/v1/calls`.", ""]
        lines += table(("route", "scope", "what it does", "example"), rows)
    lines += ["## Bodies of call control", ""]
    bodies = list(dict.fromkeys(op.takes for group in GROUPS.values() for op in group if op.takes))
    for op_body in (*bodies, *nested(bodies)):
        lines += [
            f"### {op_body.__name__} object",
            "",
            str(TEXTS["objects"].get(op_body.__name__, summary(op_body))),
            "",
        ]
        lines += table(("field", "type", "default", "meaning"), field_rows(op_body))
    return "\n".join(lines)


def _section(path: str) -> str:
    if path.startswith(("/v1/cdrs", "/v1/recordings")):
        return "Records of Wavix"
    if path.startswith("/v1/"):
        return "Call control"
    if path.startswith("/api/v1") or path == "/ws":
        return "Rooms"
    if re.match(r"/(recordings|dumps|calls)", path):
        return "Records, recordings and dumps"
    if re.match(r"/(call|sip|list|kill|iceservers|events|command)", path):
        return "Calls"
    return "Operation"


def command_line_page() -> str:
    """Return docs/reference/command-line.md."""
    lines = ["# Command line", "", NOTE, "`softswitch` without a command is `softswitch serve`.", ""]
    for name, text in COMMANDS.items():
        parser = argparse.ArgumentParser(f"softswitch {name}")
        command_of(name).add_arguments(parser)
        lines += [f"## softswitch {name}", "", text[:1].upper() + text[1:] + ".", ""]
        rows = []
        for action in parser._actions:  # noqa: SLF001  (argparse shows its arguments to nothing else)
            if action.dest == "help":
                continue
            names = ", ".join(f"`{option}`" for option in action.option_strings) or f"`{action.dest}`"
            default = "" if action.default in (None, "", False) else f"`{action.default}`"
            words = (action.help or "").replace("%(default)s", str(action.default))
            rows.append([names, default, words])
        lines += table(("argument", "default", "meaning"), rows)
    return "\n".join(lines)


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    made = {
        "commands.md": commands_page,
        "events.md": events_page,
        "streams.md": streams_page,
        "settings.md": settings_page,
        "metrics.md": metrics_page,
        "rest.md": rest_page,
        "command-line.md": command_line_page,
    }
    return {name: make().rstrip() + "\n" for name, make in made.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the pages, or write them; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the pages")
    write = parser.parse_args(argv).write
    stale = 0
    for name, text in pages().items():
        file = FOLDER / name
        if write:
            file.write_text(text, "utf-8")
        elif not file.is_file() or file.read_text("utf-8") != text:
            stale += 1
            print(f"docs/reference/{name} is out of date: run scripts/reference.py --write")
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
