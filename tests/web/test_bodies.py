"""Bodies that do not come, and requests that are no HTTP."""

import asyncio
import logging

import pytest
from aiohttp import web
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy
from aiohttp.test_utils import TestServer
from pytest_aiohttp.plugin import AiohttpClient

from softswitch.metrics import Metrics
from softswitch.settings import Auth
from softswitch.web.application import make_application
from softswitch.web.auth import Authenticator, allow
from softswitch.web.errors import answer_errors
from softswitch.web.malformed import MALFORMED


async def told(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


def application(body_s: float = 15.0) -> web.Application:
    authenticator = Authenticator(Auth(api_keys=("a:k1:call",)), Metrics("test"))
    app = web.Application(middlewares=[answer_errors], client_max_size=1000)
    app.router.add_post("/", allow(authenticator, "call", told, body_s=body_s))
    return app


async def raw(server: TestServer, data: bytes) -> bytes:
    """Send octets, and return the whole answer."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(data)
        async with asyncio.timeout(60):
            return await reader.readuntil(b"\r\n")
    finally:
        writer.close()


async def test_body_that_drips_is_answered_with_408_and_a_whole_one_is_read(
    aiohttp_client: AiohttpClient,
) -> None:
    client = await aiohttp_client(application(0.1))
    server = client.server
    assert isinstance(server, TestServer)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k1\r\nContent-Length: 9\r\n\r\n"
    assert b" 408 " in await raw(server, head + b"drip")
    assert b" 200 " in await raw(server, head + b"123456789")


@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 413)])
async def test_body_is_bounded(aiohttp_client: AiohttpClient, size: int, status: int) -> None:
    client = await aiohttp_client(application())
    answer = await client.post("/", data=b"x" * size, headers={"Authorization": "Bearer k1"})
    assert answer.status == status


async def test_stranger_is_refused_before_the_body_is_read(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(application())
    server = client.server
    assert isinstance(server, TestServer)
    assert b" 401 " in await raw(server, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nd")


async def test_body_that_is_not_what_its_encoding_says_is_a_fault_of_the_client(
    aiohttp_client: AiohttpClient,
) -> None:
    client = await aiohttp_client(application())
    server = client.server
    assert isinstance(server, TestServer)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k1\r\nContent-Encoding: gzip\r\n"
    assert b" 400 " in await raw(server, head + b"Content-Length: 9\r\n\r\nnot gzip!")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nBad\x00: 1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
    ],
)
async def test_request_that_is_no_http_is_counted_and_leaves_no_traceback(
    aiohttp_client: AiohttpClient, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    MALFORMED.install()
    before = MALFORMED.count
    caplog.set_level(logging.DEBUG)
    client = await aiohttp_client(application())
    server = client.server
    assert isinstance(server, TestServer)
    assert b" 400 " in await raw(server, data)
    assert MALFORMED.count == before + 1
    mine = [record for record in caplog.records if record.name == "aiohttp.server"]
    assert [(record.exc_info, record.levelno) for record in mine] == [(None, logging.DEBUG)]


PARSERS = pytest.mark.parametrize("parser", [HttpRequestParser, HttpRequestParserPy], ids=["C", "Python"])
"""aiohttp's parsers; where its extension cannot be loaded, both are the one in Python."""


@PARSERS
@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /healthz HTTP/2.0", 505),
        (b"GET /healthz HTTP/0.9", 505),
        (b"GET /absent HTTP/2.0", 505),
        (b"GET /healthz HTTP/3.0", (400, 505)),
        (b"GET /healthz HTTP/1.2", (400, 505)),
        (b"GET /healthz", (400, 505)),
        (b"GET /healthz HTTP/1.0", 200),
        (b"GET /healthz HTTP/1.1", 200),
    ],
)
async def test_other_versions_of_http_are_refused_in_our_own(
    aiohttp_client: AiohttpClient,
    parser: type,
    line: bytes,
    status: int | tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aiohttp.web_protocol.HttpRequestParser", parser)
    MALFORMED.install()
    authenticator = Authenticator(Auth(api_keys=("a:k1:call",)), Metrics("test"))
    client = await aiohttp_client(make_application(authenticator, max_body=1000))
    server = client.server
    assert isinstance(server, TestServer)
    answer = await raw(server, line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    version, code = answer.split(b" ")[:2]
    assert version in (b"HTTP/1.0", b"HTTP/1.1")
    assert int(code) in (status if isinstance(status, tuple) else (status,))


def test_faults_of_our_own_keep_their_traceback() -> None:
    try:
        raise RuntimeError("local")
    except RuntimeError as error:
        record = logging.LogRecord(
            "aiohttp.server", logging.ERROR, "", 0, "x", (), (RuntimeError, error, None)
        )
    assert MALFORMED.filter(record)
    assert record.exc_info is not None
