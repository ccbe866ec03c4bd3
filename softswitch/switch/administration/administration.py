"""Changes of users, trunks, routes, providers, webhooks and keys while the switch runs.

A change is checked as a whole with what it stands beside, stored, and then applied: :meth:`apply` is the one
place where what counts is replaced, and it takes plain values.
"""

import asyncio
import logging
import secrets as random
import time
import tomllib
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from softswitch.call.authority import Principal, Target, denial
from softswitch.errors import ForbiddenError, PeerError, RejectedError, SettingsError, UnavailableError
from softswitch.settings import AccessKey, HashedKey, Settings, hash_key, is_loopback
from softswitch.settings.section import Section
from softswitch.store.seal import Seal
from softswitch.store.store import AuditRecord, EntryRecord
from softswitch.switch.administration.compose import Check, Composed, compose, file_rows
from softswitch.switch.administration.entry import Entry, InvalidEntry, checked, entry_of, record_of, split
from softswitch.switch.administration.kinds import KINDS, Kind
from softswitch.switch.administration.reload import Reloaded, reloaded
from softswitch.switch.administration.toml import tables

logger = logging.getLogger(__name__)

MOST = 10_000
"""Most entries of one kind."""
KEY_PREFIX = "ssk_"
"""Begin of every key that is made here, so that scanners for leaked secrets know it."""
HIDDEN = "***"

_LOGGED_S = 2.0
"""Longest wait of the log for its last record, while the database is away."""


class NoEntry(PeerError):
    """There is no entry of that name."""

    code = 404


class Applied(Protocol):
    """A part of the switch that takes what counts, without touching what runs."""

    def __call__(self, settings: Settings, keys: Sequence[HashedKey], /) -> None:
        """Take settings and keys."""


class Records(Protocol):
    """The part of the store's queries that is needed here."""

    async def entries(self) -> list[EntryRecord]:
        """Return all entries."""

    async def audit(self, limit: int = 50, before: tuple[int, str] | None = None) -> list[AuditRecord]:
        """Return records of changes, the newest first."""


class Store(Protocol):
    """The part of the store that is needed here."""

    @property
    def records(self) -> Records:
        """Queries of the database."""

    def save_entry(self, entry: EntryRecord) -> asyncio.Future[bool]:
        """Store an entry."""

    def delete_entry(self, kind: str, name: str) -> asyncio.Future[bool]:
        """Delete an entry."""

    def save_audit(self, record: AuditRecord) -> asyncio.Future[bool]:
        """Store a record of a change."""


class Change(msgspec.Struct, frozen=True):
    """A change of one entry, as plain values: it can go to other processes as it is."""

    kind: str
    name: str
    entry: Entry | None
    """The entry afterwards; None: it is deleted."""


class Author(msgspec.Struct, frozen=True):
    """Who asks for a change."""

    by: Principal
    """Holder of the key or token; its name is empty where keys are off."""
    address: str = ""
    """Address of the client."""


class Shown(msgspec.Struct, frozen=True):
    """An entry, or a row of the settings file, as it is shown."""

    fields: dict[str, Any]
    """Fields of its table without secrets."""
    source: str
    """file or database."""
    fault: str = ""
    """Why it does not count; empty: it counts."""
    secrets: tuple[str, ...] = ()
    """Names of the secrets that it has."""
    created_at: int = 0
    """Epoch milliseconds; 0: it is in the file."""
    updated_at: int = 0
    """Epoch milliseconds; 0: it is in the file."""


class Imported(msgspec.Struct, frozen=True):
    """What an import did."""

    created: tuple[str, ...] = ()
    """Entries that were made, as kind/name."""
    changed: tuple[str, ...] = ()
    """Entries that were changed."""
    skipped: tuple[str, ...] = ()
    """Names that the settings file has, which counts."""


class Administration:
    """The entries of the database, beside the settings of the file."""

    def __init__(
        self,
        base: Settings,
        store: Store,
        seal: Seal,
        *,
        check: Check,
        load: Callable[[], Settings] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin with the settings of the file; :meth:`start` reads the entries.

        Args:
            base: Settings of the file.
            store: Keeps entries and the log of changes.
            seal: Seals secrets.
            check: Refuses settings that a part of the switch could not use.
            load: Reads the settings file again; None: it cannot be read again.
            clock: Epoch seconds.
        """
        self._base, self._store, self._seal, self._check, self._load = base, store, seal, check, load
        self._clock = clock
        self._entries: dict[tuple[str, str], Entry] = {}
        self._unreadable: dict[tuple[str, str], EntryRecord] = {}
        """Entries whose secrets cannot be opened."""
        self._composed = Composed(base, (), {})
        self._applied: list[Applied] = []
        self._logged: asyncio.Future[bool] | None = None
        """Whether the last record of a change is stored."""
        self.tell: Callable[[str], object] = lambda what: None
        """Tells the other processes of the switch of a change, which :meth:`told` takes there."""
        self._lock = asyncio.Lock()

    def on_applied(self, applied: Applied) -> None:
        """Add a part that takes what counts, now and after each change."""
        self._applied.append(applied)

    async def told(self, what: str) -> None:
        """Follow a change that another process of the switch has stored: `entries` or `reload`."""
        if what == "reload" and self._load is not None:
            async with self._lock:
                try:
                    _, base = reloaded(self._base, await asyncio.to_thread(self._load))
                except (SettingsError, ValueError) as error:
                    logger.error("the settings were not read again", extra={"reason": str(error)})
                else:
                    self.apply([], base)
        elif what == "entries":
            async with self._lock:
                await self.start()

    async def start(self) -> None:
        """Read the entries and apply them."""
        self._entries, self._unreadable = {}, {}
        for record in await self._store.records.entries():
            try:
                entry = entry_of(record, self._seal)
            except UnavailableError as error:
                self._unreadable[record.kind, record.name] = record
                logger.error("an entry does not count", extra={"entry": record.name, "reason": str(error)})
            else:
                self._entries[entry.kind, entry.name] = entry
        self.apply([])
        for (kind, name), fault in self._composed.faults.items():
            logger.warning("an entry does not count", extra={"entry": f"{kind}/{name}", "reason": fault})

    # --- what counts ----------------------------------------------------------------------

    def apply(self, changes: Sequence[Change], base: Settings | None = None) -> None:
        """Replace what counts, in all parts of this process; calls that run are not touched.

        Args:
            changes: What was stored.
            base: Other settings of the file; None: they stay.
        """
        self._base = base or self._base
        self._entries = self._after(changes)
        for change in changes:
            self._unreadable.pop((change.kind, change.name), None)
        self._composed = compose(self._base, self._entries.values(), self._check)
        for applied in self._applied:
            try:
                applied(self._composed.settings, self._composed.keys)
            except Exception:
                # The other parts take it all the same: half a change in one of them is told, not spread.
                logger.exception("a part of the switch could not take a change")

    @property
    def settings(self) -> Settings:
        """Return the settings that count now."""
        return self._composed.settings

    def _after(self, changes: Sequence[Change]) -> dict[tuple[str, str], Entry]:
        entries = dict(self._entries)
        for change in changes:
            if change.entry is None:
                entries.pop((change.kind, change.name), None)
            else:
                entries[change.kind, change.name] = change.entry
        return entries

    # --- reading --------------------------------------------------------------------------

    def list(self, kind: Kind) -> list[Shown]:
        """Return the rows of the file, then the entries, of a kind."""
        if kind.name == "key":
            found = [
                Shown({"name": key.name, "scopes": sorted(key.scopes), "account": key.name}, "file")
                for key in self._base.auth.keys()  # noqa: SIM118  (it is no mapping)
            ]
        else:
            found = [_of_row(kind, row) for row in file_rows(self._base, kind.name)]
        found += [self._shown(entry) for entry in self._entries.values() if entry.kind == kind.name]
        found += [self._closed(record) for record in self._unreadable.values() if record.kind == kind.name]
        return found

    def get(self, kind: Kind, name: str) -> Shown:
        """Return one of a kind; that of the file where both have one.

        Raises:
            NoEntry: No entry has that name.
        """
        for one in self.list(kind):
            if one.fields.get("name") == name:
                return one
        raise NoEntry(f"there is no {kind.name} named {name!r}")

    async def audit(self, limit: int, before: tuple[int, str] | None = None) -> Sequence[AuditRecord]:
        """Return the log of changes, the newest first, the last change included."""
        if self._logged is not None:
            await asyncio.wait((self._logged,), timeout=_LOGGED_S)
        return await self._store.records.audit(limit, before)

    def export(self) -> str:
        """Return users, trunks, routes, providers and webhooks as TOML, those of the file too; no secrets."""
        rows = [
            (kind.table, _without_defaults(kind, shown.fields))
            for kind in KINDS.values()
            if kind.table
            for shown in self.list(kind)
        ]
        return tables(rows)

    # --- changing -------------------------------------------------------------------------

    async def create(self, kind: Kind, body: Mapping[str, Any], by: Author) -> tuple[Shown, str]:
        """Make an entry; return it, and for a key the key itself, which nothing shows again.

        Raises:
            InvalidEntry: A field is wrong.
            RejectedError: There is one of that name, or it does not fit beside the others.
        """
        self._permit(by)
        async with self._lock:
            entry, key = self._new(kind, body)
            if entry.name in self._names(kind):
                raise RejectedError(
                    f"name: there is a {kind.name} named {entry.name!r} already", field="name"
                )
            if sum(known.kind == kind.name for known in self._entries.values()) >= MOST:
                raise RejectedError(f"at most {MOST} entries of a kind are kept")
            await self._carry_out([Change(kind.name, entry.name, entry)], by)
            return self._shown(entry), key

    async def change(self, kind: Kind, name: str, body: Mapping[str, Any], by: Author) -> Shown:
        """Change some fields of an entry; null sets a field back to its default.

        Raises:
            NoEntry: No entry has that name.
            InvalidEntry: A field is wrong.
            RejectedError: It is in the settings file, or it does not fit beside the others.
        """
        self._permit(by)
        async with self._lock:
            before = self._own(kind, name)
            entry = self._changed(kind, before, body)
            await self._carry_out([Change(kind.name, name, entry)], by)
            return self._shown(entry)

    async def delete(self, kind: Kind, name: str, by: Author) -> None:
        """Delete an entry.

        Raises:
            NoEntry: No entry has that name.
            RejectedError: It is in the settings file, or others need it.
        """
        self._permit(by)
        async with self._lock:
            if (kind.name, name) not in self._unreadable:
                self._own(kind, name)
            await self._carry_out([Change(kind.name, name, None)], by)

    async def take(self, text: str, by: Author) -> Imported:
        """Import the tables of a settings file, all or none; entries that are there are changed.

        Raises:
            InvalidEntry: The text is no TOML, or a field is wrong.
            RejectedError: They do not fit together.
        """
        self._permit(by)
        async with self._lock:
            changes, created, changed, skipped = [], [], [], []
            for kind, row in _rows_of(text):
                name = str(row.get("name", ""))
                known = self._entries.get((kind.name, name))
                if known is not None:
                    entry = self._changed(kind, known, _reset(kind, row))
                    changed.append(f"{kind.name}/{name}")
                elif name and name in self._names(kind):
                    skipped.append(f"{kind.name}/{name}")
                    continue
                else:
                    entry, _ = self._new(kind, row)
                    created.append(f"{kind.name}/{name}")
                changes.append(Change(kind.name, name, entry))
            await self._carry_out(changes, by, action="import")
            return Imported(tuple(created), tuple(changed), tuple(skipped))

    async def reload(self, by: Author) -> Reloaded:
        """Read the settings file again and apply what can be applied; the answer names what needs a restart.

        Raises:
            RejectedError: The file is wrong, or the switch was started without one; nothing has changed.
        """
        self._permit(by)
        async with self._lock:
            if self._load is None:
                raise RejectedError("the switch was not started with settings that can be read again")
            try:
                new = await asyncio.to_thread(self._load)
                result, base = reloaded(self._base, new)
                self._check(base)
            except (SettingsError, ValueError) as error:
                raise RejectedError(f"the settings are wrong, and nothing has changed: {error}") from None
            self.apply([], base)
            self.tell("reload")
            names = {"applied": list(result.applied), "restart": list(result.restart)}
            self._log(by, "reload", "settings", "", {}, names)
            logger.info("the settings were read again", extra=names)
            return result

    def _permit(self, by: Author) -> None:
        """Check the table of authority, where changes are carried out.

        Raises:
            ForbiddenError: The author may not change anything here.
        """
        if (denied := denial(by.by, "change users, trunks, routes, keys", Target(""))) is not None:
            raise ForbiddenError(denied.reason)

    # --- inside -----------------------------------------------------------------------------

    def _names(self, kind: Kind) -> set[object]:
        return {shown.fields.get("name") for shown in self.list(kind)}

    def _own(self, kind: Kind, name: str) -> Entry:
        entry = self._entries.get((kind.name, name))
        if entry is not None:
            return entry
        if self.get(kind, name).source == "file":
            raise RejectedError(f"{kind.name} {name!r} is in the settings file: change it there, then reload")
        raise RejectedError(
            f"the secrets of {kind.name} {name!r} cannot be opened: delete it and make it anew"
        )

    def _new(self, kind: Kind, body: Mapping[str, Any]) -> tuple[Entry, str]:
        if not body.get("name"):
            raise InvalidEntry("name: must not be empty", field="name")
        checked(kind, body)
        plain, secrets = split(kind, body, self._base.sip)
        key = ""
        if kind.name == "key":
            key = KEY_PREFIX + random.token_urlsafe(32)
            secrets["digest"] = hash_key(key)
        now = self._now()
        return Entry(kind.name, str(body["name"]), plain, secrets, now, now), key

    def _changed(self, kind: Kind, before: Entry, body: Mapping[str, Any]) -> Entry:
        if body.get("name", before.name) != before.name:
            raise InvalidEntry("name: a name stays as it is; make another entry", field="name")
        for name in body:
            if name not in kind.fields():
                checked(kind, {name: body[name]})
        kept = {name: value for name, value in before.secrets.items() if name not in body}
        if kind.name == "user" and (body.get("password") or body.get("ha1")):
            kept.pop("ha1", None)
        fields = {name: value for name, value in {**before.body, **body}.items() if value is not None}
        checked(kind, {**{name: kept[name] for name in kept if name in kind.secrets}, **fields})
        plain, secrets = split(kind, fields, self._base.sip)
        if kind.name == "user" and "ha1" not in secrets:
            secrets = {}  # hashes that are kept keep their realm
        return Entry(kind.name, before.name, plain, {**kept, **secrets}, before.created_at, self._now())

    async def _carry_out(self, changes: Sequence[Change], by: Author, *, action: str = "") -> None:
        """Check changes beside all others, store them, apply them, and log them."""
        after = compose(self._base, self._after(changes).values(), self._check)
        for fault in (after.faults[key] for key in after.faults.keys() - self._composed.faults.keys()):
            raise RejectedError(fault)
        self._check_access(changes, after)
        before = {
            (change.kind, change.name): self._entries.get((change.kind, change.name)) for change in changes
        }
        records = [record_of(change.entry, self._seal) if change.entry else None for change in changes]
        stored = [
            self._store.save_entry(record) if record else self._store.delete_entry(change.kind, change.name)
            for change, record in zip(changes, records, strict=True)
        ]
        if not all(await asyncio.gather(*stored)):
            raise UnavailableError("the change could not be stored")
        self.apply(changes)
        self.tell("entries")
        for change in changes:
            former = before[change.kind, change.name]
            done = action or ("delete" if change.entry is None else "change" if former else "create")
            self._log(by, done, change.kind, change.name, *_told(former, change.entry))

    def _check_access(self, changes: Sequence[Change], after: Composed) -> None:
        """Refuse a change of keys that no key could undo."""
        if not any(change.kind == "key" for change in changes) or not self._base.auth.is_open():
            return
        now = self._clock()
        admins = [
            key.terms
            for key in after.keys
            if "admin" in key.terms.scopes and (key.terms.expires_at() or now + 1) > now
        ]
        if admins:
            return
        if after.keys:
            raise RejectedError(
                "scopes: the switch has no other key of scope admin, and would be closed to you",
                field="scopes",
            )
        if not is_loopback(self._base.http.host):
            raise RejectedError("the last key cannot be deleted: other machines reach the switch")

    def _log(
        self,
        by: Author,
        action: str,
        kind: str,
        name: str,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
    ) -> None:
        self._logged = self._store.save_audit(
            AuditRecord(
                id=uuid.uuid4().hex,
                created_at=self._now(),
                who=by.by.name,
                address=by.address,
                action=action,
                kind=kind,
                name=name,
                before_json=msgspec.json.encode(before).decode() if before else "",
                after_json=msgspec.json.encode(after).decode() if after else "",
            )
        )

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _shown(self, entry: Entry) -> Shown:
        kind = KINDS[entry.kind]
        fault = self._composed.faults.get((entry.kind, entry.name), "")
        try:
            fields = _fields(kind, entry.row())
        except InvalidEntry:
            fields = {**entry.body, "name": entry.name}
        names = ("password",) if entry.kind == "user" else tuple(entry.secrets)
        secrets = () if entry.kind == "key" else names
        return Shown(fields, "database", fault, secrets, entry.created_at, entry.updated_at)

    def _closed(self, record: EntryRecord) -> Shown:
        fields = {**msgspec.json.decode(record.body_json), "name": record.name}
        fault = "its secrets cannot be opened with the key file"
        return Shown(fields, "database", fault, (), record.created_at, record.updated_at)


def _fields(kind: Kind, row: Section) -> dict[str, Any]:
    """Return the fields of a row without its secrets."""
    fields: dict[str, Any] = msgspec.to_builtins(row)
    return {name: value for name, value in fields.items() if name not in kind.secrets}


def _of_row(kind: Kind, row: Section) -> Shown:
    secrets = tuple(name for name in kind.secrets if getattr(row, name))
    return Shown(_fields(kind, row), "file", secrets=secrets)


def _without_defaults(kind: Kind, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that differ from their defaults."""
    defaults = {
        field.name: msgspec.to_builtins(field.default)
        for field in msgspec.structs.fields(kind.struct)
        if field.default is not msgspec.NODEFAULT
    }
    return {
        name: value
        for name, value in fields.items()
        if name == "name" or value not in (defaults.get(name), {})
    }


def _told(before: Entry | None, after: Entry | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an entry before and after a change, as the log has it: secrets only as changed or not."""
    told: list[dict[str, Any]] = []
    for entry, other in ((before, None), (after, before)):
        fields = dict(entry.body) if entry is not None else {}
        for name, value in entry.secrets.items() if entry is not None else ():
            new = other is not None and other.secrets.get(name) != value
            fields[name] = f"{HIDDEN} (changed)" if new else HIDDEN
        told.append(fields)
    return told[0], told[1]


def _rows_of(text: str) -> list[tuple[Kind, dict[str, Any]]]:
    """Return the rows of the tables of a settings file that may be entries.

    Raises:
        InvalidEntry: The text is no TOML, or has other tables.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidEntry(f"the body is no TOML: {error}") from None
    found: list[tuple[Kind, dict[str, Any]]] = []
    for kind in KINDS.values():
        if not kind.table:
            continue
        section, _, table = kind.table.rpartition(".")
        place = document.get(section, {}) if section else document
        rows = place.pop(table, []) if isinstance(place, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise InvalidEntry(f"[[{kind.table}]] is a list of tables: write it in double brackets")
        found += [(kind, row) for row in rows]
        if section and not place:
            document.pop(section, None)
    if document:
        known = ", ".join(f"[[{kind.table}]]" for kind in KINDS.values() if kind.table)
        raise InvalidEntry(f"{min(document)}: only {known} can be imported")
    return found


def _reset(kind: Kind, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with null for each field that it does not name, but for secrets, which are kept."""
    missing = (name for name in kind.fields() if name not in row and name not in kind.secrets)
    return {**dict.fromkeys(missing), **row}


def access_of(keys: Sequence[HashedKey]) -> dict[str, int]:
    """Return the most calls by account, of the accounts whose keys say it."""
    most: dict[str, int] = {}
    terms: AccessKey
    for terms in (key.terms for key in keys):
        if terms.calls:
            account = terms.account or terms.name
            most[account] = max(most.get(account, 0), terms.calls)
    return most
