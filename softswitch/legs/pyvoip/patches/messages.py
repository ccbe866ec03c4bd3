"""SIP messages rewritten in the dialect that pyVoIP parses; the original is kept."""

from pyVoIP import SIP

from softswitch.legs.pyvoip.account import Address
from softswitch.legs.pyvoip.dialog import tag_of
from softswitch.legs.pyvoip.terms import Terms
from softswitch.sip.syntax.message import Request, Response

_STATUSES = frozenset(status.value for status in SIP.SIPStatus)


class Message(SIP.SIPMessage):
    """A message parsed by `softswitch.sip` and rewritten in the dialect of pyVoIP.

    pyVoIP's own parser raises for compact and folded headers, for a header without text (`Supported:` of
    baresip), for unknown codes, and for most descriptions; pyVoIP then ignores the message, and the peer
    waits.
    """

    def __init__(self, wire: Request | Response, source: Address, terms: Terms | None = None) -> None:
        """Rewrite and parse a message.

        Args:
            wire: the message as received, or as sent.
            source: address that it came from.
            terms: terms of its description, if it has a relevant one.
        """
        self.wire = wire
        self.source = source
        self.terms = terms
        super().__init__(dialect(wire, terms))


def dialect(wire: Request | Response, terms: Terms | None = None) -> bytes:
    """Return the parts of a message that pyVoIP reads, in the one notation that it parses."""
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
    """Return a text without the characters at which pyVoIP splits."""
    return "".join(sign for sign in text or "" if sign.isascii() and (sign.isalnum() or sign in "-_.+*"))
