"""Delivery of one message to a mail server."""

import asyncio
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from softswitch.egress import EgressClient, EgressFailed
from softswitch.egress.smtp import MailError, send_mail
from softswitch.settings import Mail
from tests.certificates import make_certificate
from tests.support.mail import MailServer
from tests.support.ports import free_port

MESSAGE = b"Subject: hello\r\n\r\n.a line that begins with a dot\r\n"


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    """Give the thread that talks to the server."""
    with ThreadPoolExecutor(1) as made:
        yield made


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    """Give the context of a server, and the file of its authority."""
    cert, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, str(cert)


def settings(at: MailServer, **more: Any) -> Mail:
    fields: dict[str, Any] = {
        "server": "127.0.0.1",
        "port": at.port,
        "tls": "off",
        "sender": "pbx@home.test",
    }
    return Mail(**(fields | more))


async def test_message_is_delivered_as_it_is(executor: ThreadPoolExecutor) -> None:
    egress = EgressClient()
    async with MailServer() as server:
        await send_mail(egress, settings(server), "anna@home.test", MESSAGE, executor)
        (letter,) = server.letters
    assert (letter.sender, letter.recipients) == ("pbx@home.test", ["anna@home.test"])
    assert letter.message["Subject"] == "hello"
    assert letter.message.get_content().startswith(".a line")
    assert egress.counters.fetched == 1


@pytest.mark.parametrize("is_wrapped", [True, False])
async def test_password_is_sent_encrypted_only(
    executor: ThreadPoolExecutor, certificate: tuple[ssl.SSLContext, str], is_wrapped: bool
) -> None:
    context, authority = certificate
    async with MailServer(context, is_wrapped, user="pbx", password="secret") as server:
        wanted = settings(
            server, server="localhost", tls="tls" if is_wrapped else "starttls", user="pbx", password="secret"
        )
        await send_mail(EgressClient(ca_file=authority), wanted, "anna@home.test", MESSAGE, executor)
        (letter,) = server.letters
        assert (letter.is_encrypted, letter.user) == (True, "pbx")
        with pytest.raises(EgressFailed):  # a certificate that the system does not know
            await send_mail(EgressClient(), wanted, "anna@home.test", MESSAGE, executor)
        assert len(server.letters) == 1


async def test_server_without_encryption_gets_nothing_where_it_is_wanted(
    executor: ThreadPoolExecutor,
) -> None:
    async with MailServer(user="pbx", password="secret") as server:
        wanted = settings(server, tls="starttls", user="pbx", password="secret")
        with pytest.raises(MailError, match="cannot do what"):
            await send_mail(EgressClient(), wanted, "anna@home.test", MESSAGE, executor)
        assert "AUTH" not in server.commands
        assert server.letters == []


@pytest.mark.parametrize(
    ("answers", "final", "status"),
    [
        ({"RCPT": ["550 5.1.1 unknown"]}, True, 550),
        ({"RCPT": ["451 4.3.0 later"]}, False, 451),
        ({"MAIL": ["552 5.3.4 too large"]}, True, 552),
        ({"MAIL": ["550 5.7.1 not you"]}, False, 550),
        ({"DATA": ["554 no"]}, True, 554),
        ({"END": ["554 looks like spam"]}, True, 554),
        ({"END": ["452 no space"]}, False, 452),
        ({"CONNECT": ["421 busy"]}, False, 421),
        ({"RCPT": ["drop"]}, False, 0),
    ],
)
async def test_refusal_is_told_with_whether_it_is_final(
    executor: ThreadPoolExecutor, answers: dict[str, list[str]], final: bool, status: int
) -> None:
    async with MailServer(answers=answers) as server:
        with pytest.raises(MailError) as raised:
            await send_mail(EgressClient(), settings(server), "anna@home.test", MESSAGE, executor)
        assert (raised.value.final, raised.value.status) == (final, status)
        assert server.letters == []


async def test_wrong_password_is_told_without_it(executor: ThreadPoolExecutor) -> None:
    async with MailServer(user="pbx", password="other") as server:
        wanted = settings(server, user="pbx", password="do-not-tell")
        with pytest.raises(MailError, match="user and password: the mail server answered 535") as raised:
            await send_mail(EgressClient(), wanted, "anna@home.test", MESSAGE, executor)
    assert not raised.value.final
    assert "do-not-tell" not in str(raised.value)


async def test_server_that_is_away_or_unknown_is_told(executor: ThreadPoolExecutor) -> None:
    egress = EgressClient()
    away = Mail(server="127.0.0.1", port=free_port(), tls="off", sender="pbx@home.test")
    with pytest.raises(EgressFailed, match="cannot be reached"):
        await send_mail(egress, away, "anna@home.test", MESSAGE, executor)
    assert egress.counters.failed == 1


async def test_cancelled_delivery_ends_its_thread(executor: ThreadPoolExecutor) -> None:
    async with MailServer(answers={"RCPT": ["silence"]}) as server:
        work = asyncio.ensure_future(
            send_mail(EgressClient(), settings(server), "anna@home.test", MESSAGE, executor)
        )
        async with asyncio.timeout(60):
            while "RCPT" not in server.commands:
                await asyncio.sleep(0.01)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            # The thread is free again: it takes other work at once.
            assert await asyncio.get_running_loop().run_in_executor(executor, lambda: 7) == 7
