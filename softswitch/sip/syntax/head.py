"""Identifiers of transactions and dialogs, read once from each message."""

from typing import NamedTuple

from softswitch.sip.syntax.message import Request, Response

MAGIC = "z9hG4bK"
"""Prefix of RFC 3261 branches; a branch without it does not identify a transaction (section 17.2.3)."""


class Head(NamedTuple):
    """Call-ID, tags, CSeq and topmost Via."""

    call_id: str
    from_tag: str
    to_tag: str
    sequence: int
    method: str
    """Method in CSeq, for a response that of its request."""
    branch: str
    sent_by: str
    """Host and port of the topmost Via."""


def read_head(message: Request | Response) -> Head:
    """Return the identifiers of a message that `message.parse` returned."""
    known: Head | None = message.identity
    if known is not None:
        return known
    via, cseq = message.top_via, message.cseq
    head = Head(
        message.call_id,
        message.from_address.parameters.get("tag") or "",
        message.to_address.parameters.get("tag") or "",
        cseq.sequence,
        cseq.method,
        via.parameters.get("branch") or "",
        f"{via.host.lower()}:{via.port or ''}",
    )
    if message.is_received:
        # Only received and rport are written into its Via later, which are not read here.
        message.identity = head
    return head


def is_rfc2543(request: Request) -> bool:
    """Return whether the sender of a request follows RFC 2543: its branch lacks the cookie of RFC 3261.

    Such an INVITE needs no Contact; requests to its sender then go to its From (RFC 2543 section 6.13).
    """
    return not _is_unique(request.top_via.parameters.get("branch") or "")


def _is_unique(branch: str) -> bool:
    """Return whether a branch is unique for each transaction (section 8.1.1.7)."""
    return branch.startswith(MAGIC) and len(branch) > len(MAGIC)


def client_key(head: Head) -> str:
    """Return the key of the client transaction of a request or its response (section 17.1.3)."""
    return f"{head.branch} {head.method}"


def server_key(head: Head, request: Request, method: str = "") -> str:
    """Return the key of the server transaction of a request (section 17.2.3).

    Args:
        head: Identifiers of the request.
        request: The request.
        method: Method of the transaction, if not the request's own: INVITE for an ACK or a CANCEL.
    """
    method = method or head.method
    if _is_unique(head.branch):
        return f"{head.branch} {head.sent_by} {method}"
    return f"{request.uri} {head.from_tag} {head.call_id} {head.sequence} {request.top_via} {method}"


def merge_key(head: Head, method: str = "") -> str:
    """Return the key that copies of a request share when they came by different paths (section 8.2.2.2)."""
    return f"{head.call_id} {head.from_tag} {head.sequence} {method or head.method}"
