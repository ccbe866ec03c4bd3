"""Say what a store keeps and what it promises, whatever it is made of.

The promise to a call: no write ever raises into it or makes it wait. Each is taken into a bounded queue and
answered by a future that turns True (kept) or False (lost, and counted); nobody has to look at it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

OnHealth = Callable[[bool], None]
"""Told, on the loop, when writing stops working (False) and when it works again (True)."""


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One call, from its beginning on; saved again when more is known. Its key is `id` with `created_at`."""

    id: str
    """Session id. A client may use one again once its call is over."""
    kind: str
    """How it came: websocket, webrtc, sip."""
    created_at: int
    """Wall-clock time of its beginning, epoch milliseconds; so are all times here."""
    caller: str = ""
    """Who called."""
    callee: str = ""
    """Who was called."""
    answered_at: int | None = None
    """When it was answered."""
    ended_at: int | None = None
    """When it ended; None while it runs, or where a crash cut it off."""
    reason: str = ""
    """Why it ended (the reason of the hangup event)."""
    initiator: str = ""
    """Who ended it."""
    duration_ms: int = 0
    """From answer to end."""
    codec: str = ""
    """Codec of its audio."""
    recording: str = ""
    """Name of its recording."""
    option_json: str = "{}"
    """Its option, secrets masked, as JSON."""
    statistics_json: str = "{}"
    """Figures of its media, as JSON."""
    direction: str = "inbound"
    """inbound: the party came to us; outbound: we called it."""
    trunk: str = ""
    """Trunk it came or went over."""
    user: str = ""
    """Registered user it came from."""
    tag: str = ""
    """What an application wrote on it."""
    account: str = ""
    """Name of the key or token it was made with."""
    code: int = 0
    """SIP code of its refusal."""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One finished recording."""

    name: str
    """Name of its file, below the folder of recordings."""
    call_id: str
    """The call it is of."""
    size: int
    """Bytes."""
    duration_ms: int
    """Length."""
    created_at: int
    """When it began, epoch milliseconds."""
    container: str
    """Kind of file: wav, ogg."""


class WebhookRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A URL that is told of the calls of an account."""

    id: int
    """Number, unique among all."""
    account: str
    """Name of the key that asked for it."""
    url: str
    """Where to post."""
    event_type: str
    """on-call or post-call."""
    created_at: int
    """When it was asked for, epoch milliseconds."""


class RoomRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One room, from its making on; saved again when it changes."""

    id: str
    """Its id."""
    name: str = ""
    """For people."""
    status: str = "created"
    """created, waiting, active, closed."""
    settings_json: str = "{}"
    """Its settings as the client gave them, as JSON."""
    created_at: int
    """When it was made, epoch milliseconds; so are all times here."""
    updated_at: int
    """When it changed last."""
    reason: str = ""
    """Why it was closed."""
    owner: str = ""
    """Name of the key or token it was made with."""


class ParticipantRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One stay of somebody in a room."""

    id: str
    """Its id."""
    room_id: str
    """Where."""
    agent_id: str
    """Who."""
    status: str
    """connecting, connected, disconnected, left."""
    metadata_json: str = "{}"
    """What the client said of itself, as JSON."""
    joined_at: int
    """When it came."""
    left_at: int | None = None
    """When it went."""
    reason: str = ""
    """Why it went."""


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one stay of somebody in a room."""

    id: str
    """Its id."""
    room_id: str
    """Where."""
    participant_id: str
    """Whose."""
    start_time: int
    """Its beginning."""
    end_time: int | None = None
    """Its end."""
    status: str = "active"
    """active, completed; interrupted where the switch went down meanwhile."""
    stats_json: str = "{}"
    """Figures of its media, as JSON."""


class NewRecording(msgspec.Struct, frozen=True):
    """A place to record to: an empty file that is there already and belongs to the caller."""

    name: str
    """Its name, for `save_recording`."""
    path: Path
    """The file itself."""


class Dump(msgspec.Struct, frozen=True, kw_only=True):
    """The commands and events of one call, as JSON lines."""

    call_id: str
    """The call it is of."""
    size: int
    """Bytes."""
    modified_at: int
    """When the last line came, epoch milliseconds."""


class Swept(msgspec.Struct, frozen=True):
    """What a sweep removed."""

    recordings: int
    """Recordings deleted."""
    dumps: int
    """Dumps deleted."""


@dataclass(slots=True)
class Counters:
    """What became of the writes."""

    rows_written: int = 0
    """Records kept."""
    rows_lost: int = 0
    """Records lost because the database failed."""
    lines_written: int = 0
    """Dump lines kept."""
    lines_lost: int = 0
    """Dump lines lost: beyond a bound of size, quota or disk, or writing failed."""
    queue_full: int = 0
    """Writes lost because too many were waiting (or came after the end)."""
    recordings_refused: int = 0
    """Recordings that found no room."""


class Store(Protocol):
    """Keep calls, recordings and dumps."""

    healthy: bool
    """Whether the last writes were kept."""
    counters: Counters

    async def start(self) -> None:
        """Open it; raises `UnavailableError` with the reason."""

    async def close(self) -> None:
        """Write what is waiting, then close."""

    def save_call(self, record: CallRecord) -> asyncio.Future[bool]:
        """Keep a call, or replace what was kept of it."""

    async def calls(self, limit: int = 50, offset: int = 0) -> list[CallRecord]:
        """List calls, the newest first."""

    async def call(self, call_id: str) -> CallRecord | None:
        """Find the newest call with an id."""

    def save_webhook(self, webhook: WebhookRecord) -> asyncio.Future[bool]:
        """Keep a webhook."""

    def delete_webhook(self, number: int) -> asyncio.Future[bool]:
        """Forget a webhook."""

    async def webhooks(self) -> list[WebhookRecord]:
        """List all webhooks, the oldest first."""

    def save_room(self, room: RoomRecord) -> asyncio.Future[bool]:
        """Keep a room, or replace what was kept of it."""

    def save_participant(
        self, participant: ParticipantRecord, session: SessionRecord
    ) -> asyncio.Future[bool]:
        """Keep a stay of somebody and its session, or replace what was kept of them."""

    async def settled(self) -> None:
        """Wait until what was handed over so far is written, but not for long."""

    async def rooms(self, limit: int = 1000, offset: int = 0) -> list[RoomRecord]:
        """List rooms, the newest first."""

    async def session(self, session_id: str) -> SessionRecord | None:
        """Find a session."""

    async def sessions(self, room_id: str = "", limit: int = 50, offset: int = 0) -> list[SessionRecord]:
        """List sessions, of one room where one is named, the newest first."""

    async def count_sessions(self, room_id: str = "") -> int:
        """Count sessions, of one room where one is named."""

    async def new_recording(self, call_id: str, wish: str = "", container: str = "wav") -> NewRecording:
        """Make room for a recording; raises `NotNowError` where there is none."""

    def save_recording(self, recording: Recording) -> asyncio.Future[bool]:
        """Keep what is known of a finished recording."""

    async def recordings(self, limit: int = 50, offset: int = 0) -> list[Recording]:
        """List recordings, the newest first."""

    async def recording_path(self, name: str) -> Path | None:
        """Find the file of a recording; None where there is none, or the name is not one of ours."""

    async def open_recording(self, name: str) -> BinaryIO | None:
        """Open a recording for reading; the caller closes it."""

    async def delete_recording(self, name: str) -> bool:
        """Delete a recording; False where there is none."""

    def dump(self, call_id: str, line: str) -> bool:
        """Append a line (without its end) to the dump of a call; False when it is lost already."""

    async def dumps(self, limit: int = 50, offset: int = 0) -> list[Dump]:
        """List dumps, the newest first."""

    async def dump_path(self, call_id: str) -> Path | None:
        """Find the file of a dump."""

    async def delete_dump(self, call_id: str) -> bool:
        """Delete a dump; False where there is none."""

    async def sweep(self, now_ms: int) -> Swept:
        """Delete what has outlived its time; `now_ms` is the wall clock in epoch milliseconds."""
