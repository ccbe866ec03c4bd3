"""The mailboxes of users: each message is the record of the call that left it, with its recording.

The tag of that record says whose mailbox it is in, and whether the message was heard. Retention, quota and
deletion by account are those of all records and recordings.
"""

from pathlib import Path
from typing import Literal

import msgspec

from softswitch.call.kind import LegKind
from softswitch.store.queries import CallQuery, RecordingQuery
from softswitch.store.store import CallRecord, Store

Box = Literal["new", "heard"]
BOXES: tuple[Box, Box] = ("new", "heard")


PREFIX = "voicemail:"
"""Begin of the tags of all messages, and of the callee that leaves one."""


def tag_of(user: str, box: Box) -> str:
    """Return the tag of the records of a mailbox."""
    return f"{PREFIX}{user}:{box}"


class VoiceMessage(msgspec.Struct, frozen=True):
    """One message."""

    id: str
    """Id of the call that left it."""
    user: str
    caller: str
    account: str
    created_ms: int
    """Epoch milliseconds."""
    duration_ms: int
    heard: bool
    recording: str
    """Name of the recording."""


class Mailboxes:
    """The mailboxes in a store."""

    def __init__(self, store: Store, most: int) -> None:
        """Take the store.

        Args:
            store: Keeps records and recordings.
            most: Most messages that are listed.
        """
        self._store, self._most = store, most

    async def take(self, user: str, call_id: str, least_ms: int) -> VoiceMessage | None:
        """Make a call that has ended a message of a user; return it.

        Args:
            user: Name of the user.
            call_id: The call, whose record is stored.
            least_ms: A shorter recording is deleted, and is no message.
        """
        record = await self._store.records.call(call_id)
        if record is None or not _is_message(record):
            return None
        kept = msgspec.structs.replace(record, tag=tag_of(user, "new"))
        message = await self._message(kept)
        if message is None or message.duration_ms < least_ms:
            await self._store.delete_recording(record.recording)
            await self._store.save_call(msgspec.structs.replace(record, recording=""))
            return None
        await self._store.save_call(kept)
        return message

    async def list(self, user: str, account: str | None) -> list[VoiceMessage]:
        """Return the messages of a user, the newest first; those whose recording is gone are left out.

        Args:
            user: Name of the user; empty: of all users.
            account: Only those of this account; None: all.
        """
        begins = f"{PREFIX}{user}:" if user else PREFIX
        query = CallQuery(tag_begins=begins, account=account)
        records = await self._store.records.list_calls(query, self._most)
        messages = [await self._message(record) for record in records]
        return [message for message in messages if message is not None]

    async def count(self, user: str) -> tuple[int, int]:
        """Return how many messages of a user are new, and how many were heard."""
        messages = await self.list(user, None)
        new = sum(not one.heard for one in messages)
        return new, len(messages) - new

    async def get(self, user: str, message_id: str, account: str | None) -> VoiceMessage | None:
        """Return a message of a user, None where it is not there for the account."""
        record = await self._record(user, message_id, account)
        return None if record is None else await self._message(record)

    async def path(self, message: VoiceMessage) -> Path | None:
        """Return the file of a message."""
        return await self._store.recording_path(message.recording)

    async def mark(self, user: str, message_id: str, account: str | None, *, heard: bool) -> bool:
        """Note that a message was heard, or not; return False where it is not there for the account."""
        record = await self._record(user, message_id, account)
        if record is None:
            return False
        await self._store.save_call(
            msgspec.structs.replace(record, tag=tag_of(user, "heard" if heard else "new"))
        )
        return True

    async def delete(self, user: str, message_id: str, account: str | None) -> bool:
        """Delete a message with its recording; return False where it is not there for the account."""
        record = await self._record(user, message_id, account)
        if record is None:
            return False
        await self._store.delete_recording(record.recording)
        await self._store.save_call(msgspec.structs.replace(record, tag="", recording=""))
        return True

    async def _record(self, user: str, message_id: str, account: str | None) -> CallRecord | None:
        record = await self._store.records.call(message_id)
        if (
            record is None
            or record.tag not in {tag_of(user, box) for box in BOXES}
            or not _is_message(record)
        ):
            return None
        return record if account is None or record.account == account else None

    async def _message(self, record: CallRecord) -> VoiceMessage | None:
        user, _, box = record.tag.removeprefix(PREFIX).rpartition(":")
        if not _is_message(record) or await self._store.recording_path(record.recording) is None:
            return None
        recordings, _ = await self._store.records.find_recordings(RecordingQuery(call_id=record.id), 1, 0)
        return VoiceMessage(
            id=record.id,
            user=user,
            caller=record.caller,
            account=record.account,
            created_ms=record.created_at,
            duration_ms=recordings[0].duration_ms if recordings else 0,
            heard=box == "heard",
            recording=record.recording,
        )


def _is_message(record: CallRecord) -> bool:
    """Whether a record is of a call that left a message; applications may write the same tag on others."""
    return record.kind == LegKind.VOICEMAIL and bool(record.recording)
