"""By which names the switch answers."""

from http.client import HTTPConnection
from pathlib import Path

import pytest
from aiohttp import WSServerHandshakeError, web
from pytest_aiohttp.plugin import AiohttpClient

from softswitch.metrics import Metrics
from softswitch.settings import Auth, Http
from softswitch.web.application import ROUTES, make_application
from softswitch.web.auth import Authenticator
from softswitch.web.hosts import Front, Hosts, read_host
from tests.support.switch import SwitchThread

EVIL = "evil.example:8080"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8080",
        "localhost",
        "LOCALHOST:1",
        "localhost.",
        "[::1]:8080",
        "127.9.9.9",
        "[::ffff:7f00:1]",
    ],
)
def test_loopback_is_always_a_host_of_the_switch(host: str) -> None:
    assert Hosts("192.0.2.5", ("pbx.example",)).admits(host)


@pytest.mark.parametrize(
    ("host", "admitted"),
    [
        ("192.0.2.5:8080", True), ("192.0.2.5", True), ("192.0.2.6", False), ("PBX.example", True),
        ("pbx.example.:80", True), ("pbx.example:8443", True), ("tls.example:8443", True),
        ("tls.example", False), ("tls.example:443", False), (EVIL, False),
        ("pbx.example.evil.example", False), ("", False), ("pbx.example@evil.example", False),
        ("a b", False), ("pbx.example:99999", False), ("[::1", False),
    ],
)  # fmt: skip
def test_bound_address_and_listed_hosts_are_hosts_of_the_switch(host: str, admitted: bool) -> None:
    assert Hosts("192.0.2.5", ("pbx.example", "tls.example:8443")).admits(host) is admitted


@pytest.mark.parametrize("bound", ["0.0.0.0", "::"])
def test_all_addresses_are_bound_and_no_name_is(bound: str) -> None:
    assert Hosts(bound).admits("192.0.2.77:8080")
    assert Hosts(bound).admits("[2001:db8::1]")
    assert not Hosts(bound).admits(EVIL)


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080", True), ("http://127.0.0.1:3000", "127.0.0.1:8080", False),
        ("http://localhost:8080", "127.0.0.1:8080", False), ("http://[::1]:8080", "[::1]:8080", True),
        ("https://pbx.example", "127.0.0.1:8080", True), ("https://PBX.example", "pbx.example", True),
        ("https://pbx.example:444", "127.0.0.1:8080", False), ("https://tls.example:8443", "127.0.0.1", True),
        ("http://evil.example:8080", EVIL, False), ("http://evil.example:8080", "127.0.0.1:8080", False),
        ("http://[::1", "127.0.0.1:8080", False), ("null", "127.0.0.1:8080", False), ("", "127.0.0.1", False),
        ("ftp://127.0.0.1:8080", "127.0.0.1:8080", False),
    ],
)  # fmt: skip
def test_origin_is_compared_with_the_hosts_of_the_switch(origin: str, host: str, own: bool) -> None:
    assert Hosts(listed=("pbx.example", "tls.example:8443")).is_own(origin, host) is own


def application(**http: object) -> web.Application:
    front = Front(Http(**http), metrics := Metrics("test"))  # type: ignore[arg-type]
    return make_application(Authenticator(Auth(), metrics, front.hosts), max_body=1000, front=front)


@pytest.mark.parametrize(
    "path", sorted({route.path for route in ROUTES} | {"/static/js/page.js", "/nowhere"})
)
async def test_no_route_answers_a_page_whose_name_was_made_to_lead_here(
    aiohttp_client: AiohttpClient, path: str
) -> None:
    path = path.replace("{", "").replace("}", "")
    client = await aiohttp_client(application())
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        answer = await client.request(method, path, headers={"Host": EVIL, "Origin": f"http://{EVIL}"})
        assert answer.status == 421
        assert "[http] hosts" in (await answer.json())["error"]["message"]
    with pytest.raises(WSServerHandshakeError) as told:
        await client.ws_connect(path, headers={"Host": EVIL, "Origin": f"http://{EVIL}"})
    assert told.value.status == 421


async def test_listed_host_and_loopback_are_answered_and_a_broken_origin_is_refused(
    aiohttp_client: AiohttpClient,
) -> None:
    client = await aiohttp_client(application(hosts=("pbx.example",)))
    for headers in ({}, {"Host": "pbx.example"}, {"Host": "pbx.example:8080"}):
        assert (await client.get("/healthz", headers=headers)).status == 200
    for origin in ("http://[::1", "http://[", "http://evil.example", "http://pbx.example:1"):
        assert (await client.get("/healthz", headers={"Origin": origin})).status == 403


async def shown(request: web.Request) -> web.Response:
    return web.json_response([request.remote, request.host, request.scheme])


async def spoken(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    await ws.send_json([request.remote, await ws.receive_str()])
    await ws.close()
    return ws


async def test_websocket_behind_a_proxy_knows_its_client(aiohttp_client: AiohttpClient) -> None:
    front = Front(Http(trusted_proxies=("127.0.0.1",)), Metrics("test"))
    app = web.Application(middlewares=[front.middleware])
    app.router.add_get("/", spoken)
    client = await aiohttp_client(app)
    ws = await client.ws_connect("/", headers={"X-Forwarded-For": "198.51.100.7"})
    await ws.send_str("hello")
    assert await ws.receive_json() == ["198.51.100.7", "hello"]
    await ws.close()


async def ask(
    aiohttp_client: AiohttpClient, headers: list[tuple[str, str]], **http: object
) -> tuple[int, list[str]]:
    front = Front(Http(**http), Metrics("test"))  # type: ignore[arg-type]
    app = web.Application(middlewares=[front.middleware])
    app.router.add_get("/", shown)
    client = await aiohttp_client(app)
    answer = await client.get("/", headers=headers)
    return answer.status, await answer.json() if answer.status == 200 else []


@pytest.mark.parametrize(
    ("forwarded", "remote"),
    [
        (["198.51.100.7"], "198.51.100.7"), (["10.9.9.9, 198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1", "198.51.100.7, 10.0.0.3"], "198.51.100.7"), (["2001:db8::7"], "2001:db8::7"),
        (["[2001:db8::7]:4711"], "2001:db8::7"), (["198.51.100.7:4711"], "198.51.100.7"), ([], "127.0.0.1"),
        (["10.0.0.3"], "10.0.0.3"), (["unknown"], "127.0.0.1"), (["198.51.100.7, , 10.0.0.3"], "10.0.0.3"),
    ],
)  # fmt: skip
async def test_trusted_proxy_tells_the_client_and_a_client_s_own_claim_is_not_believed(
    aiohttp_client: AiohttpClient, forwarded: list[str], remote: str
) -> None:
    headers = [("X-Forwarded-For", line) for line in forwarded]
    status, told = await ask(aiohttp_client, headers, trusted_proxies=("127.0.0.1", "10.0.0.0/24"))
    assert (status, told[0]) == (200, remote)


async def test_stranger_s_claims_are_not_believed(aiohttp_client: AiohttpClient) -> None:
    headers = [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "x")]
    status, (remote, host, scheme) = await ask(aiohttp_client, headers)
    assert (status, remote, scheme) == (200, "127.0.0.1", "http")
    assert host.startswith("127.0.0.1:")


async def test_forwarded_host_is_the_one_that_is_checked(aiohttp_client: AiohttpClient) -> None:
    trusted: dict[str, object] = {"trusted_proxies": ("127.0.0.1",), "hosts": ("pbx.example",)}
    headers = [("X-Forwarded-Host", "pbx.example"), ("X-Forwarded-Proto", "https")]
    status, told = await ask(aiohttp_client, headers, **trusted)
    assert (status, told[1:]) == (200, ["pbx.example", "https"])
    assert (await ask(aiohttp_client, [("X-Forwarded-Host", "evil.example")], **trusted))[0] == 421
    two = [("X-Forwarded-Host", "pbx.example, evil.example")]
    assert (await ask(aiohttp_client, two, **trusted))[0] == 421


def test_host_is_read_with_its_port() -> None:
    assert read_host("PBX.example:80") == ("pbx.example", 80)
    assert read_host("[::1]") == ("::1", None)
    assert read_host("::1") is None
    assert read_host("http://x") is None


def test_running_switch_checks_the_host_and_believes_its_proxy(tmp_path: Path) -> None:
    chosen = {"http": {"trusted_proxies": ["127.0.0.1"], "hosts": ["pbx.example"]}}
    with SwitchThread(tmp_path, chosen) as switch:
        told = []
        for host in (EVIL, "pbx.example", f"127.0.0.1:{switch.port}"):
            line = HTTPConnection("127.0.0.1", switch.port, timeout=10)
            line.request("GET", "/calls", headers={"Host": host, "Origin": f"http://{host}"})
            told.append(line.getresponse().status)
            line.close()
    assert told == [421, 200, 200]
