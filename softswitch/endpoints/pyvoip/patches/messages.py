"""Messages as pyVoIP can read them; what came is kept beside them."""

from pyVoIP import SIP

from softswitch.endpoints.pyvoip.account import Address
from softswitch.endpoints.pyvoip.dialog import tag_of
from softswitch.endpoints.pyvoip.terms import Terms
from softswitch.sip.message import Request, Response

_STATUSES = frozenset(status.value for status in SIP.SIPStatus)


class Message(SIP.SIPMessage):
    """A message that was read by `softswitch.sip` and written anew in the dialect of pyVoIP.

    pyVoIP's own parser raises for compact and folded headers, for a header without text (`Supported:` of
    baresip), for unknown codes, and for most descriptions; what it raises is swallowed, and the peer waits.
    """

    def __init__(self, wire: Request | Response, source: Address, terms: Terms | None = None) -> None:
        """Read a message.

        Args:
            wire: as it came, or as we wrote it.
            source: where it came from.
            terms: of its description, if it has one that matters.
        """
        self.wire = wire
        self.source = source
        self.terms = terms
        super().__init__(dialect(wire, terms))


def dialect(wire: Request | Response, terms: Terms | None = None) -> bytes:
    """Return the part of a message that pyVoIP looks at, in the one spelling that it understands."""
    if isinstance(wire, Response):
        code = wire.code if wire.code in _STATUSES else wire.code // 100 * 100
        lines = [f"SIP/2.0 {code} -"]
    else:
        lines = [f"{wire.method} sip:us SIP/2.0"]
    lines += [
        "Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK",
        f"From: <sip:{_plain(wire.from_address.uri.user)}@far>;tag={_plain(tag_of(wire.from_address))}",
        f"To: <sip:{_plain(wire.to_address.uri.user)}@us>;tag={_plain(tag_of(wire.to_address))}",
        f"Call-ID: {wire.call_id}",
        f"CSeq: {wire.cseq.sequence} {wire.cseq.method}",
        "Contact: <sip:far>",
    ]
    body = ""
    if terms is not None:
        body = terms.readable()
        lines.append("Content-Type: application/sdp")
    lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("utf-8", "replace")


def _plain(text: str | None) -> str:
    """Return the harmless part of a text; pyVoIP cuts at these signs wherever they stand."""
    return "".join(sign for sign in text or "" if sign.isascii() and (sign.isalnum() or sign in "-_.+*"))
