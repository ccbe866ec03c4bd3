"""The settings of a room: reading the options in them, and merging a change."""

from collections.abc import Mapping
from typing import Any

from softswitch.room.model import RoomOptions
from softswitch.room.rejection import RoomReason, RoomRefused

CODECS = ("opus", "pcmu", "pcma", "g722")
MAX_NAME = 256


class Faults:
    """The faults of a request, by field."""

    def __init__(self) -> None:
        """Start without faults."""
        self.fields: dict[str, str] = {}

    def add(self, field: str, problem: str) -> None:
        """Note the fault of a field; the first one of a field counts."""
        self.fields.setdefault(field, problem)

    def check(self) -> None:
        """Raise RoomRefused naming every field that is wrong."""
        if self.fields:
            text = "; ".join(f"{field}: {problem}" for field, problem in self.fields.items())
            raise RoomRefused(RoomReason.INVALID, text)


def stored_options(settings: Mapping[str, Any], cap: int) -> RoomOptions:
    """Return the options of stored settings (a `ReadOptions`); what cannot be read any more is left out."""
    return read_room_options(settings, cap, Faults())


def read_room_options(settings: Mapping[str, Any], cap: int, faults: Faults) -> RoomOptions:
    """Return the options of settings; unknown keys have no meaning.

    Args:
        settings: The settings as the client gave them.
        cap: Most participants of any room.
        faults: Gets the fault of each field that cannot be read.
    """
    topology = _one_of(settings, "topology", ("p2p", "mix"), faults)
    most = settings.get("max_participants")
    if most is not None and (not _integer(most) or not 1 <= most <= cap):
        faults.add("settings.max_participants", f"must be an integer from 1 to {cap}")
        most = None
    voice = _table(settings, "voice", faults)
    recording = _table(settings, "recording", faults)
    bitrate = voice.get("bitrate", 0)
    if "bitrate" in voice and (not _integer(bitrate) or not 6000 <= bitrate <= 510_000):
        faults.add("settings.voice.bitrate", "must be an integer from 6000 to 510000")
        bitrate = 0
    record = recording.get("enabled", False)
    if not isinstance(record, bool):
        faults.add("settings.recording.enabled", "must be true or false")
        record = False
    if topology == "p2p" and record:
        faults.add(
            "settings.recording.enabled", "a p2p room cannot be recorded: its audio does not pass the switch"
        )
    if topology == "p2p" and most is not None and most > 2:
        faults.add("settings.max_participants", "a p2p room takes 2 participants")
    return RoomOptions(
        topology="p2p" if topology == "p2p" else "mix" if topology == "mix" else "",
        max_participants=most,
        codec=_one_of(voice, "codec", CODECS, faults, "settings.voice."),
        bitrate=bitrate,
        record=record,
        container="opus"
        if _one_of(recording, "format", ("wav", "opus"), faults, "settings.recording.") == "opus"
        else "wav",
    )


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return settings with a change merged in; ``null`` removes a key (RFC 7396)."""
    result = dict(old)
    for key, value in new.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            before = result.get(key)
            result[key] = merged(before if isinstance(before, dict) else {}, value)
        else:
            result[key] = value
    return result


def _table(settings: Mapping[str, Any], key: str, faults: Faults) -> dict[str, Any]:
    table = settings.get(key, {})
    if isinstance(table, dict):
        return table
    faults.add(f"settings.{key}", "must be an object")
    return {}


def _one_of(
    table: Mapping[str, Any], key: str, known: tuple[str, ...], faults: Faults, place: str = "settings."
) -> str:
    value = table.get(key, "")
    found = value.lower() if isinstance(value, str) else None
    if key not in table or found in known:
        return found or ""
    faults.add(f"{place}{key}", f"must be one of {', '.join(known)}")
    return ""


def _integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
