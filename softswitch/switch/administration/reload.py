"""A second reading of the settings file: what is applied while the switch runs, and what needs a restart."""

from typing import Any

import msgspec

from softswitch.settings import Settings, Trunk

_LIVE = frozenset({"auth", "user", "route"})
"""Sections and tables that are applied as a whole."""
_LIVE_KEYS = {
    "speech": frozenset({"provider"}),
    "webhook": frozenset({"url", "secret", "timeout_s", "tries", "queue", "account"}),
}
"""Keys that are applied, of sections that need a restart otherwise."""


class Reloaded(msgspec.Struct, frozen=True):
    """What a second reading has found."""

    applied: tuple[str, ...] = ()
    """What changed and is applied: `[section] key`, or a table."""
    restart: tuple[str, ...] = ()
    """What changed and needs a restart; until then the former value counts."""


def reloaded(before: Settings, after: Settings) -> tuple[Reloaded, Settings]:
    """Return what has changed, and the former settings with what can be applied.

    Args:
        before: Settings of the file as they count.
        after: Settings of the file as they were read now.
    """
    applied: list[str] = []
    restart: list[str] = []
    changes: dict[str, Any] = {}
    for section in Settings.__struct_fields__:
        old, new = getattr(before, section), getattr(after, section)
        if old == new:
            continue
        if section == "trunk":
            changes[section], fixed = _trunks(old, new)
            if changes[section] != old:
                applied.append("[[trunk]]")
            restart += [f'[[trunk]] {name}: engine = "pyvoip"' for name in fixed]
        elif isinstance(new, tuple) and section in _LIVE:
            changes[section] = new
            applied.append(f"[[{section}]]")
        elif isinstance(new, tuple):
            restart.append(f"[[{section}]]")
        else:
            live = (
                frozenset(new.__struct_fields__) if section in _LIVE else _LIVE_KEYS.get(section, frozenset())
            )
            different = [key for key in new.__struct_fields__ if getattr(old, key) != getattr(new, key)]
            taken = {key: getattr(new, key) for key in different if key in live}
            if taken:
                changes[section] = msgspec.structs.replace(old, **taken)
            applied += [f"[{section}] {key}" for key in taken]
            restart += [f"[{section}] {key}" for key in different if key not in live]
    settings = msgspec.structs.replace(before, **changes)
    settings.check_bind()
    return Reloaded(tuple(applied), tuple(restart)), settings


def _trunks(old: tuple[Trunk, ...], new: tuple[Trunk, ...]) -> tuple[tuple[Trunk, ...], list[str]]:
    """Return the trunks that count: the new ones, but those of pyVoIP as before, and their names."""
    former = {trunk.name: trunk for trunk in old}
    found: list[Trunk] = []
    fixed: list[str] = []
    for trunk in new:
        before = former.pop(trunk.name, None)
        if trunk != before and "pyvoip" in (trunk.engine, before.engine if before is not None else ""):
            fixed.append(trunk.name)
            if before is not None:
                found.append(before)
        else:
            found.append(trunk)
    for trunk in former.values():
        if trunk.engine == "pyvoip":
            fixed.append(trunk.name)
            found.append(trunk)
    return tuple(found), fixed
