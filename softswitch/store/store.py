"""Interface of stores, and the records that they keep.

Writes neither raise nor wait. They go into a bounded queue, and each returns a future that becomes True
(stored, or kept until the database is back) or False (lost and counted); callers may ignore it.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

import msgspec

from softswitch.store.queries import CallQuery, RecordingQuery

OnHealth = Callable[[bool], None]
"""Called on the loop with False when writing begins to fail, and with True when it works again."""


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A call; saved at its beginning, at its answer and at its end. The key is `id` with `created_at`."""

    id: str
    """Session id. A client may use it again after the call has ended."""
    kind: str
    """Kind of its leg: websocket, webrtc, sip."""
    created_at: int
    """Time of its beginning; all times are in epoch milliseconds."""
    caller: str = ""
    """Caller."""
    callee: str = ""
    """Callee."""
    answered_at: int | None = None
    """Time of the answer."""
    ended_at: int | None = None
    """Time of its end; None while it runs."""
    reason: str = ""
    """Reason of the hangup event; `interrupted` if the switch crashed."""
    initiator: str = ""
    """Party that ended it."""
    duration_ms: int = 0
    """Milliseconds from answer to end."""
    codec: str = ""
    """Audio codec."""
    recording: str = ""
    """Name of the recording, "" for none."""
    option_json: str = "{}"
    """Option of the call as JSON, with masked secrets."""
    statistics_json: str = "{}"
    """Media statistics as JSON."""
    direction: str = "inbound"
    """inbound: the party called the switch; outbound: the switch called the party."""
    trunk: str = ""
    """Trunk of the call, "" for none."""
    user: str = ""
    """Registered user that called, "" for none."""
    tag: str = ""
    """Tag that an application set."""
    account: str = ""
    """Account that owns it, "" for the administrator."""
    code: int = 0
    """SIP code of its refusal, 0 for none."""
    answered_by: str = ""
    """human or machine, where that was detected."""
    transcript_json: str = ""
    """Its transcript (`softswitch.store.transcript`) as JSON, "" for none."""


Upload = Literal["", "waiting", "uploaded", "failed"]
"""Where the upload of a recording stands."""


class CallPart(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs to the record of a call and is read by itself. The key is the first three fields."""

    call_id: str
    """Id of its call."""
    created_at: int
    """Time of the call's beginning, in epoch milliseconds."""
    part: str
    """sip or quality (`softswitch.store.call_parts`)."""
    account: str
    """Account that owns the call, "" for the administrator."""
    body: str
    """Its content."""


class HourRow(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that began in one hour and ended alike."""

    hour: int
    """Hours since 1970."""
    failure: str
    """Reason of the end of calls that were not answered; empty for those that were."""
    calls: int
    setup_ms: int
    """Milliseconds from beginning to answer, of all these calls together."""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A finished recording."""

    name: str
    """File name in the folder of recordings."""
    call_id: str
    """Id of its call."""
    size: int
    """Bytes."""
    duration_ms: int
    """Milliseconds."""
    created_at: int
    """Time of its beginning, in epoch milliseconds."""
    container: str
    """File format: wav, ogg."""
    account: str = ""
    """Account of its call or room, "" for the administrator."""
    upload: Upload = ""
    """Where its upload stands; empty: none is wanted."""
    upload_url: str = ""
    """Where it was uploaded to."""


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """A deleted recording whose object in the storage of uploads is still to be deleted."""

    name: str
    """File name that it had."""
    account: str
    created_at: int
    """Time of its beginning, in epoch milliseconds."""
    url: str
    """Where it was uploaded to; empty: it is not known that it was, but it may have been."""
    tried_at: int
    """Time of its deletion here, or of the last try there, in epoch milliseconds."""


class WaitingMail(msgspec.Struct, frozen=True, kw_only=True):
    """A message of voicemail that is still to be sent by e-mail."""

    call_id: str
    """Id of the call that left it."""
    mailbox: str
    """User that it is for."""
    created_at: int
    """Time at which it was left, in epoch milliseconds."""
    tried_at: int
    """Time of the last try, in epoch milliseconds."""


class WebhookRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook for the calls of an account."""

    id: int
    """Unique number."""
    account: str
    """Account that created it."""
    url: str
    """URL to post to."""
    event_type: str
    """on-call or post-call."""
    created_at: int
    """Time of its creation, in epoch milliseconds."""


class EntryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A user, trunk, route, provider, webhook or key that was made while the switch ran."""

    kind: str
    """user, trunk, route, provider, webhook or key."""
    name: str
    """Name, unique within its kind."""
    body_json: str
    """Its fields as JSON, without secrets."""
    secrets: str
    """Its secrets: hashes as JSON, or sealed (`softswitch.store.seal`)."""
    created_at: int
    """Time of its creation; all times are in epoch milliseconds."""
    updated_at: int
    """Time of its last change."""


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A change of users, trunks, routes, providers, webhooks or keys."""

    id: str
    """Unique; records of one time are ordered by it."""
    created_at: int
    """Time of the change, in epoch milliseconds."""
    who: str
    """Name of the key or subject of the token."""
    address: str
    """Address of the client."""
    action: str
    """create, change, delete, import or reload."""
    kind: str
    """Kind of the entry."""
    name: str
    """Name of the entry."""
    before_json: str
    """The entry before, without secrets; empty where it is new."""
    after_json: str
    """The entry afterwards, without secrets; empty where it was deleted."""


class RoomRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A room; saved at its creation and again after changes."""

    id: str
    """Id."""
    name: str = ""
    """Display name."""
    status: str = "created"
    """created, waiting, active, closed."""
    settings_json: str = "{}"
    """Settings from the client, as JSON."""
    created_at: int
    """Time of its creation; all times are in epoch milliseconds."""
    updated_at: int
    """Time of its last change."""
    reason: str = ""
    """Reason of its closure."""
    owner: str = ""
    """Account that owns it, "" for the administrator."""


class ParticipantRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A participant's stay in a room."""

    id: str
    """Id."""
    room_id: str
    """Id of the room."""
    agent_id: str
    """Id of the agent."""
    status: str
    """connecting, connected, disconnected, left."""
    metadata_json: str = "{}"
    """Metadata from the client, as JSON."""
    joined_at: int
    """Time of the join."""
    left_at: int | None = None
    """Time of the departure."""
    reason: str = ""
    """Reason of the departure."""


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Media session of a participant's stay in a room."""

    id: str
    """Id."""
    room_id: str
    """Id of the room."""
    participant_id: str
    """Id of the participant."""
    start_time: int
    """Time of its beginning."""
    end_time: int | None = None
    """Time of its end."""
    status: str = "active"
    """active, completed, or interrupted (by a crash of the switch)."""
    stats_json: str = "{}"
    """Media statistics as JSON."""
    account: str = ""
    """Account of its room, "" for the administrator."""


class NewRecording(msgspec.Struct, frozen=True):
    """An empty file for a recording, which the caller writes."""

    name: str
    """Name, for `save_recording`."""
    path: Path
    """Path of the file."""


class Dump(msgspec.Struct, frozen=True, kw_only=True):
    """Commands and events of a call, as JSON lines."""

    call_id: str
    """Id of its call."""
    size: int
    """Bytes."""
    modified_at: int
    """Time of the last line, in epoch milliseconds."""


class Swept(msgspec.Struct, frozen=True):
    """Result of a sweep."""

    recordings: int
    """Recordings deleted."""
    dumps: int
    """Dumps deleted."""


class Forgotten(msgspec.Struct, frozen=True, rename="camel"):
    """What was deleted of an account."""

    recordings: int
    """Recordings deleted."""
    dumps: int
    """Dumps deleted."""
    transcripts: int
    """Transcripts deleted."""
    traces: int = 0
    """SIP traces deleted."""
    objects: int = 0
    """Uploaded recordings whose objects are being deleted from the storage."""
    objects_left: int = 0
    """Uploaded recordings whose objects stay there: the settings name no storage, or want no deletion."""


@dataclass(slots=True)
class Counters:
    """Counts of writes by result."""

    rows_written: int = 0
    """Records stored."""
    rows_spooled: int = 0
    """Records kept until the database is back."""
    rows_lost: int = 0
    """Records lost: they were invalid, or the database failed and the spool was full."""
    lines_written: int = 0
    """Dump lines stored."""
    lines_lost: int = 0
    """Dump lines lost: a limit of size, quota or disk was reached, or writing failed."""
    queue_full: int = 0
    """Writes lost because the queue was full or the store closed."""
    recordings_refused: int = 0
    """Recordings refused because of quota or disk."""


class Records(Protocol):
    """Interface of what is read from the database of a store; each method raises `UnavailableError`."""

    async def calls(self, limit: int = 50, offset: int = 0, *, ended: bool = False) -> list[CallRecord]:
        """Return calls, optionally those only that have ended, the newest first."""

    async def call(self, call_id: str) -> CallRecord | None:
        """Return the newest call with an id, None if there is no such call."""

    async def hours(self, since_ms: int) -> list[HourRow]:
        """Return the ended calls since a time (epoch milliseconds) by hour and reason."""

    async def part(self, call_id: str, name: str) -> CallPart | None:
        """Return a part of the newest call with an id, None if there is no such part."""

    async def find_calls(self, query: CallQuery, limit: int, offset: int) -> tuple[list[CallRecord], int]:
        """Return the ended calls that are wanted, the newest first, and how many there are in all."""

    async def list_calls(self, query: CallQuery, limit: int) -> list[CallRecord]:
        """Return the first calls that are wanted, the newest first; `CallQuery.before` leads to the next."""

    async def find_recordings(
        self, query: RecordingQuery, limit: int, offset: int
    ) -> tuple[list[Recording], int]:
        """Return the recordings that are wanted, the newest first, and how many there are in all."""

    async def recordings(self, limit: int = 50, offset: int = 0) -> list[Recording]:
        """Return recordings, the newest first."""

    async def recordings_of(self, call_id: str, account: str) -> list[Recording]:
        """Return an account's recordings of one call or room, the newest first."""

    async def webhooks(self) -> list[WebhookRecord]:
        """Return all webhooks, the oldest first."""

    async def entries(self) -> list[EntryRecord]:
        """Return all entries, by kind and age."""

    async def audit(self, limit: int = 50, before: tuple[int, str] | None = None) -> list[AuditRecord]:
        """Return records of changes, the newest first, those before a time and id only."""

    async def waiting_uploads(self, limit: int, before_ms: int) -> list[Recording]:
        """Return recordings that began before a time and wait for their upload, the oldest first."""

    async def removals(self, limit: int, before_ms: int) -> list[Removal]:
        """Return objects to be deleted that were not tried since a time, the longest waiting first."""

    async def uploaded_to(self, name: str) -> str | None:
        """Return where a recording was uploaded to, empty if it was not; None: there is no such recording."""

    async def waiting_mails(self, limit: int) -> list[WaitingMail]:
        """Return e-mail that is to be sent, the one that was not tried for longest first."""

    async def rooms(self, limit: int = 1000, offset: int = 0) -> list[RoomRecord]:
        """Return rooms, the newest first."""

    async def session(self, session_id: str) -> SessionRecord | None:
        """Return a session, None if there is no such session."""

    async def sessions(
        self, room_id: str = "", limit: int = 50, offset: int = 0, account: str | None = None
    ) -> list[SessionRecord]:
        """Return sessions, optionally of one room and one account, the newest first."""

    async def count_sessions(self, room_id: str = "", account: str | None = None) -> int:
        """Return the number of sessions, optionally of one room and one account."""


class Store(Protocol):
    """Interface of a store: writing of records, and files of recordings and dumps; `records` reads."""

    counters: Counters

    @property
    def records(self) -> Records:
        """Queries of the database."""

    @property
    def healthy(self) -> bool:
        """Whether the last writes were stored."""

    async def start(self) -> None:
        """Open the store; raises `UnavailableError` with the reason."""

    async def close(self) -> None:
        """Write the queue, then close."""

    async def close_lost(self, host: str, live: Collection[str]) -> list[str]:
        """Close what the processes of a machine that are gone have left open; return their names."""

    async def close_node(self, name: str) -> None:
        """Close what a process that is gone has left open."""

    async def probe(self) -> bool:
        """Write the time, after which `healthy` is up to date and rows that were kept are written."""

    @property
    def spooled_rows(self) -> int:
        """Records that wait until the database is back."""

    @property
    def spooled_bytes(self) -> int:
        """Bytes of these records, on the disk and in memory."""

    def save_call(self, record: CallRecord) -> asyncio.Future[bool]:
        """Store a call, or replace its record."""

    def save_part(self, part: CallPart) -> asyncio.Future[bool]:
        """Store a part of a call's record, or replace it."""

    async def delete_part(self, call_id: str, name: str) -> bool:
        """Delete a part of all calls with an id; return False if there is no such part."""

    async def forget(self, account: str, before_ms: int) -> Forgotten:
        """Delete recordings, dumps, transcripts and traces of an account's calls that began before a time."""

    def save_webhook(self, webhook: WebhookRecord) -> asyncio.Future[bool]:
        """Store a webhook."""

    def delete_webhook(self, number: int) -> asyncio.Future[bool]:
        """Delete a webhook."""

    def save_entry(self, entry: EntryRecord) -> asyncio.Future[bool]:
        """Store an entry, or replace it; it is not kept while the database is away."""

    def delete_entry(self, kind: str, name: str) -> asyncio.Future[bool]:
        """Delete an entry; the deletion is not kept while the database is away."""

    def save_audit(self, record: AuditRecord) -> asyncio.Future[bool]:
        """Store a record of a change."""

    def save_room(self, room: RoomRecord) -> asyncio.Future[bool]:
        """Store a room, or replace its record."""

    def save_participant(
        self, participant: ParticipantRecord, session: SessionRecord
    ) -> asyncio.Future[bool]:
        """Store a participant and its session, or replace their records."""

    async def settled(self) -> None:
        """Wait until all writes queued so far are complete, for a limited time."""

    async def new_recording(self, call_id: str, requested: str = "", container: str = "wav") -> NewRecording:
        """Create an empty file for a recording; raises `NotNowError` if quota or disk is full."""

    def begin_recording(self, recording: Recording) -> asyncio.Future[bool]:
        """Store that a file is being written, so that the next start finds it if this process crashes.

        Its size and duration are ignored.
        """

    def save_recording(self, recording: Recording) -> asyncio.Future[bool]:
        """Store the record of a finished recording."""

    async def recording_path(self, name: str) -> Path | None:
        """Return the file of a recording, None if there is no such file or the name is not safe."""

    async def open_recording(self, name: str) -> BinaryIO | None:
        """Open a recording for reading; the caller closes it."""

    async def delete_recording(self, name: str) -> bool:
        """Delete a recording; return False if there is no such recording."""

    def set_upload(self, name: str, state: Upload, url: str = "") -> asyncio.Future[bool]:
        """Store where the upload of a recording stands."""

    def removal_tried(self, name: str, now_ms: int) -> asyncio.Future[bool]:
        """Note that an object could not be deleted, so that others are tried before it."""

    def removed(self, name: str) -> asyncio.Future[bool]:
        """Note that an object was deleted."""

    def remove_object(self, recording: Recording, url: str) -> asyncio.Future[bool]:
        """Have an object deleted whose recording is gone."""

    def save_mail(self, mail: WaitingMail) -> asyncio.Future[bool]:
        """Store an e-mail that is to be sent, or the time of its last try."""

    def delete_mail(self, call_id: str) -> asyncio.Future[bool]:
        """Note that an e-mail was sent, or is not to be sent any more."""

    async def drop_file(self, name: str) -> bool:
        """Delete the file of a recording and keep its record; return False if there is no such file."""

    def dump(self, call_id: str, line: str) -> bool:
        """Append a line (without line end) to the dump of a call; return False if it is already lost."""

    async def dumps(self, limit: int = 50, offset: int = 0) -> list[Dump]:
        """Return dumps, the newest first."""

    async def dump_path(self, call_id: str) -> Path | None:
        """Return the file of a dump, None if there is no such file."""

    async def delete_dump(self, call_id: str) -> bool:
        """Delete a dump; return False if there is no such dump."""

    async def sweep(self, now_ms: int) -> Swept:
        """Delete files and records beyond their retention; `now_ms` is the time in epoch milliseconds."""
