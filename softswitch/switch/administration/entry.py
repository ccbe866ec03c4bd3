"""Entries: what was made while the switch ran, and how it is kept in the database."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from softswitch.errors import PeerError
from softswitch.settings import Sip
from softswitch.settings.section import Section
from softswitch.sip.security.digest import ALGORITHMS, ha1_of
from softswitch.store.seal import Seal
from softswitch.store.store import EntryRecord
from softswitch.switch.administration.kinds import KINDS, Kind


class InvalidEntry(PeerError):
    """A field of an entry is missing, unknown or wrong; the text names it."""

    code = 400


class Entry(msgspec.Struct, frozen=True):
    """A user, trunk, route, provider, webhook or key of the database."""

    kind: str
    name: str
    body: dict[str, Any]
    """Fields without secrets."""
    secrets: dict[str, Any]
    """Secrets: fields by name; of a user the hashes (`ha1`) and their `realm`; of a key its `digest`."""
    created_at: int
    """Epoch milliseconds."""
    updated_at: int
    """Epoch milliseconds."""

    def __repr__(self) -> str:
        """Return a text without secrets."""
        return f"Entry(kind={self.kind!r}, name={self.name!r}, body={self.body!r})"

    def row(self) -> Section:
        """Return the entry as the struct of its table.

        Raises:
            InvalidEntry: A field is missing, unknown or wrong.
        """
        kind = KINDS[self.kind]
        secret = {name: value for name, value in self.secrets.items() if name in kind.secrets}
        return checked(kind, {**self.body, **secret})


def checked(kind: Kind, body: Mapping[str, Any]) -> Section:
    """Return a body as the struct of its table.

    Raises:
        InvalidEntry: A field is missing, unknown or wrong.
    """
    known = kind.fields()
    for name in body:
        if name not in known:
            raise InvalidEntry(
                f"{name}: {kind.name} has no such field; known are {', '.join(known)}", field=name
            )
    try:
        return msgspec.convert(body, kind.struct)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at ")
        field = place.strip("`").removeprefix("$").lstrip(".")
        raise InvalidEntry(f"{field}: {text}" if field else text, field=field) from None


def split(kind: Kind, body: Mapping[str, Any], sip: Sip) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields of a checked body that are no secrets, and its secrets as they are kept.

    The password of a user becomes its hashes, by all algorithms, for the realm of the switch.
    """
    plain = {name: value for name, value in body.items() if name not in kind.secrets}
    secrets = {name: value for name, value in body.items() if name in kind.secrets and value}
    if kind.name == "user" and (password := secrets.pop("password", "")):
        name = str(body["name"])
        secrets["ha1"] = {one: ha1_of(one, name, sip.realm, password) for one in ALGORITHMS}
    if kind.name == "user":
        secrets["realm"] = sip.realm
    return plain, secrets


def record_of(entry: Entry, seal: Seal) -> EntryRecord:
    """Return an entry as it is stored: hashes as they are, other secrets sealed.

    Raises:
        UnavailableError: The key file cannot be used.
    """
    secrets = json.dumps(entry.secrets) if entry.secrets else ""
    if secrets and entry.kind not in _HASHED:
        secrets = seal.seal(secrets, f"{entry.kind}/{entry.name}")
    return EntryRecord(
        kind=entry.kind,
        name=entry.name,
        body_json=json.dumps(entry.body),
        secrets=secrets,
        created_at=entry.created_at,
        updated_at=entry.updated_at,
    )


def entry_of(record: EntryRecord, seal: Seal) -> Entry:
    """Return a stored entry.

    Raises:
        UnavailableError: Its secrets cannot be opened.
    """
    secrets = record.secrets
    if secrets and record.kind not in _HASHED:
        secrets = seal.open(secrets, f"{record.kind}/{record.name}")
    return Entry(
        record.kind,
        record.name,
        json.loads(record.body_json),
        json.loads(secrets) if secrets else {},
        record.created_at,
        record.updated_at,
    )


_HASHED = frozenset({"user", "key"})
"""Kinds whose secrets are hashes already."""
