"""Loader of the settings: flags override environment variables, which override the file."""

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from softswitch.errors import SettingsError
from softswitch.settings.acme import FOLDER, LIVE
from softswitch.settings.section import Section
from softswitch.settings.sections import Paths, Settings
from softswitch.settings.speech_provider import check_providers

PREFIX = "SOFTSWITCH_"
"""Prefix of environment variables: SOFTSWITCH_<SECTION>_<KEY>."""

_ELSEWHERE = re.compile(
    r"SOFTSWITCH_(COMPILED|CONFIG|KEY|WORKER|TEST_.*|PORT|PORT_.*|SERVICE_HOST|SERVICE_PORT.*)"
)
"""Variables with this prefix that are not settings.

They are the switch of compiled code, the name of the file, the key of clients, the place of a worker,
switches of the tests, and what Kubernetes sets in every container beside a service named softswitch.
"""


def row_type(hint: object) -> type[Section] | None:
    """Return the struct of the rows if `hint` is a list of tables, None for any other type."""
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
"""Lists of tables, such as `[[trunk]]`, by name."""


def load(
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[tuple[str, str], object] | None = None,
) -> Settings:
    """Load and check the settings.

    Args:
        config: TOML file, None for no file.
        environ: environment variables.
        flags: values from the command line, by section and key.

    Raises:
        SettingsError: A setting is unknown or invalid; the error names section and key, and the closest known
            name for an unknown one.
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
    _use_certificates(raw)
    sections: dict[str, Any] = {name: _convert(name, raw.get(name, {})) for name in SECTIONS}
    tables: dict[str, Any] = {name: _convert_rows(name, raw.get(name, [])) for name in TABLES}
    settings = Settings(**sections, **tables)
    try:
        settings.check_telephones()
    except ValueError as error:
        raise SettingsError(str(error)) from None
    try:
        check_providers(settings.speech.provider)
    except ValueError as error:
        raise SettingsError(f"[speech] {error}", section="speech", key="provider") from None
    try:
        settings.check_bind()
    except ValueError as error:
        raise SettingsError(f"[http] {error}", section="http", key="host") from None
    return settings


def _use_certificates(raw: dict[str, Any]) -> None:
    """Let listeners without a certificate of their own use that of [acme], where there is one."""
    acme = raw.get("acme", {})
    if not acme.get("domains"):
        return
    paths = _convert("paths", raw.get("paths", {}))
    root = paths.root() if isinstance(paths, Paths) else Path()
    for section, wanted in (("http", acme.get("https", True)), ("sip", raw.get("sip", {}).get("tls_port"))):
        table = raw.setdefault(section, {})
        if wanted and not table.get("tls_cert"):
            table["tls_cert"] = table["tls_key"] = str(root / FOLDER / LIVE)


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
        raise SettingsError(f"{section} is a section: write [{section}]", section=section)
    hints = get_type_hints(SECTIONS[section])
    for key, value in table.items():
        _known(key, hints, f"[{section}] {key}")
        struct = row_type(hints[key])
        if struct and isinstance(value, list):
            _check_rows(f"{section}.{key}", struct, value)


def _check_rows(place: str, struct: type[Section], table: object) -> None:
    if not isinstance(table, list):
        raise SettingsError(f"[[{place}]] is a list of tables: write it in double brackets", section=place)
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
    """Parse an environment variable: lists are separated by commas, lists of tables are JSON."""
    try:
        if row_type(hint):
            rows = json.loads(text)
            if not isinstance(rows, list):
                raise SettingsError(f"{name}: must be a JSON array of objects")
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
        # msgspec writes "Expected `int`, got `str` - at `$.port`"; the operator gets "[http] port: ...".
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
