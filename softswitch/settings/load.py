"""Load the settings: the file, then the environment, then the flags; the last one wins."""

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from softswitch.errors import SettingsError
from softswitch.settings.section import Section
from softswitch.settings.sections import Settings

PREFIX = "SOFTSWITCH_"
"""What the name of an environment variable starts with: SOFTSWITCH_<SECTION>_<KEY>."""

_ELSEWHERE = re.compile(r"SOFTSWITCH_(CONFIG|TEST_.*|PORT|PORT_.*|SERVICE_HOST|SERVICE_PORT.*)")
"""Not ours to read here: the file's name, switches of the tests, and what Kubernetes sets into every
container beside a service called softswitch."""


def row_type(hint: object) -> type[Section] | None:
    """Return the struct of a list of tables, or None for any other type."""
    first = next(iter(get_args(hint)), None)
    return first if isinstance(first, type) and issubclass(first, Section) else None


_HINTS: dict[str, Any] = get_type_hints(Settings)

SECTIONS: dict[str, type[Section]] = {
    name: hint for name, hint in _HINTS.items() if isinstance(hint, type) and issubclass(hint, Section)
}
"""The sections by name."""

TABLES: dict[str, type[Section]] = {
    name: struct for name, hint in _HINTS.items() if (struct := row_type(hint))
}
"""What may be there many times, as `[[trunk]]`, by name."""


def load(
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[tuple[str, str], object] | None = None,
) -> Settings:
    """Load and check the settings.

    Args:
        config: a TOML file, or None for none.
        environ: environment variables.
        flags: values of the command line by section and key.

    Raises:
        SettingsError: naming section and key, and the nearest known name where a name is unknown.
    """
    raw = _read(config) if config else {}
    for section, table in raw.items():
        _known(section, _HINTS, f"section [{section}]")
        if section in TABLES:
            _check_rows(section, TABLES[section], table)
        else:
            _check_table(section, table)
    for (section, key), value in _from_environment(environ or {}).items():
        if key:
            raw.setdefault(section, {})[key] = value
        else:
            raw[section] = value
    for (section, key), value in (flags or {}).items():
        raw.setdefault(section, {})[key] = value
    sections: dict[str, Any] = {name: _convert(name, raw.get(name, {})) for name in SECTIONS}
    tables: dict[str, Any] = {name: _convert_rows(name, raw.get(name, [])) for name in TABLES}
    settings = Settings(**sections, **tables)
    try:
        settings.check_telephones()
    except ValueError as error:
        raise SettingsError(str(error)) from None
    try:
        settings.check_bind()
    except ValueError as error:
        raise SettingsError(f"[http] {error}", section="http", key="host") from None
    return settings


def _read(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{config}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{config}: {error}") from None


def _known(name: str, names: Iterable[str], what: str) -> None:
    names = list(names)
    if name in names:
        return
    near = difflib.get_close_matches(name, names, 1, 0.5)
    hint = f", did you mean {near[0]!r}?" if near else f", known are {', '.join(sorted(names))}"
    raise SettingsError(f"{what} is unknown{hint}", section=name)


def _check_table(section: str, table: object) -> None:
    if not isinstance(table, dict):
        raise SettingsError(f"[{section}] is a section, not a value", section=section)
    hints = get_type_hints(SECTIONS[section])
    for key, value in table.items():
        _known(key, hints, f"[{section}] {key}")
        struct = row_type(hints[key])
        if struct and isinstance(value, list):
            _check_rows(f"{section}.{key}", struct, value)


def _check_rows(place: str, struct: type[Section], table: object) -> None:
    if not isinstance(table, list):
        raise SettingsError(f"[[{place}]] is written in double brackets: it is a list", section=place)
    for row in table:
        for name in row if isinstance(row, dict) else ():
            _known(name, struct.__struct_fields__, f"[[{place}]] {name}")


def _from_environment(environ: Mapping[str, str]) -> dict[tuple[str, str], object]:
    found: dict[tuple[str, str], object] = {}
    known = {
        f"{PREFIX}{section}_{key}".upper(): (section, key)
        for section, struct in SECTIONS.items()
        for key in struct.__struct_fields__
    }
    known |= {f"{PREFIX}{table}".upper(): (table, "") for table in TABLES}
    for name, text in environ.items():
        if not name.startswith(PREFIX) or _ELSEWHERE.fullmatch(name):
            continue
        _known(name, known, name)
        section, key = known[name]
        hint = get_type_hints(SECTIONS[section], include_extras=True)[key] if key else _HINTS[section]
        found[section, key] = _read_variable(name, text, hint)
    return found


def _read_variable(name: str, text: str, hint: Any) -> object:
    """Turn the text of a variable into a plain value: lists by commas, lists of tables as JSON."""
    try:
        if row_type(hint):
            rows = json.loads(text)
            if not isinstance(rows, list):
                raise SettingsError(f"{name}: a list of tables is a JSON array")
            return rows
        if getattr(hint, "__origin__", None) is tuple:
            return [part for part in map(str.strip, text.split(",")) if part]
        return msgspec.to_builtins(msgspec.convert(text, hint, strict=False))
    except (msgspec.ValidationError, json.JSONDecodeError) as error:
        raise SettingsError(f"{name}: {error}") from None


def _convert(section: str, table: dict[str, Any]) -> Section:
    try:
        return msgspec.convert(table, SECTIONS[section])
    except msgspec.ValidationError as error:
        # msgspec says "Expected `int`, got `str` - at `$.port`"; a person wants "[http] port: ...".
        message, _, place = str(error).partition(" - at ")
        key = place.strip("`").removeprefix("$").lstrip(".")
        where = f"[{section}] {key}".rstrip()
        raise SettingsError(f"{where}: {message}", section=section, key=key) from None


def _convert_rows(table: str, rows: list[Any]) -> tuple[Section, ...]:
    found = []
    for number, row in enumerate(rows, 1):
        try:
            found.append(msgspec.convert(row, TABLES[table]))
        except msgspec.ValidationError as error:
            message, _, place = str(error).partition(" - at ")
            key = place.strip("`").removeprefix("$").lstrip(".")
            where = f"[[{table}]] {number} {key}".rstrip()
            raise SettingsError(f"{where}: {message}", section=table, key=key) from None
    return tuple(found)
