"""Settings of outgoing e-mail: the server that takes it."""

import re
from typing import Annotated, Final, Literal

from msgspec import Meta

from softswitch.settings.section import Section

_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_LOCAL: Final = re.compile(r"localhost|127\.[0-9.]+|::1")
_SERVER: Final = re.compile(r"[A-Za-z0-9._:-]{1,253}")


def check_mailbox(address: str, name: str) -> None:
    """Refuse what is not a plain address of a mailbox (RFC 5321 section 4.1.2, without quotes and literals).

    Raises:
        ValueError: It is not one; the text begins with ``name``.
    """
    if len(address) > 254 or not _ADDRESS.fullmatch(address):
        raise ValueError(f"{name} must be an address such as anna@example.com")


class Mail(Section, frozen=True):
    """Outgoing e-mail: messages of voicemail for users with an `email`."""

    server: str = ""
    """Name or address of the SMTP server that takes it. Empty: no e-mail is sent."""
    port: Annotated[int, Meta(ge=1, le=65535)] = 587
    """Port of the server: 587 for starttls, 465 for tls, 25 between servers."""
    tls: Literal["starttls", "tls", "off"] = "starttls"
    """starttls: encrypted after the greeting, or nothing is sent; tls: from the first byte; off: never."""
    user: str = ""
    """User name at the server. Empty: it wants none."""
    password: str = ""
    """Password at the server."""
    sender: str = ""
    """Address that messages are from."""

    def __post_init__(self) -> None:
        """Check the values that belong together."""
        if not self.server:
            return
        if not _SERVER.fullmatch(self.server):
            raise ValueError("server must be a host name or an address, without a port")
        if not self.sender:
            raise ValueError("sender is needed with server")
        check_mailbox(self.sender, "sender")
        if bool(self.user) != bool(self.password):
            raise ValueError("user and password are needed together")
        if self.password and self.tls == "off" and not _LOCAL.fullmatch(self.server):
            raise ValueError('tls = "off" would send the password in the clear: use starttls or tls')
