"""A key of `/admin/keys`: scopes, account, end and limits; the key itself is kept as a hash."""

import datetime as dt
import hashlib

from softswitch.settings.api_key import ALL_SCOPES, Scope
from softswitch.settings.section import Count, Section
from softswitch.settings.telephones import check_name


class AccessKey(Section, frozen=True):
    """A key that clients present; see docs/guides/administration.md."""

    name: str
    """Name in logs, limits and lists."""
    scopes: tuple[Scope, ...] = ("call",)
    """Scopes: call, admin, rooms."""
    account: str = ""
    """Account that its calls and rooms belong to. Empty: its name."""
    expires: str = ""
    """Time after which it is not valid, RFC 3339 with a time zone. Empty: never."""
    calls: Count = 0
    """Most simultaneous calls of its account. 0: [limits] calls_per_key."""

    def __post_init__(self) -> None:
        """Check name, scopes and time."""
        check_name(self.name)
        if not self.scopes:
            raise ValueError(f"scopes must name at least one of {', '.join(sorted(ALL_SCOPES))}")
        self.expires_at()

    def expires_at(self) -> float | None:
        """Return the end in epoch seconds; None: never."""
        if not self.expires:
            return None
        try:
            end = dt.datetime.fromisoformat(self.expires)
        except ValueError:
            end = None
        if end is None or end.tzinfo is None:
            raise ValueError(f"expires: {self.expires!r} must be like 2027-01-31T12:00:00Z")
        return end.timestamp()


class HashedKey(Section, frozen=True):
    """A key as it is recognised."""

    terms: AccessKey
    digest: str
    """SHA-256 of the key, hexadecimal."""


def hash_key(key: str) -> str:
    """Return the hash under which a key is kept. Keys are random, so that no slow hash is needed."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
