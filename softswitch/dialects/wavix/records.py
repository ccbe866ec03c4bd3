"""Records of calls and recordings in the words of Wavix: queries of clients, and the bodies of answers."""

import zlib
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from softswitch.dialects.wavix.call_status import Disposition, past_status
from softswitch.dialects.wavix.fields import InvalidError
from softswitch.dialects.wavix.rates import FREE, Rates
from softswitch.dialects.wavix.responses import Moment
from softswitch.protocol.instants import epoch_ms_of, rfc3339
from softswitch.store.queries import CallQuery, RecordingQuery
from softswitch.store.store import CallRecord, Recording
from softswitch.store.transcript import Transcript, decode

MOST_PER_PAGE: Final = 1000
_PER_PAGE: Final = 25
_UNANSWERED: Final = ("caller", "callee", "user_requested", "no_answer", "killed")
"""Reasons of the end of a call that was given up before its answer."""
_DIRECTIONS: Final = {"placed": "outbound", "received": "inbound"}


class Pagination(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a listing an answer has."""

    current_page: int
    per_page: int
    total: int
    total_pages: int


class Cdr(msgspec.Struct, frozen=True, kw_only=True):
    """The record of an ended call."""

    uuid: str
    call_id: Annotated[str, Meta(description="The same as uuid.")]
    date: Annotated[Moment, Meta(description="Beginning of the call.")]
    from_: str = msgspec.field(name="from")
    to: str
    direction: Literal["inbound", "outbound"]
    disposition: Literal["answered", "noanswer", "busy", "failed"]
    duration: Annotated[int, Meta(ge=0, description="Seconds from the answer to the end.")]
    destination: Annotated[str, Meta(description="Trunk or user that the call went to, else the callee.")]
    per_minute: Annotated[str, Meta(description="Price of a minute in US dollars.")]
    charge: Annotated[str, Meta(description="Price of the call in US dollars.")]
    sip_trunk: str | None = None
    forward_fee: str | None = None
    parent_uuid: str | None = None
    parent_call_id: str | None = None
    answered_by: str | None = None
    recording_url: str | None = None
    transcription: "TranscriptReference | None" = None


class TranscriptReference(msgspec.Struct, frozen=True, kw_only=True):
    """Where the transcript of a call is."""

    uuid: str
    url: str


class TranscriptTurn(msgspec.Struct, frozen=True, kw_only=True):
    """What one party said in one go."""

    type: Annotated[str, Meta(description="Number or name of the party.")]
    s: Annotated[int, Meta(description="Its beginning, milliseconds from the answer.")]
    e: Annotated[int, Meta(description="Its end.")]
    text: str


class OneTranscript(msgspec.Struct, frozen=True, kw_only=True):
    """The transcript of a call."""

    uuid: Annotated[str, Meta(description="Id of the transcript.")]
    call_uuid: str
    status: Literal["completed", "failed"]
    transcript: Annotated[dict[str, str], Meta(description="What each party said, by its number or name.")]
    turns: list[TranscriptTurn]
    language: str | None
    duration: Annotated[int, Meta(ge=0, description="Seconds from the answer to the end of the call.")]
    charge: Annotated[str, Meta(description="Price in US dollars: transcripts cost nothing.")]
    transcription_date: Moment
    call_date: Moment
    call_score: Annotated[str, Meta(description="Always empty: calls are not judged here.")] = ""
    call_summary: Annotated[str, Meta(description="Empty; of a failed transcript, why it failed.")] = ""
    success: bool = True


class ManyCdrs(msgspec.Struct, frozen=True, kw_only=True):
    """Records of calls, the newest first."""

    items: list[Cdr]
    pagination: Pagination


class OneRecording(msgspec.Struct, frozen=True, kw_only=True):
    """A recording of a call."""

    id: int
    call_uuid: str
    created_at: Moment
    duration: Annotated[int, Meta(ge=0, description="Seconds.")]
    from_: str = msgspec.field(name="from")
    to: str
    url: Annotated[str, Meta(description="Where its file is; it needs the same key.")]
    success: bool = True


class ManyRecordings(msgspec.Struct, frozen=True, kw_only=True):
    """Recordings, the newest first."""

    recordings: list[OneRecording]
    pagination: Pagination


class Page(msgspec.Struct, frozen=True):
    """A part of a listing."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        """Return how many entries stand before it."""
        return (self.number - 1) * self.size

    def of(self, total: int) -> Pagination:
        """Return the part for an answer; ``total`` is the number of all entries."""
        pages = -(-total // self.size)
        return Pagination(current_page=self.number, per_page=self.size, total=total, total_pages=pages)


# --- queries ------------------------------------------------------------------------------


class _Reader:
    """Reads the parameters of one query, and collects what is wrong."""

    def __init__(self, given: Mapping[str, object]) -> None:
        self._given = given
        self.errors: dict[str, str] = {}

    def text(self, name: str) -> str:
        value = self._given.get(name)
        return "" if value is None else str(value)

    def number(self, name: str, default: int, least: int, most: int) -> int:
        text = self.text(name) or str(default)
        if text.isdecimal() and least <= int(text) <= most:
            return int(text)
        self.errors[name] = f"Must be a number from {least} to {most}"
        return default

    def date_ms(self, name: str, *, required: bool = False, end: bool = False) -> int | None:
        """Return a date or a moment as epoch milliseconds; ``end``: a date means its end."""
        text = self.text(name)
        if not text:
            if required:
                self.errors[name] = "This field is required"
            return None
        try:
            return epoch_ms_of(text, end=end)
        except ValueError:
            self.errors[name] = "Must be a date such as 2026-01-15"
            return None

    def one_of(self, name: str, allowed: tuple[str, ...], *, required: bool = False) -> str:
        text = self.text(name)
        if (text or required) and text not in allowed:
            self.errors[name] = f"Must be one of {', '.join(allowed)}"
            return ""
        return text

    def page(self) -> Page:
        page = self.number("page", 1, 1, 10**6)
        return Page(page, self.number("per_page", _PER_PAGE, 1, MOST_PER_PAGE))

    def check(self) -> None:
        if self.errors:
            raise InvalidError(self.errors)


def read_calls_query(given: Mapping[str, object], account: str | None) -> tuple[CallQuery, Page]:
    """Return which calls a client wants.

    Args:
        given: Parameters of the request.
        account: Account whose calls it may see; None: those of all.

    Raises:
        InvalidError: Naming every parameter that is missing or wrong.
    """
    read = _Reader(given)
    kind = read.one_of("type", tuple(_DIRECTIONS), required=True)
    disposition = read.one_of("disposition", ("answered", "noanswer", "busy", "failed", "all"))
    since_ms = read.date_ms("from", required=True)
    until_ms = read.date_ms("to", required=True, end=True)
    if given.get("transcription") is not None:
        read.errors["transcription"] = "transcription is not built: calls have no transcriptions here"
    least_s = read.number("min_duration", 0, 0, 10**6)
    page = read.page()
    read.check()
    query = CallQuery(
        account=account,
        since_ms=since_ms,
        until_ms=until_ms,
        direction=_DIRECTIONS[kind],
        caller=read.text("from_search"),
        callee=read.text("to_search"),
        call_id=read.text("uuid"),
        trunk=read.text("sip_trunk"),
        least_ms=least_s * 1000,
    )
    return _of_disposition(query, disposition), page


def _of_disposition(query: CallQuery, disposition: str) -> CallQuery:
    match disposition:
        case "answered":
            return msgspec.structs.replace(query, answered=True)
        case "busy":
            return msgspec.structs.replace(query, answered=False, reasons=("busy",))
        case "noanswer":
            return msgspec.structs.replace(query, answered=False, reasons=_UNANSWERED)
        case "failed":
            return msgspec.structs.replace(query, answered=False, other_than=("busy", *_UNANSWERED))
        case _:
            return query


def read_recordings_query(given: Mapping[str, object], account: str | None) -> tuple[RecordingQuery, Page]:
    """Return which recordings a client wants; arguments and errors are those of `read_calls_query`."""
    read = _Reader(given)
    since_ms = read.date_ms("from_date")
    until_ms = read.date_ms("to_date", end=True)
    for name in ("from", "to", "sip_trunks"):
        if read.text(name):
            read.errors[name] = f"{name} is not built: recordings are found by from_date, to_date, call_uuid"
    page = read.page()
    read.check()
    query = RecordingQuery(
        account=account, since_ms=since_ms, until_ms=until_ms, call_id=read.text("call_uuid")
    )
    return query, page


# --- answers ------------------------------------------------------------------------------


def cdr(
    record: CallRecord,
    ended_at: int,
    rates: Rates,
    recordings_url: str,
    transcription: TranscriptReference | None = None,
) -> Cdr:
    """Return the record of a call.

    Args:
        record: The call.
        ended_at: When it ended, epoch milliseconds.
        rates: What a call costs.
        recordings_url: URL under which recordings are.
        transcription: Where its transcript is, if that is to be shown.
    """
    shown = past_status(record, ended_at).record(rates)
    disposition: Disposition = shown.disposition
    return Cdr(
        uuid=record.id,
        call_id=record.id,
        date=shown.date,
        from_=record.caller,
        to=record.callee,
        direction=shown.direction,
        disposition=disposition,
        duration=shown.duration,
        destination=record.trunk or record.user or record.callee,
        per_minute=shown.per_minute,
        charge=shown.charge,
        sip_trunk=record.trunk or None,
        recording_url=f"{recordings_url}/{record.id}" if record.recording else None,
        answered_by=shown.answered_by,
        transcription=transcription,
    )


def reference(record: CallRecord, cdrs_url: str) -> TranscriptReference | None:
    """Return where the transcript of a call is; None where it has none. `cdrs_url`: where records are."""
    transcript = decode(record.transcript_json)
    if transcript is None:
        return None
    return TranscriptReference(uuid=transcript.id, url=f"{cdrs_url}/{record.id}/transcription")


def shown_transcript(record: CallRecord, transcript: Transcript) -> OneTranscript:
    """Return the transcript of a call."""
    names = {"caller": record.caller or "caller", "callee": record.callee or "callee"}
    texts: dict[str, str] = {}
    for turn in transcript.turns:
        name = names[turn.party]
        texts[name] = f"{texts[name]} {turn.text}" if name in texts else turn.text
    return OneTranscript(
        uuid=transcript.id,
        call_uuid=record.id,
        status=transcript.status,
        transcript=texts,
        turns=[
            TranscriptTurn(type=names[turn.party], s=turn.start_ms, e=turn.end_ms, text=turn.text)
            for turn in transcript.turns
        ],
        language=transcript.language or None,
        duration=round(record.duration_ms / 1000),
        charge=FREE.price(0),
        transcription_date=rfc3339(transcript.made_at),
        call_date=rfc3339(record.created_at),
        call_summary=transcript.error,
    )


def recording_id(recording: Recording) -> int:
    """Return the number of a recording: its time, which finds it again, and a check of its name."""
    return recording.created_at * 1000 + zlib.crc32(recording.name.encode()) % 1000


def created_of(number: int) -> int:
    """Return when the recording of a number was made, epoch milliseconds."""
    return number // 1000


def shown_recording(recording: Recording, call: CallRecord | None, recordings_url: str) -> OneRecording:
    """Return a recording.

    Args:
        recording: The recording.
        call: Its call; None: the record of the call is gone.
        recordings_url: URL under which recordings are.
    """
    number = recording_id(recording)
    return OneRecording(
        id=number,
        call_uuid=recording.call_id,
        created_at=rfc3339(recording.created_at),
        duration=round(recording.duration_ms / 1000),
        from_=call.caller if call else "",
        to=call.callee if call else "",
        url=f"{recordings_url}/{number}/file",
    )
