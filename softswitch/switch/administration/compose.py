"""The settings that count now: those of the file, and the entries beside them.

The file wins: an entry with the name of a table of the file is shadowed. An entry that does not fit, for
example because the file has no longer the trunk that a route leads to, is left out with its fault.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from softswitch.errors import SettingsError, SoftswitchError
from softswitch.settings import AccessKey, HashedKey, Settings, Trunk
from softswitch.settings.section import Section
from softswitch.settings.speech_provider import check_providers
from softswitch.switch.administration.entry import Entry, InvalidEntry
from softswitch.switch.administration.kinds import KINDS

Check = Callable[[Settings], object]
"""Refuses settings by a SettingsError or ValueError."""
SHADOWED = "the settings file has one of this name, which counts"
PYVOIP = "engine: a trunk with pyvoip is set in the settings file, and needs a restart"


class Composed(msgspec.Struct, frozen=True):
    """What counts now."""

    settings: Settings
    keys: tuple[HashedKey, ...]
    faults: dict[tuple[str, str], str]
    """What is wrong with the entries that do not count, by kind and name."""


def file_rows(settings: Settings, kind: str) -> tuple[Section, ...]:
    """Return the rows of a kind in settings."""
    match kind:
        case "user":
            return settings.user
        case "trunk":
            return settings.trunk
        case "route":
            return settings.route
        case "queue":
            return settings.queue
        case "provider":
            return settings.speech.provider
        case "webhook":
            return settings.webhook.account
        case _:
            return ()


def with_rows(settings: Settings, rows: Mapping[str, tuple[Any, ...]]) -> Settings:
    """Return settings with other rows of some kinds."""
    changes: dict[str, Any] = {name: rows[name] for name in ("user", "trunk", "queue") if name in rows}
    if "route" in rows:
        changes["route"] = tuple(sorted(rows["route"], key=lambda route: route.order))
    if "provider" in rows:
        changes["speech"] = msgspec.structs.replace(settings.speech, provider=rows["provider"])
    if "webhook" in rows:
        changes["webhook"] = msgspec.structs.replace(settings.webhook, account=rows["webhook"])
    return msgspec.structs.replace(settings, **changes)


def names_of(settings: Settings, kind: str) -> frozenset[str]:
    """Return the names of a kind that the file has."""
    if kind == "key":
        return frozenset(key.name for key in settings.auth.keys())  # noqa: SIM118  (it is no mapping)
    rows: Iterable[Any] = file_rows(settings, kind)
    return frozenset(row.name for row in rows)


def compose(base: Settings, entries: Iterable[Entry], check: Check) -> Composed:
    """Return what counts: the settings of the file, with every entry that fits.

    Args:
        base: Settings of the file.
        entries: Entries of the database.
        check: Refuses settings that another part could not use.
    """
    faults: dict[tuple[str, str], str] = {}
    keys: list[HashedKey] = []
    fitting: list[tuple[Entry, Section]] = []
    given = {kind: names_of(base, kind) for kind in KINDS}
    for entry in sorted(entries, key=lambda one: list(KINDS).index(one.kind)):
        try:
            if entry.name in given[entry.kind]:
                raise InvalidEntry(SHADOWED, field="name")
            row = entry.row()
            if isinstance(row, Trunk) and row.engine != "builtin":
                raise InvalidEntry(PYVOIP, field="engine")
            _check_realm(entry, base)
        except InvalidEntry as error:
            faults[entry.kind, entry.name] = str(error)
            continue
        if isinstance(row, AccessKey):
            keys.append(HashedKey(row, str(entry.secrets.get("digest", ""))))
        else:
            fitting.append((entry, row))
    settings, wrong = _joined(base, [row for _, row in fitting], [entry.kind for entry, _ in fitting], check)
    if wrong:
        # One of them does not fit: find which, each beside those before it.
        taken: list[tuple[Entry, Section]] = []
        for entry, row in fitting:
            beside = [*taken, (entry, row)]
            kinds = [one.kind for one, _ in beside]
            _, wrong = _joined(base, [each for _, each in beside], kinds, check)
            if wrong:
                faults[entry.kind, entry.name] = wrong
            else:
                taken = beside
        settings, _ = _joined(base, [row for _, row in taken], [entry.kind for entry, _ in taken], check)
    return Composed(settings, tuple(keys), faults)


def _check_realm(entry: Entry, base: Settings) -> None:
    realm = entry.secrets.get("realm", base.sip.realm)
    if realm != base.sip.realm:
        raise InvalidEntry(
            f"password: it is kept for the realm {realm!r}, and [sip] realm is another: set it again",
            field="password",
        )


def _joined(base: Settings, rows: list[Section], kinds: list[str], check: Check) -> tuple[Settings, str]:
    """Return the settings with some rows, and what is wrong with them."""
    by_kind: dict[str, list[Section]] = {}
    for kind, row in zip(kinds, rows, strict=True):
        by_kind.setdefault(kind, list(file_rows(base, kind))).append(row)
    try:
        joined = with_rows(base, {kind: tuple(found) for kind, found in by_kind.items()})
        joined.check_telephones()
        check_providers(joined.speech.provider)
        check(joined)
    except (ValueError, SettingsError, SoftswitchError) as error:
        return base, str(error)
    return joined, ""
