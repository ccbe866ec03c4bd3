"""The state of a dialog that pyVoIP lacks: both tags, route, sequence numbers (RFC 3261 §12)."""

from dataclasses import dataclass

from sipmessage import Address

from softswitch.legs.pyvoip import account
from softswitch.sip.syntax.message import Request, Response
from softswitch.sip.syntax.uri import parse_uri


@dataclass(slots=True)
class Dialog:
    """A dialog of the switch; used in the thread of its telephone only."""

    call_id: str
    local: str
    """Local address with its tag, as in From."""
    remote: str
    """The peer's address with its tag, as in To."""
    local_tag: str
    remote_tag: str
    target: str
    """Remote target URI."""
    route: tuple[str, ...]
    peer: account.Address
    """Address that the peer's messages come from; requests go there, so that they pass a NAT."""
    sequence: int = 0
    """CSeq number of the last local request."""
    remote_sequence: int = -1
    """CSeq number of the peer's last request."""

    def matches(self, request: Request) -> bool:
        """Tell whether a request belongs to this dialog: Call-ID and both tags."""
        return (request.call_id, tag_of(request.to_address), tag_of(request.from_address)) == (
            self.call_id,
            self.local_tag,
            self.remote_tag,
        )

    def begin(self, method: str, *, sequence: int | None = None) -> Request:
        """Make a request within the dialog, without Via and Contact.

        Args:
            method: method of the request.
            sequence: CSeq number of the INVITE for an ACK; None: the next one.
        """
        if sequence is None:
            self.sequence += 1
        request = Request(method, parse_uri(self.target))
        headers = request.headers
        headers.setlist("Route", list(self.route))
        headers.set("From", self.local)
        headers.set("To", self.remote)
        headers.set("Call-ID", self.call_id)
        headers.set("CSeq", f"{self.sequence if sequence is None else sequence} {method}")
        headers.set("Max-Forwards", "70")
        return request


def tag_of(address: Address) -> str:
    """Return the tag of a From or To; "" without one."""
    return address.parameters.get("tag") or ""


def as_callee(invite: Request, tag: str, source: account.Address) -> Dialog:
    """Return the dialog that an INVITE opens at its callee, which adds `tag` to To."""
    contact = invite.contact
    return Dialog(
        call_id=invite.call_id,
        local=f"{invite.headers['To']};tag={tag}",
        remote=invite.headers["From"],
        local_tag=tag,
        remote_tag=tag_of(invite.from_address),
        target=str(contact[0].uri) if contact else str(invite.from_address.uri),
        route=tuple(str(address) for address in invite.record_route),
        peer=source,
        remote_sequence=invite.cseq.sequence,
    )


def as_caller(invite: Request, response: Response, source: account.Address) -> Dialog:
    """Return the dialog that a response opens at the caller."""
    contact = response.contact
    return Dialog(
        call_id=invite.call_id,
        local=invite.headers["From"],
        remote=response.headers["To"],
        local_tag=tag_of(invite.from_address),
        remote_tag=tag_of(response.to_address),
        target=str(contact[0].uri) if contact else str(invite.uri),
        route=tuple(str(address) for address in reversed(response.record_route)),
        peer=source,
        sequence=invite.cseq.sequence,
    )
