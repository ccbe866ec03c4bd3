"""What transactions and dialogs are told apart by, read from a message once."""

from dataclasses import dataclass

from softswitch.sip.message import Request, Response

MAGIC = "z9hG4bK"
"""Branches of RFC 3261 begin with it; others are an older element's and no key (section 17.2.3)."""


@dataclass(frozen=True, slots=True)
class Head:
    """Call-ID, tags, CSeq and topmost Via."""

    call_id: str
    from_tag: str
    to_tag: str
    sequence: int
    method: str
    """Of the CSeq, which is the request's own."""
    branch: str
    sent_by: str


def read_head(message: Request | Response) -> Head:
    """Read the head of a message that `message.parse` let through."""
    via, cseq = message.via[0], message.cseq
    return Head(
        call_id=message.call_id,
        from_tag=message.from_address.parameters.get("tag") or "",
        to_tag=message.to_address.parameters.get("tag") or "",
        sequence=cseq.sequence,
        method=cseq.method,
        branch=via.parameters.get("branch") or "",
        sent_by=f"{via.host.lower()}:{via.port or ''}",
    )


def client_key(head: Head) -> str:
    """Return the name of the client transaction that a response belongs to (section 17.1.3)."""
    return f"{head.branch} {head.method}"


def server_key(head: Head, request: Request, method: str = "") -> str:
    """Return the name of the server transaction that a request belongs to (section 17.2.3).

    Args:
        head: Of the request.
        request: The request.
        method: Of the transaction looked for in place of the request's own: INVITE for an ACK or a CANCEL.
    """
    method = method or head.method
    if head.branch.startswith(MAGIC) and len(head.branch) > len(MAGIC):
        return f"{head.branch} {head.sent_by} {method}"
    return f"{request.uri} {head.from_tag} {head.call_id} {head.sequence} {request.via[0]} {method}"


def merge_key(head: Head, method: str = "") -> str:
    """Return what two copies of one request share that came by different ways (section 8.2.2.2)."""
    return f"{head.call_id} {head.from_tag} {head.sequence} {method or head.method}"
