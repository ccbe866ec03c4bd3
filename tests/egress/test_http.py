"""Fetching: what is never reached, and what comes back."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from softswitch.egress.errors import EgressError, EgressFailed, EgressRefused
from softswitch.egress.http import MAX_REDIRECTS, EgressClient
from softswitch.egress.names import Asker
from tests.conftest import data_path
from tests.egress.conftest import Authority, Canary, Names, Serve

CASES = data_path("api", "ssrf_urls.json")
LOOPBACK = ["127.0.0.0/8"]


def answer(text: str, status: int = 200, **headers: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(text=text, status=status, headers=named)

    return handle


def urls() -> list[str]:
    entries: list[str] = json.loads(CASES.read_text())
    return entries


@pytest.mark.parametrize("entry", urls())
async def test_egress_never_reaches_a_forbidden_place(
    entry: str, canary: Canary, names: Names, serve: Serve, authority: Authority
) -> None:
    """Take each entry of the list as a caller would send it, and count who knocks."""
    names.answers = {
        "metadata.google.internal": [["169.254.169.254"]],
        "localhost": [["127.0.0.1", "::1"]],
        "example.com": [["127.0.0.1"]],
        "world.example": [["127.0.0.1"]],
        "expired.badssl-like.local": [["127.0.0.1"]],
    }
    # 127.0.0.1 on another port stands for the public server that redirects or serves a playlist.
    if entry.startswith("redirect->"):
        target = entry.removeprefix("redirect->")
        port = await serve(web.get("/a", answer("", 302, Location=target)))
        egress, url = EgressClient(allow=LOOPBACK, resolve=names), f"http://world.example:{port}/a"
    elif entry.startswith("m3u8"):
        playlist = f"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\nhttp://127.0.0.1:{canary.port}/x\n"
        port = await serve(web.get("/a", answer(playlist)))
        egress, url = EgressClient(allow=LOOPBACK, resolve=names), f"http://world.example:{port}/a"
        assert (await egress.fetch(url)).body.decode() == playlist, (
            "a playlist is bytes; nothing in it is followed"
        )
        assert canary.hits == 0
        return
    elif entry.startswith("https://expired"):
        port = await serve(
            web.get("/", answer("")), tls=authority.context("expired.badssl-like.local", days=-1)
        )
        egress = EgressClient(allow=LOOPBACK, resolve=names, ca_file=str(authority.file))
        url = f"https://expired.badssl-like.local:{port}/"
    else:
        egress, url = EgressClient(resolve=names), entry.replace("%P", str(canary.port))
    with pytest.raises(EgressError):
        await egress.fetch(url)
    assert canary.hits == 0
    assert egress.counters.refused + egress.counters.failed == 1
    assert egress.counters.fetched == 0


async def test_egress_fetches_and_tells_where_from(serve: Serve, names: Names) -> None:
    seen: list[web.Request] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(body=b"RIFF" + await request.read(), headers={"X-Kind": "audio"})

    port = await serve(web.post("/a", handle))
    names.answers = {"world.example": [["127.0.0.1"]]}
    egress = EgressClient(allow=LOOPBACK, resolve=names)
    fetched = await egress.fetch(
        f"http://world.example:{port}/a?b=%2B", method="POST", headers={"X-One": "1"}, body=b"!"
    )
    assert (fetched.status, fetched.body, fetched.headers["x-kind"]) == (200, b"RIFF!", "audio")
    assert seen[0].host == f"world.example:{port}"
    assert seen[0].headers["X-One"] == "1"
    assert seen[0].raw_path == "/a?b=%2B"
    assert egress.counters.fetched == 1


async def test_egress_returns_an_error_status_as_an_answer(serve: Serve) -> None:
    port = await serve(web.get("/a", answer("gone", 404)))
    fetched = await EgressClient(allow=LOOPBACK).fetch(f"http://127.0.0.1:{port}/a")
    assert (fetched.status, fetched.body) == (404, b"gone")


async def test_egress_trusts_a_url_of_the_settings(serve: Serve) -> None:
    port = await serve(web.get("/a", answer("ok")))
    fetched = await EgressClient().fetch(f"http://127.0.0.1:{port}/a", trusted=True)
    assert fetched.body == b"ok"


@pytest.mark.parametrize("entry", ["file:///etc/passwd", "http://a@127.0.0.1/", "http://0177.0.0.1/"])
async def test_egress_refuses_odd_spellings_even_of_the_operator(entry: str) -> None:
    with pytest.raises(EgressRefused):
        await EgressClient().fetch(entry, trusted=True)


async def test_egress_follows_a_redirect_and_checks_it(serve: Serve, names: Names, canary: Canary) -> None:
    end = await serve(web.get("/b", answer("end")))
    start = await serve(
        web.get("/good", answer("", 302, Location=f"http://other.example:{end}/b")),
        web.get("/relative", answer("", 307, Location="/good")),
        web.get("/loop", answer("", 302, Location="/loop")),
        web.get("/private", answer("", 302, Location=f"http://10.0.0.1:{canary.port}/")),
        web.get("/name", answer("", 302, Location=f"http://inside.example:{canary.port}/")),
        web.get("/file", answer("", 302, Location="file:///etc/passwd")),
        web.get("/user", answer("", 302, Location=f"http://a:b@other.example:{end}/b")),
        web.get("/port", answer("", 302, Location="http://other.example:25/")),
        web.get("/odd", answer("", 302, Location=f"http://2130706433:{canary.port}/")),
        web.get("/junk", answer("", 302, Location="http://[/")),
    )
    names.answers = {
        "world.example": [["127.0.0.1"]],
        "other.example": [["127.0.0.1"]],
        "inside.example": [["127.0.0.2"]],
    }
    egress = EgressClient(allow=["127.0.0.1/32"], resolve=names)
    base = f"http://world.example:{start}"
    assert (await egress.fetch(f"{base}/good")).body == b"end"
    fetched = await egress.fetch(f"{base}/relative")
    assert (fetched.body, fetched.url.raw_host) == (b"end", "other.example")
    with pytest.raises(EgressFailed, match=f"{MAX_REDIRECTS} times"):
        await egress.fetch(f"{base}/loop")
    for path in ("private", "name", "file", "user", "port", "odd", "junk"):
        with pytest.raises(EgressRefused):
            await egress.fetch(f"{base}/{path}")
    assert canary.hits == 0
    assert egress.counters.refused == 7


async def test_egress_does_not_carry_trust_or_secrets_to_another_origin(serve: Serve, names: Names) -> None:
    seen: list[web.Request] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(text="end")

    end = await serve(web.get("/b", handle))
    start = await serve(web.post("/a", answer("", 302, Location=f"http://other.example:{end}/b")))
    names.answers = {"hook.example": [["127.0.0.1"]], "other.example": [["127.0.0.1"]]}
    url = f"http://hook.example:{start}/a"
    with pytest.raises(EgressRefused):
        await EgressClient(resolve=names).fetch(url, method="POST", trusted=True)
    secrets = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Other": "1", "Content-Type": "text/plain"}
    await EgressClient(allow=LOOPBACK, resolve=names).fetch(url, method="POST", headers=secrets, body=b"x")
    assert seen[0].method == "GET"
    assert "Authorization" not in seen[0].headers
    assert "Cookie" not in seen[0].headers
    assert seen[0].headers["X-Other"] == "1"


async def test_egress_asks_for_a_name_once_and_dials_that_answer(
    serve: Serve, names: Names, canary: Canary
) -> None:
    """A second question would be answered with a private address: rebinding."""
    port = await serve(web.get("/a", answer("first")))
    names.answers = {"rebind.example": [["127.0.0.1"], ["127.0.0.2"]]}
    egress = EgressClient(allow=["127.0.0.1/32"], resolve=names)
    assert (await egress.fetch(f"http://rebind.example:{port}/a")).body == b"first"
    assert names.asked == ["rebind.example"]
    with pytest.raises(EgressRefused):
        await egress.fetch(f"http://rebind.example:{port}/a")


async def test_egress_dials_only_the_public_addresses_of_a_name_with_both(serve: Serve, names: Names) -> None:
    hits: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        hits.append(request.host)
        return web.Response(text="ok")

    port = await serve(web.get("/a", handle))
    names.answers = {"both.example": [["10.255.255.1", "127.0.0.1"]]}
    fetched = await EgressClient(allow=["127.0.0.1"], resolve=names).fetch(f"http://both.example:{port}/a")
    assert fetched.body == b"ok"


async def test_egress_fails_for_names_without_address(names: Names) -> None:
    names.answers = {"empty.example": [[]], "junk.example": [["not an address"]]}
    egress = EgressClient(resolve=names)
    for host in ("unknown.example", "empty.example", "junk.example"):
        with pytest.raises(EgressFailed, match="name of the host"):
            await egress.fetch(f"http://{host}/")
    assert egress.counters.failed == 3


async def test_egress_trusts_a_private_authority_only_when_told(
    serve: Serve, names: Names, authority: Authority
) -> None:
    port = await serve(web.get("/a", answer("secret")), tls=authority.context("tls.example"))
    names.answers = {"tls.example": [["127.0.0.1"]], "wrong.example": [["127.0.0.1"]]}
    knowing = EgressClient(allow=LOOPBACK, resolve=names, ca_file=str(authority.file))
    fetched = await knowing.fetch(f"https://tls.example:{port}/a")
    assert fetched.body == b"secret"
    with pytest.raises(EgressFailed):
        await knowing.fetch(f"https://wrong.example:{port}/a")
    with pytest.raises(EgressFailed):
        await knowing.fetch(f"https://127.0.0.1:{port}/a")
    with pytest.raises(EgressFailed):
        await EgressClient(allow=LOOPBACK, resolve=names).fetch(f"https://tls.example:{port}/a")


async def test_egress_gives_up_on_a_slow_body(serve: Serve) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(600):
            await response.write(b"x")
            await asyncio.sleep(0.05)
        return response

    port = await serve(web.get("/a", drip))
    egress = EgressClient(allow=LOOPBACK, timeout_s=0.3)
    with pytest.raises(EgressFailed, match=r"within 0\.3 s"):
        await egress.fetch(f"http://127.0.0.1:{port}/a")
    assert egress.counters.failed == 1


async def test_egress_gives_up_on_a_silent_server_and_a_slow_name_service(mute: int) -> None:
    async def slow(host: str, asker: Asker) -> list[str]:
        await asyncio.sleep(60)
        return []

    with pytest.raises(EgressFailed, match="within"):
        await EgressClient(allow=LOOPBACK, timeout_s=0.2).fetch(f"http://127.0.0.1:{mute}/")
    with pytest.raises(EgressFailed, match="within"):
        await EgressClient(timeout_s=0.2, resolve=slow).fetch("http://slow.example/")


@pytest.mark.parametrize("declared", [True, False])
async def test_egress_stops_at_the_size_bound(serve: Serve, declared: bool) -> None:
    sent = 0

    async def big(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        if declared:
            response.content_length = 100 * 65536
        await response.prepare(request)
        for _ in range(100):
            await response.write(bytes(65536))
            sent += 65536
            await asyncio.sleep(0)
        return response

    port = await serve(web.get("/a", big), web.get("/fits", answer("x" * 100_000)))
    egress = EgressClient(allow=LOOPBACK, max_bytes=100_000)
    with pytest.raises(EgressFailed, match="more than 100000 bytes"):
        await egress.fetch(f"http://127.0.0.1:{port}/a")
    assert len((await egress.fetch(f"http://127.0.0.1:{port}/fits")).body) == 100_000


async def test_egress_does_not_unpack(serve: Serve) -> None:
    async def bomb(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=gzip.compress(bytes(10_000_000)), headers={"Content-Encoding": "gzip"})

    port = await serve(web.get("/a", bomb))
    with pytest.raises(EgressFailed, match="compressed"):
        await EgressClient(allow=LOOPBACK).fetch(f"http://127.0.0.1:{port}/a")


async def test_egress_fails_on_a_server_that_speaks_no_http(canary: Canary) -> None:
    with pytest.raises(EgressFailed, match="cannot be fetched"):
        await EgressClient(allow=LOOPBACK).fetch(f"http://127.0.0.1:{canary.port}/")


async def test_egress_fails_where_nobody_listens(canary: Canary) -> None:
    port = canary.port
    await canary.stop()
    with pytest.raises(EgressFailed, match="cannot be fetched"):
        await EgressClient(allow=LOOPBACK).fetch(f"http://127.0.0.1:{port}/")


def test_egress_refuses_settings_that_are_no_networks() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        EgressClient(allow=["nonsense"])
