"""Messages of a SIP trace: which dialog a message belongs to, and its text without secrets."""

import re

import msgspec

MASKED = "***"
"""What stands in the place of a secret."""
_HEAD = re.compile(rb"\r?\n\r?\n")
_CALL_ID = re.compile(rb"^(?:call-id|i)[ \t]*:[ \t]*([^\r\n]+)", re.IGNORECASE | re.MULTILINE)
_CSEQ = re.compile(rb"^cseq[ \t]*:[ \t]*[0-9]+[ \t]+([A-Z]+)", re.IGNORECASE | re.MULTILINE)
_OUTSIDE = frozenset({b"REGISTER", b"OPTIONS", b"SUBSCRIBE", b"PUBLISH"})
"""Methods that belong to no call."""

_SECRET_HEADER = re.compile(
    r"^((?:proxy-)?authorization[ \t]*:[ \t]*\w+|(?:(?:proxy-)?authentication-info|cookie"
    r"|[\w-]*(?:secret|password|api-?key|token)[\w-]*)[ \t]*:)"
    r"[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*",
    re.IGNORECASE | re.MULTILINE,
)
"""Headers whose values are secrets, with folded lines; of credentials the scheme is kept (RFC 3261 §22)."""
_PARAMETER = re.compile(
    r"([;?&](?:(?:access_?)?token|appid|(?:api_?)?key|secret|password|signature)=)[^;?&>\s\"]+", re.IGNORECASE
)
_PASSWORD = re.compile(r"(\bsips?:[^\s:@;<>\"]*:)[^\s@<>\"]+(?=@)", re.IGNORECASE)
"""Password in the user part of a URI (RFC 3261 §19.1.1)."""
_KEY = re.compile(
    r"^(a=crypto:[^\r\n]*?inline:|a=ice-pwd:|a=key-mgmt:|k=)[^\r\n|]+", re.IGNORECASE | re.MULTILINE
)
"""Keys of media: SDES (RFC 4568), ICE (RFC 8839), MIKEY (RFC 4567), and `k=` (RFC 4566)."""
_DIGITS = re.compile(r"^content-type[ \t]*:[ \t]*application/dtmf", re.IGNORECASE | re.MULTILINE)


class SipMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a trace."""

    at: int
    """When it was received or sent, epoch milliseconds."""
    sent: bool
    """Whether the switch sent it."""
    transport: str
    """udp, tcp, tls, ws or wss."""
    remote: str
    """host:port of the peer."""
    local: str
    """host:port of the switch, as the peer sees it."""
    text: str
    """The message without secrets."""


def call_id_of(data: bytes) -> bytes:
    """Return the Call-ID of a message of a call; empty for one that belongs to no call, or has none.

    Args:
        data: Octets of the message.
    """
    end = _HEAD.search(data)
    head = data[: end.start()] if end else data
    method = _CSEQ.search(head)
    if method is None or method[1].upper() in _OUTSIDE:
        return b""
    found = _CALL_ID.search(head)
    return found[1].strip() if found else b""


def masked(data: bytes) -> str:
    """Return the text of a message with its secrets replaced by stars.

    Secrets are credentials, passwords and tokens in URIs and headers, keys of media, and the digits of INFO
    requests, which may be those of a card.

    Args:
        data: Octets of the message.
    """
    text = data.decode("utf-8", "replace")
    head, blank, body = _split(text)
    if _DIGITS.search(head) and body:
        body = MASKED
    head = _SECRET_HEADER.sub(rf"\1 {MASKED}", head)
    for pattern in (_PARAMETER, _PASSWORD):
        head = pattern.sub(rf"\g<1>{MASKED}", head)
        body = pattern.sub(rf"\g<1>{MASKED}", body)
    body = _KEY.sub(rf"\g<1>{MASKED}", body)
    return head + blank + body


def _split(text: str) -> tuple[str, str, str]:
    """Return head, blank line and body."""
    found = re.search(r"\r?\n\r?\n", text)
    return (text[: found.start()], found[0], text[found.end() :]) if found else (text, "", "")
