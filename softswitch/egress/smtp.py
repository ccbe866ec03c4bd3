"""Outgoing e-mail: one message to the operator's SMTP server (RFC 5321), by the standard library's client.

The name of the server is resolved and its addresses are pinned as for URLs, certificates are checked in the
same way, and every step has a time limit. The client blocks, so it works in a thread, on a socket that the
loop has connected; a cancelled delivery shuts that socket.
"""

import asyncio
import contextlib
import smtplib
import socket
from concurrent.futures import Executor
from ssl import SSLContext
from typing import Final

from softswitch.egress.address import read_url
from softswitch.egress.errors import EgressFailed
from softswitch.egress.http import EgressClient
from softswitch.settings import Mail

STEP_S: Final = 30.0
"""Longest wait for one answer of the server, seconds."""
CONNECT_S: Final = 10.0
"""Longest time for a connection to one address, seconds."""
_SAID: Final = 200
"""Characters of an answer that an error repeats."""
_SMTP: Final = frozenset({"smtp"})


class MailError(EgressFailed):
    """The server did not take a message.

    Attributes:
        final: Whether it would never take this message: it is too large, or its recipient is unknown.
        status: Code of its answer (RFC 5321 section 4.2); 0: there was none.
    """

    def __init__(self, text: str, *, final: bool = False, status: int = 0) -> None:
        super().__init__(text, field="mail")
        self.final, self.status = final, status


class _Session(smtplib.SMTP):
    """A session over a socket that is connected already."""

    def __init__(self, connected: socket.socket, server: Mail, tls: SSLContext) -> None:
        self._connected, self._wrap = connected, tls.wrap_socket if server.tls == "tls" else None
        # With a name of its own the client asks no resolver for that of this machine.
        name = server.sender.rpartition("@")[2]
        super().__init__(server.server, server.port, local_hostname=name, timeout=STEP_S)

    def _get_socket(self, host: str, port: int, timeout: float | None) -> socket.socket:
        """Return the socket of the session (`smtplib.SMTP_SSL` replaces this method, too)."""
        self._connected.settimeout(timeout)
        return self._wrap(self._connected, server_hostname=host) if self._wrap else self._connected


def _deliver(connected: socket.socket, server: Mail, tls: SSLContext, recipient: str, message: bytes) -> None:
    """Send a message, in a thread; raises OSError, which smtplib's errors are."""
    session = _Session(connected, server, tls)
    try:
        if server.tls == "starttls":
            session.starttls(context=tls)
        if server.user:
            session.login(server.user, server.password)
        session.sendmail(server.sender, [recipient], message)
        # What the server says to QUIT changes nothing: it has the message.
        with contextlib.suppress(OSError):
            session.quit()
    finally:
        session.close()


async def send_mail(
    egress: EgressClient, server: Mail, recipient: str, message: bytes, executor: Executor
) -> None:
    """Have a message delivered.

    Args:
        egress: Its resolver, certificates and counters count.
        server: Server, credentials and sender.
        recipient: Address.
        message: Headers and body (RFC 5322), lines end with CRLF.
        executor: Its thread talks to the server.

    Raises:
        EgressFailed: The server cannot be reached.
        MailError: It did not take the message, or is not trusted.
    """
    try:
        await _send(egress, server, recipient, message, executor)
    except EgressFailed:
        egress.counters.failed += 1
        raise
    egress.counters.fetched += 1


async def _send(
    egress: EgressClient, server: Mail, recipient: str, message: bytes, executor: Executor
) -> None:
    connected = await _connect(egress, server)
    # TLS takes the socket over; a second handle of it can still be shut.
    handle = connected.dup()
    try:
        work = asyncio.get_running_loop().run_in_executor(
            executor, _deliver, connected, server, egress.tls, recipient, message
        )
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)
            await asyncio.wait({work}, timeout=STEP_S)
            if work.done() and not work.cancelled():
                work.exception()
            raise
        except OSError as error:
            raise _error(error) from None
    finally:
        handle.close()
        connected.close()


async def _connect(egress: EgressClient, server: Mail) -> socket.socket:
    """Return a socket that is connected with the first address of the server that answers."""
    host = f"[{server.server}]" if ":" in server.server else server.server
    pinned = await egress.pin(read_url(f"smtp://{host}:{server.port}", _SMTP, trusted=True), trusted=True)
    loop = asyncio.get_running_loop()
    for place in await pinned.resolve(server.server, server.port, socket.AF_UNSPEC):
        address = place["host"], place["port"]
        made = pinned.make_socket((place["family"], socket.SOCK_STREAM, 0, "", address))
        try:
            async with asyncio.timeout(CONNECT_S):
                await loop.sock_connect(made, address)
        except (OSError, TimeoutError):
            made.close()
        except BaseException:
            made.close()
            raise
        else:
            return made
    raise EgressFailed("the mail server cannot be reached", field="mail")


def _error(error: OSError) -> MailError:
    """Return what is wrong in words; smtplib's texts do not hold the password."""
    match error:
        case smtplib.SMTPAuthenticationError():
            return _answered(error.smtp_code, error.smtp_error, "user and password: ")
        case smtplib.SMTPRecipientsRefused():
            code, said = next(iter(error.recipients.values()))
            return _answered(code, said, "recipient: ", final=code >= 500)
        case smtplib.SMTPSenderRefused():
            # 552: the message is larger than the server takes, which it tells by its SIZE (RFC 1870).
            return _answered(error.smtp_code, error.smtp_error, "sender: ", final=error.smtp_code == 552)
        case smtplib.SMTPDataError():
            return _answered(error.smtp_code, error.smtp_error, "message: ", final=error.smtp_code >= 500)
        case smtplib.SMTPResponseException():
            return _answered(error.smtp_code, error.smtp_error)
        case smtplib.SMTPNotSupportedError():
            return MailError(f"the mail server cannot do what [mail] asks for: {error}")
        case _:
            return MailError(f"the mail server broke off ({type(error).__name__})")


def _answered(code: int, said: bytes | str, what: str = "", *, final: bool = False) -> MailError:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return MailError(f"{what}the mail server answered {code} {text[:_SAID]}", final=final, status=code)
