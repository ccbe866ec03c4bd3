"""Who may do what: every route with every kind of credential, and the Origin of pages."""

import re
import time
from collections.abc import Iterator

import aiohttp
import jwt
import pytest

from softswitch.settings import Settings
from softswitch.web.application import ROUTES
from softswitch.web.route import Route
from tests.conformance.conftest import Switch
from tests.support.switch import SwitchThread

SECRET = "a secret of more than thirty-two bytes"
KEYS = {
    "call": "key-of-a-caller",
    "admin": "key-of-an-administrator",
    "rooms": "key-of-a-moderator",
    "supervise": "key-of-a-supervisor",
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchThread]:
    """Give a switch that wants to know who is there."""
    auth = {
        "api_keys": [f"{scope}r:{key}:{scope}" for scope, key in KEYS.items()],
        "jwt_secret": SECRET,
        "origins": ["https://app.example.org"],
    }
    with SwitchThread(tmp_path_factory.mktemp("auth") / "data", {"auth": auth}) as running:
        yield running


def token(scope: str, *, secret: str = SECRET, life_s: float = 60, **more: object) -> str:
    """Return a token."""
    claims = {"sub": "a client", "scope": scope, "exp": int(time.time() + life_s), **more}
    return jwt.encode(claims, secret, algorithm="HS256")


GUARDED = [route for route in ROUTES if route.scope]


SOCKETS = {"/sip", "/ws"}
"""Paths of WebSockets that ask by themselves who is there, in the manner of their sub-protocol."""


def name_of(route: Route) -> str:
    """Return a name for a test of a route."""
    return f"{route.method} {route.path}"


async def ask(
    http: aiohttp.ClientSession,
    switch: Switch,
    route: Route,
    headers: dict[str, str] | None = None,
    **query: str,
) -> int:
    """Send a request without an upgrade and return the status."""
    path = re.sub(r"{\w+}", "unknown", route.path)
    async with http.request(route.method, switch.url(path, **query), headers=headers) as response:
        return response.status


@pytest.mark.parametrize("route", GUARDED, ids=name_of)
async def test_route_asks_who_is_there(
    guarded: SwitchThread, http: aiohttp.ClientSession, route: Route
) -> None:
    other = next(scope for scope in KEYS if scope not in {route.scope, "admin"})
    unsigned = jwt.encode({"scope": route.scope, "exp": int(time.time() + 60)}, "", algorithm="none")
    assert await ask(http, guarded, route) == 401
    for wrong in (
        "wrong",
        KEYS[route.scope] + "x",
        KEYS[route.scope][:-1],
        token(route.scope, secret="another secret of thirty-two bytes!"),
        token(route.scope, life_s=-5),
        token(route.scope) + "x",
        unsigned,
        jwt.encode({"scope": route.scope}, SECRET, algorithm="HS256"),
        "ä",
    ):
        assert await ask(http, guarded, route, appid=wrong) == 401, wrong
    assert await ask(http, guarded, route, {"Authorization": "Basic " + KEYS[route.scope]}) == 401
    for narrow in (KEYS[other], token(other), token(""), token("everything")):
        assert await ask(http, guarded, route, appid=narrow) == 403, narrow
    goods = (KEYS[route.scope], token(route.scope), token(f"{other} {route.scope}"), KEYS["admin"])
    for good in goods:
        for status in (
            await ask(http, guarded, route, appid=good),
            await ask(http, guarded, route, token=good),
            await ask(http, guarded, route, {"Authorization": f"Bearer {good}"}),
        ):
            assert status not in {401, 403}, good


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if not route.scope and route.path not in SOCKETS], ids=name_of
)
async def test_route_for_everybody_asks_nothing(
    guarded: SwitchThread, http: aiohttp.ClientSession, route: Route
) -> None:
    assert await ask(http, guarded, route) == 200


@pytest.mark.parametrize("path", ["/call", "/call/webrtc"])
async def test_socket_is_refused_before_the_upgrade(guarded: SwitchThread, path: str) -> None:
    for query, status in (({}, 401), ({"token": "wrong"}, 401), ({"token": KEYS["rooms"]}, 403)):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with guarded.client(path, **query):
                pass
        assert caught.value.status == status
    async with guarded.client(path, token=KEYS["call"]):
        pass


async def test_browser_may_carry_its_token_in_the_sub_protocol(guarded: SwitchThread) -> None:
    from tests.support.client import Client  # noqa: PLC0415

    protocols = ["softswitch", f"softswitch.token.{token('call')}"]
    async with Client(guarded.socket_url("/call"), protocols=protocols) as client:
        await client.invite()
        assert client.socket.protocol == "softswitch", "the token is not sent back"
        await client.hang_up()


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        (None, True),
        ("http://127.0.0.1:%P", True),
        ("https://app.example.org", True),
        ("https://APP.example.org", True),
        ("https://evil.example.org", False),
        ("https://app.example.org.evil.org", False),
        ("http://app.example.org", False),
        ("http://127.0.0.1:1", False),
        ("null", False),
        ("file://", False),
        ("", False),
    ],
)
async def test_origin_must_be_ours_or_listed(
    guarded: SwitchThread, http: aiohttp.ClientSession, origin: str | None, welcome: bool
) -> None:
    from tests.support.client import Client  # noqa: PLC0415

    headers = {} if origin is None else {"Origin": origin.replace("%P", str(guarded.port))}
    url = guarded.socket_url("/call", token=KEYS["call"])
    if welcome:
        async with Client(url, headers=headers):
            pass
    else:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with Client(url, headers=headers):
                pass
        assert caught.value.status == 403
    kill = guarded.url("/call/kill/unknown", token=KEYS["admin"])
    async with http.post(kill, headers=headers) as response:
        assert response.status == (404 if welcome else 403)


async def test_calls_of_one_key_are_not_the_others(guarded: SwitchThread) -> None:
    mine, other = token("call", sub="me"), token("call", sub="you")
    async with guarded.client(token=mine, id="mine") as one, guarded.client(token=other, id="yours") as two:
        await one.invite()
        await two.invite()
        await two.send("bridge", targetSessionId="mine")
        await two.wait("error")
        await one.hang_up()
        await two.hang_up()


async def test_open_switch_asks_nobody(switch: Switch, http: aiohttp.ClientSession) -> None:
    assert Settings().auth.is_open()
    for route in GUARDED:
        assert await ask(http, switch, route) not in {401, 403}
