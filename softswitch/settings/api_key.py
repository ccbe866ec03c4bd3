"""Read the entries of `[auth] api_keys`."""

from typing import Literal, get_args

import msgspec

Scope = Literal["call", "admin", "rooms"]
"""What a key or a token may do."""

ALL_SCOPES: frozenset[Scope] = frozenset(get_args(Scope))
"""Every scope: what a key without scopes may do."""


class ApiKey(msgspec.Struct, frozen=True):
    """One key, the name it has in logs and limits, and what it may do."""

    name: str
    key: str
    scopes: frozenset[Scope]

    def __repr__(self) -> str:
        """Show everything but the key itself."""
        return f"ApiKey(name={self.name!r}, scopes={sorted(self.scopes)})"


def parse_api_key(entry: str, position: int = 1) -> ApiKey:
    """Read `key`, `name:key` or `name:key:scope+scope`.

    Args:
        entry: the text of the settings.
        position: its place in the list, from 1; it names a key that has no name (`key-1`).

    Raises:
        ValueError: if a part is empty, there are too many, or a scope is unknown; the text never has the key.
    """
    parts = entry.strip().split(":")
    if len(parts) > 3:
        raise ValueError(f"entry {position} has {len(parts)} parts, at most name:key:scopes are possible")
    if not all(parts):
        raise ValueError(f"entry {position} has an empty part")
    if len(parts) == 1:
        return ApiKey(f"key-{position}", parts[0], ALL_SCOPES)
    if len(parts) == 2:
        return ApiKey(parts[0], parts[1], ALL_SCOPES)
    wanted = frozenset(parts[2].split("+"))
    if unknown := sorted(wanted - ALL_SCOPES):
        raise ValueError(
            f"entry {position} has the unknown scope {unknown[0]!r}, known are {sorted(ALL_SCOPES)}"
        )
    return ApiKey(parts[0], parts[1], frozenset(scope for scope in ALL_SCOPES if scope in wanted))
