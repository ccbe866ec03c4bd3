"""The PROXY protocol: headers of versions 1 and 2, and a switch that reads them from its proxies alone."""

import asyncio
import ipaddress
import subprocess
from pathlib import Path
from typing import Self

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.metrics import Metrics
from softswitch.settings import Http
from softswitch.web import proxy_protocol as module
from softswitch.web.hosts import Front
from softswitch.web.proxy_protocol import HeaderError, ProxyRunner, Told, read_header
from tests.conftest import require_tool
from tests.support.loops import LOOPS, run
from tests.support.ports import free_port

CLIENT, PROXY = "198.51.100.7", "127.0.0.1"
V2 = b"\r\n\r\n\x00\r\nQUIT\n"


def version_1(source: str, family: str = "TCP4", destination: str = "192.0.2.1") -> bytes:
    return f"PROXY {family} {source} {destination} 40000 443\r\n".encode()


def version_2(source: str, *, tlvs: bytes = b"", command: int = 0x21, family: int = 0x11) -> bytes:
    address = ipaddress.ip_address(source).packed
    body = address + bytes(len(address)) + b"\x9c\x40\x01\xbb" + tlvs
    return V2 + bytes((command, family)) + len(body).to_bytes(2) + body


SSL = b"\x20" + (5).to_bytes(2) + b"\x01\0\0\0\0"
HEADERS = [
    (version_1(CLIENT), CLIENT, False),
    (version_1("2001:db8::7", "TCP6", "2001:db8::1"), "2001:db8::7", False),
    (b"PROXY UNKNOWN\r\n", "", False),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "", False),
    (version_2(CLIENT), CLIENT, False),
    (version_2(CLIENT, tlvs=b"\x04\0\x02\0\0" + SSL), CLIENT, True),
    (version_2("2001:db8::7", family=0x21), "2001:db8::7", False),
    (version_2(CLIENT, command=0x20), "", False),
    (version_2(CLIENT, family=0x12), "", False),
]


@pytest.mark.parametrize(("header", "client", "is_secure"), HEADERS)
def test_header_is_read_once_it_is_whole(header: bytes, client: str, is_secure: bool) -> None:
    for end in range(len(header)):
        assert read_header(header[:end]) is None
    assert read_header(header + b"GET / HTTP/1.1\r\n") == Told(len(header), client, is_secure)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 x\r\n",
        b"PROXY TCP4 1.2.3.999 5.6.7.8 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 " + b"1" * 100,
        version_2(CLIENT, command=0x22),
        V2 + b"\x21\x11" + (8).to_bytes(2) + bytes(8),
        V2 + b"\x21\x11" + (60_000).to_bytes(2),
    ],
)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(HeaderError):
        read_header(data)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from([b"", b"PROXY ", V2, V2 + b"\x21\x11"]), st.binary(max_size=300))
def test_no_octets_raise_anything_else(start: bytes, rest: bytes) -> None:
    try:
        told = read_header(start + rest)
    except HeaderError:
        return
    assert told is None or 0 < told.size <= len(start + rest)


async def shown(request: web.Request) -> web.Response:
    return web.json_response([request.remote, request.scheme])


class Here:
    """A server that reads headers from its proxies."""

    def __init__(self, *proxies: str) -> None:
        front = Front(Http(trusted_proxies=proxies, proxy_protocol=True), Metrics("test"))
        assert front.proxied is not None
        self.proxied = front.proxied
        app = web.Application(middlewares=[front.middleware])
        app.router.add_get("/", shown)
        self._runner = ProxyRunner(app, front.proxied, access_log=None, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def ask(self, *pieces: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.01)
            async with asyncio.timeout(60):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"


@LOOPS
@pytest.mark.parametrize("header", [version_1(CLIENT), version_2(CLIENT, tlvs=SSL)], ids=["1", "2"])
def test_header_of_a_proxy_tells_the_client_and_not_the_client_itself(loop_factory, header: bytes) -> None:
    scheme = b"https" if header[:1] == b"\r" else b"http"

    async def scene() -> None:
        async with Here(PROXY) as here:
            for pieces in ([header + REQUEST], [header[:5], header[5:] + REQUEST[:9], REQUEST[9:]]):
                assert (await here.ask(*pieces)).endswith(b'["%s", "%s"]' % (CLIENT.encode(), scheme))
            # A proxy of the proxy is believed as before.
            assert b"203.0.113.9" in await here.ask(version_1("127.0.0.1") + REQUEST)
            assert not here.proxied._told

    run(loop_factory, scene())


@LOOPS
def test_proxy_without_a_header_is_cut_off_and_a_stranger_s_header_is_no_http(
    loop_factory, monkeypatch
) -> None:
    monkeypatch.setattr(module, "HEADER_S", 0.2)

    async def scene() -> None:
        async with Here(PROXY) as here:
            assert await here.ask(REQUEST) == b""
            assert await here.ask(b"PROXY TCP4 1") == b""
        async with Here("192.0.2.0/24") as here:
            assert b" 400 " in (await here.ask(version_1(CLIENT) + REQUEST)).split(b"\r\n")[0]
            assert b'["127.0.0.1", "http"]' in await here.ask(REQUEST)

    run(loop_factory, scene())


@pytest.mark.parametrize("word", ["send-proxy", "send-proxy-v2"])
async def test_haproxy_tells_its_client(word: str, tmp_path: Path) -> None:
    program, port = require_tool("haproxy"), free_port()
    async with Here(PROXY) as here:
        rules = tmp_path / "haproxy.cfg"
        rules.write_text(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n"
            f"listen all\n bind 127.0.0.1:{port}\n source 127.0.0.1\n"
            f" server one 127.0.0.1:{here.port} {word}\n"
        )
        haproxy = subprocess.Popen([program, "-f", str(rules), "-db"], stderr=subprocess.DEVNULL)
        try:
            async with asyncio.timeout(60):
                while True:
                    try:
                        reader, writer = await asyncio.open_connection(
                            "127.0.0.1", port, local_addr=("127.0.0.9", 0)
                        )
                        break
                    except ConnectionError:
                        await asyncio.sleep(0.05)
                writer.write(REQUEST)
                assert b'["127.0.0.9", "http"]' in await reader.read()
                writer.close()
        finally:
            haproxy.terminate()
            haproxy.wait(10)
