"""Track ids: how the wire names the participants of a call."""

from softswitch.call.vocabulary.values import Subject, machine_on, party_of

_MACHINE = "server-side-track"


def track_id(subject: Subject) -> str:
    """Return the track id of a participant: a party has that of its session."""
    if subject.kind == "party":  # Most events are about it.
        return subject.name
    if subject.kind == "machine":
        return f"{_MACHINE}-{subject.name}" if subject.name else _MACHINE
    return subject.kind


def read_track(name: str | None) -> Subject | None:
    """Return the participant that a track id names; None where none is given.

    Every id that names no layer of the machine may be that of a session: the call knows its own.
    """
    if name is None:
        return None
    if name == _MACHINE:
        return machine_on("")
    if name.startswith(f"{_MACHINE}-"):
        return machine_on(name.removeprefix(f"{_MACHINE}-"))
    return party_of(name)
