"""Replaces: the dialog that another call takes over (RFC 3891)."""

from softswitch.sip.grammar import MalformedError, split_parameters
from softswitch.sip.happenings import Replaces


def read_replaces(lines: list[str]) -> Replaces | None:
    """Read a Replaces header, None where it is malformed or comes twice."""
    if len(lines) != 1:
        return None
    call_id, semicolon, rest = lines[0].partition(";")
    try:
        parameters = split_parameters(semicolon + rest, "Replaces")
    except MalformedError:
        return None
    to_tag, from_tag = parameters.get("to-tag"), parameters.get("from-tag")
    if not call_id.strip() or to_tag is None or from_tag is None:
        return None
    # RFC 2543 peers have no tag, which RFC 3891 section 6.1 writes as "0".
    return Replaces(
        call_id.strip(),
        "" if to_tag == "0" else to_tag,
        "" if from_tag == "0" else from_tag,
        "early-only" in parameters,
    )


def write_replaces(call_id: str, to_tag: str, from_tag: str) -> str:
    """Write a Replaces header for the dialog of another far end, as that far end sees it."""
    return f"{call_id};to-tag={to_tag or '0'};from-tag={from_tag or '0'}"
