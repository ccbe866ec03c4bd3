"""Refusal of INVITEs from their bytes, without parsing them, for a switch under overload.

Only plain messages are handled here: one value in the topmost Via, no folded lines, no header twice. All
others go through `softswitch.sip.syntax.message.parse` and are refused afterwards.
"""

import re
import zlib
from dataclasses import dataclass

from softswitch.sip.syntax.head import MAGIC

TAG = b"shed-"
"""Prefix of the To tags of these refusals, by which their ACKs are recognized without a table."""

_VIA = re.compile(
    rb"SIP/2\.0/[A-Za-z]+[ \t]+(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?[ \t]*(;.*)?"
)
_BRANCH = re.compile(rb";[ \t]*branch[ \t]*=[ \t]*([^;,\s]+)", re.IGNORECASE)
_RPORT = re.compile(rb";[ \t]*rport[ \t]*(?=;|$)", re.IGNORECASE)
_STAMPED = re.compile(rb";[ \t]*(?:maddr|received|rport[ \t]*=)", re.IGNORECASE)
"""Via parameters that only a receiver sets, or that redirect the response."""
_TAG = re.compile(rb";[ \t]*tag[ \t]*=", re.IGNORECASE)
_NAMES = {
    b"v": b"via", b"f": b"from", b"t": b"to", b"i": b"call-id",
}  # fmt: skip
_ONCE = (b"from", b"to", b"call-id", b"cseq")


@dataclass(frozen=True, slots=True)
class Glimpse:
    """Parts of an INVITE outside a dialog or of an ACK that a refusal needs."""

    method: bytes
    key: str
    """Key of the INVITE's server transaction, as `softswitch.sip.syntax.head.server_key` returns it."""
    vias: tuple[bytes, ...]
    """Values of all Via headers, the topmost first."""
    host: bytes
    """Sent-by of the topmost Via."""
    port: int
    """Port of the topmost Via, 0 where it names none."""
    has_rport: bool
    lines: dict[bytes, bytes]
    """From, To, Call-ID and CSeq, by name in lower case."""

    @property
    def is_ours(self) -> bool:
        """Whether it is the ACK of a response that :func:`refusal` made."""
        return self.method == b"ACK" and b";tag=" + TAG in self.lines[b"to"]


def glimpse(data: bytes) -> Glimpse | None:
    """Return the parts that a refusal needs; None unless `data` is a plain INVITE or ACK outside a dialog."""
    method = data[:7].partition(b" ")[0]
    if method not in (b"INVITE", b"ACK"):
        return None
    head, end, _ = data.partition(b"\r\n\r\n")
    if not end or len(head) > 8192:
        return None
    vias: list[bytes] = []
    lines: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if not colon or line[:1] in b" \t":
            return None
        name = name.rstrip().lower()
        name = _NAMES.get(name, name)
        if name == b"via":
            vias.append(value.strip())
        elif name in _ONCE:
            if name in lines:
                return None
            lines[name] = value.strip()
    return _look_closer(method, vias, lines)


def _look_closer(method: bytes, vias: list[bytes], lines: dict[bytes, bytes]) -> Glimpse | None:
    if not vias or len(lines) < len(_ONCE) or b"," in vias[0] or _STAMPED.search(vias[0]):
        return None
    top = _VIA.fullmatch(vias[0])
    branch = _BRANCH.search(vias[0])
    if top is None or branch is None or not branch[1].startswith(MAGIC.encode()):
        return None
    if method == b"INVITE" and _TAG.search(lines[b"to"].rpartition(b">")[2]):
        return None
    try:
        text = branch[1].decode("ascii")
        host = top[1].decode("ascii").lower()
    except UnicodeDecodeError:
        return None
    port = int(top[2] or 0)
    key = f"{text} {host}:{port or ''} INVITE"
    return Glimpse(method, key, tuple(vias), top[1], port, bool(_RPORT.search(vias[0])), lines)


def refusal(seen: Glimpse, source_host: str, source_port: int, retry_after_s: int) -> bytes:
    """Return the 503 to an INVITE (RFC 3261 section 21.5.4); copies of the INVITE get the same To tag.

    Args:
        seen: The INVITE.
        source_host: Source IP address, without brackets (RFC 3581).
        source_port: Source port.
        retry_after_s: Value of Retry-After in seconds.
    """
    top = seen.vias[0]
    if seen.has_rport:
        top = _RPORT.sub(b"", top) + b";received=%b;rport=%d" % (source_host.encode(), source_port)
    elif seen.host.strip(b"[]").lower() != source_host.lower().encode():
        top += b";received=%b" % source_host.encode()
    to = seen.lines[b"to"]
    tag = TAG + b"%08x" % zlib.crc32(seen.key.encode() + seen.lines[b"call-id"])
    return b"\r\n".join(
        (
            b"SIP/2.0 503 Service Unavailable",
            b"Via: " + top,
            *(b"Via: " + via for via in seen.vias[1:]),
            b"From: " + seen.lines[b"from"],
            b"To: " + to + b";tag=" + tag,
            b"Call-ID: " + seen.lines[b"call-id"],
            b"CSeq: " + seen.lines[b"cseq"],
            b"Retry-After: %d" % retry_after_s,
            b"Content-Length: 0",
            b"",
            b"",
        )
    )
