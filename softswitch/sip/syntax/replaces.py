"""The Replaces header: names the dialog that a new INVITE takes over (RFC 3891)."""

from dataclasses import dataclass

from softswitch.sip.syntax.grammar import MalformedError, split_parameters


@dataclass(frozen=True, slots=True)
class Replaces:
    """Identifier of the dialog that an INVITE replaces; the tags are named as its receiver sees them."""

    call_id: str
    to_tag: str
    """Tag of the user agent that receives the INVITE, "" for an RFC 2543 peer, which has no tag."""
    from_tag: str
    """Tag of the other user agent in the replaced dialog, "" for an RFC 2543 peer."""
    early_only: bool = False
    """Whether only a dialog that is not answered yet may be replaced (``early-only``)."""


def read_replaces(lines: list[str]) -> Replaces | None:
    """Read a Replaces header.

    Args:
        lines: All values of the header.

    Returns:
        The dialog it names, or None if the header is malformed or occurs more than once.
    """
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
    # RFC 2543 peers have no tag; RFC 3891 section 6.1 writes a missing tag as "0".
    return Replaces(
        call_id.strip(),
        "" if to_tag == "0" else to_tag,
        "" if from_tag == "0" else from_tag,
        "early-only" in parameters,
    )


def write_replaces(call_id: str, to_tag: str, from_tag: str) -> str:
    """Return the value of a Replaces header; `to_tag` is the tag of the user agent that receives it."""
    return f"{call_id};to-tag={to_tag or '0'};from-tag={from_tag or '0'}"
