"""Parser of the entries of `[auth] api_keys`."""

from typing import Literal, get_args

import msgspec

Scope = Literal["call", "admin", "rooms", "supervise"]
"""Permission of a key or token."""

ALL_SCOPES: frozenset[Scope] = frozenset(get_args(Scope))
"""All scopes, which a key without scopes has."""


class ApiKey(msgspec.Struct, frozen=True):
    """An API key, its name in logs and limits, and its scopes."""

    name: str
    key: str
    scopes: frozenset[Scope]

    def __repr__(self) -> str:
        """Return a text without the key itself."""
        return f"ApiKey(name={self.name!r}, scopes={sorted(self.scopes)})"


def parse_api_key(entry: str, position: int = 1) -> ApiKey:
    """Parse `key`, `name:key` or `name:key:scope+scope`.

    Args:
        entry: text of the settings.
        position: position in the list, from 1; names a key without a name (`key-1`).

    Raises:
        ValueError: a part is empty, there are too many parts, or a scope is unknown; the error never
        contains the key.
    """
    parts = entry.strip().split(":")
    if len(parts) > 3:
        raise ValueError(f"entry {position} has {len(parts)} parts; write name:key:scopes at most")
    if not all(parts):
        raise ValueError(f"entry {position} has an empty part")
    if len(parts) == 1:
        return ApiKey(f"key-{position}", parts[0], ALL_SCOPES)
    if len(parts) == 2:
        return ApiKey(parts[0], parts[1], ALL_SCOPES)
    scopes = frozenset(parts[2].split("+"))
    if unknown := sorted(scopes - ALL_SCOPES):
        raise ValueError(
            f"entry {position} has the unknown scope {unknown[0]!r}, known are {sorted(ALL_SCOPES)}"
        )
    return ApiKey(parts[0], parts[1], frozenset(scope for scope in ALL_SCOPES if scope in scopes))
