"""An e-mail that brings a message of voicemail, as bytes; pure."""

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from urllib.parse import quote

from softswitch.switch.voicemail.mailboxes import VoiceMessage

MOST_ATTACHED = 10_000_000
"""Bytes of the longest sound that is attached; many servers take no larger messages (base64 adds a third)."""


def letter(
    message: VoiceMessage, *, sender: str, recipient: str, sound: bytes | None, page: str, now_ms: int
) -> bytes:
    """Return headers and body (RFC 5322).

    Args:
        message: The message of voicemail.
        sender: Address that it is from.
        recipient: Address of the user.
        sound: Its sound (WAV), to be attached; None: it is not attached.
        page: URL of the page of the switch, for a link; empty: no link.
        now_ms: Epoch milliseconds.
    """
    caller = "".join(one for one in message.caller if one.isprintable()) or "an unknown number"
    length = f"{message.duration_ms // 60_000}:{message.duration_ms // 1000 % 60:02d}"
    left = datetime.fromtimestamp(message.created_ms / 1000, UTC)
    made = EmailMessage(policy=SMTP)
    made["Subject"] = f"Voice message from {caller} ({length})"
    made["From"] = Address("Voicemail", addr_spec=sender)
    made["To"] = recipient
    made["Date"] = format_datetime(datetime.fromtimestamp(now_ms / 1000, UTC))
    # The same in each try: a reader that gets a message twice can tell.
    made["Message-ID"] = f"<{quote(message.id, safe='')}.voicemail@{sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answers by holiday notices
    lines = [f"{caller} has left a voice message of {length} on {left:%Y-%m-%d at %H:%M} UTC."]
    if page:
        lines += ["", f"Listen to it: {page}"]
    elif sound is None:
        lines += [
            "",
            "It is too long for an e-mail: listen to it on the page of the switch, or by telephone.",
        ]
    made.set_content("\n".join(lines) + "\n")
    if sound is not None:
        name = f"voice-{left:%Y-%m-%d-%H%M}.wav"
        made.add_attachment(sound, maintype="audio", subtype="wav", filename=name)
    return bytes(made)
