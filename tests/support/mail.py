"""A mail server on loopback (RFC 5321): EHLO, STARTTLS, AUTH PLAIN, MAIL, RCPT, DATA, QUIT."""

import asyncio
import base64
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP
from ssl import SSLContext
from typing import Self

from tests.support.ports import free_port


@dataclass
class Letter:
    """A message that was taken."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    is_encrypted: bool
    user: str


@dataclass
class MailServer:
    """A server; `answers` replace its own answers, once each, by the first word of the command."""

    tls: SSLContext | None = None
    """Has it offer STARTTLS, or speak TLS from the first byte where `is_wrapped`."""
    is_wrapped: bool = False
    user: str = ""
    password: str = ""
    answers: dict[str, list[str]] = field(default_factory=dict)
    letters: list[Letter] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    port: int = field(default_factory=free_port)

    async def __aenter__(self) -> Self:
        """Serve."""
        self._connections: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(
            self._begun, "127.0.0.1", self.port, ssl=self.tls if self.is_wrapped else None, limit=1 << 24
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def _begun(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        encrypted, user = self.is_wrapped, ""
        sender, recipients = "", list[str]()

        async def say(text: str) -> None:
            writer.write(text.encode() + b"\r\n")
            await writer.drain()

        await say(self._given("CONNECT") or "220 mail.test ESMTP")
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            word = line.split(" ")[0].split(":")[0].upper()
            self.commands.append(word)
            if given := self._given(word):
                if given == "drop":
                    return
                if given == "silence":
                    await asyncio.sleep(3600)
                await say(given)
                continue
            match word:
                case "EHLO":
                    offers = ["mail.test", "SIZE 20000000"]
                    offers += ["STARTTLS"] if self.tls and not encrypted else []
                    offers += ["AUTH PLAIN"] if self.user else []
                    lines = [
                        f"250{' ' if number == len(offers) else '-'}{offer}"
                        for number, offer in enumerate(offers, 1)
                    ]
                    await say("\r\n".join(lines))
                case "STARTTLS":
                    await say("220 go ahead")
                    assert self.tls is not None
                    await writer.start_tls(self.tls)
                    encrypted = True
                case "AUTH":
                    _, name, secret = base64.b64decode(line.split(" ")[2]).decode().split("\0")
                    if (name, secret) != (self.user, self.password):
                        await say("535 5.7.8 wrong")
                        continue
                    user = name
                    await say("235 ok")
                case "MAIL":
                    sender, recipients = line.partition("<")[2].partition(">")[0], []
                    await say("530 5.7.0 who are you" if self.user and not user else "250 ok")
                case "RCPT":
                    recipients.append(line.partition("<")[2].partition(">")[0])
                    await say("250 ok")
                case "DATA":
                    await say("354 go on")
                    raw = await reader.readuntil(b"\r\n.\r\n")
                    body = raw[:-3].replace(b"\r\n..", b"\r\n.")
                    message = BytesParser(EmailMessage, policy=SMTP).parsebytes(body)
                    assert isinstance(message, EmailMessage)
                    if given := self._given("END"):
                        await say(given)
                        continue
                    self.letters.append(Letter(sender, recipients, message, encrypted, user))
                    await say("250 taken")
                case "QUIT":
                    await say("221 bye")
                    return
                case _:
                    await say("250 ok")

    def _given(self, word: str) -> str:
        given = self.answers.get(word, [])
        return given.pop(0) if given else ""
