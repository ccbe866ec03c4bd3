"""The transcript of a call, as its record keeps it."""

from typing import Literal

import msgspec

Party = Literal["caller", "callee"]


class Turn(msgspec.Struct, frozen=True):
    """What one party said in one go."""

    party: Party
    start_ms: int
    """From the answer of the call, milliseconds."""
    end_ms: int
    text: str


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """A transcript, or that none could be made."""

    id: str
    status: Literal["completed", "failed"]
    made_at: int
    """Epoch milliseconds."""
    language: str = ""
    """As it was asked for."""
    turns: tuple[Turn, ...] = ()
    error: str = ""
    """Why the call has no transcript."""


def encode(transcript: Transcript) -> str:
    """Return a transcript as JSON."""
    return msgspec.json.encode(transcript).decode()


def decode(text: str) -> Transcript | None:
    """Return the transcript of a record; None for a record without one."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=Transcript)
    except msgspec.DecodeError:
        return None
