"""Keys, tokens, scopes, origins."""

import time
from typing import Any

import jwt
import pytest
from aiohttp.test_utils import make_mocked_request
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from softswitch.call.authority import Principal
from softswitch.metrics import Metrics
from softswitch.settings import Auth
from softswitch.web.auth import ANONYMOUS, Authenticator, Identity, presented
from softswitch.web.hosts import Hosts

SECRET = "0123456789abcdef0123456789abcdef"


def authenticator(**auth: object) -> Authenticator:
    return Authenticator(Auth(**auth), Metrics("test"), Hosts(listed=("switch.test",)))  # type: ignore[arg-type]


def identify(authenticator: Authenticator, path: str = "/", **headers: str) -> Identity | None:
    return authenticator.identify(
        make_mocked_request("GET", path, {name.replace("_", "-"): v for name, v in headers.items()})
    )


def token(key: object = SECRET, algorithm: str = "HS256", **claims: object) -> str:
    body = {"sub": "bot", "scope": "call", "exp": int(time.time()) + 60} | claims
    return jwt.encode({name: value for name, value in body.items() if value is not None}, key, algorithm)  # type: ignore[arg-type]


def test_without_credentials_configured_everybody_is_welcome() -> None:
    assert identify(authenticator()) is ANONYMOUS


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {"Authorization": "Bearer k1"}), ("/", {"Authorization": "bearer k1"}), ("/?token=k1", {}),
        ("/?appid=k1", {}), ("/", {"Sec_WebSocket_Protocol": "softswitch, softswitch.token.k1"}),
    ],
)  # fmt: skip
def test_key_is_found_wherever_a_client_can_put_it(path: str, headers: dict[str, str]) -> None:
    identity = identify(authenticator(api_keys=("desk:k1:call",)), path, **headers)
    assert identity == Identity("desk", frozenset({"call"}))


@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer k2", "Basic k1", "Bearer k1x", "Bearer K1"])
def test_wrong_key_is_nobody(given: str) -> None:
    assert identify(authenticator(api_keys=("desk:k1",)), Authorization=given) is None


def test_token_brings_its_scopes_its_subject_and_its_end() -> None:
    asked = authenticator(jwt_secret=SECRET)
    first = identify(asked, Authorization=f"Bearer {token(scope='call admin other')}")
    second = identify(asked, Authorization=f"Bearer {token(scope=None, scopes=['rooms'])}")
    assert first is not None
    assert second is not None
    assert (first.name, first.scopes) == ("bot", {"call", "admin"})
    assert (second.name, second.scopes) == ("bot", {"rooms"})
    assert first.expires is not None
    assert first.expires > time.time()


@pytest.mark.parametrize(
    "bad",
    [
        token(exp=int(time.time()) - 60), token(exp=None), token(key="x" * 32),
        jwt.encode({"sub": "bot", "scope": "admin", "exp": 9_999_999_999}, "", "none"), "a.b.c",
    ],
)  # fmt: skip
def test_bad_token_is_nobody(bad: str) -> None:
    assert identify(authenticator(jwt_secret=SECRET), Authorization=f"Bearer {bad}") is None


@pytest.mark.parametrize("scope", [None, 7, True, {"call": 1}, [None, 1, ["call"]], [], "", "other"])
def test_token_without_readable_scopes_has_none(scope: object) -> None:
    asked = authenticator(jwt_secret=SECRET)
    body = {"sub": "bot", "scope": scope, "exp": int(time.time()) + 60}
    found = identify(asked, Authorization=f"Bearer {jwt.encode(body, SECRET)}")
    assert found is not None
    assert found.scopes == frozenset()


@pytest.mark.parametrize("exp", [float("inf"), "never", [], {}, None, True])
def test_token_whose_end_cannot_be_read_is_nobody_s(exp: object) -> None:
    text = jwt.encode({"sub": "bot", "scope": "call"} | {"exp": exp}, SECRET)
    assert identify(authenticator(jwt_secret=SECRET), Authorization=f"Bearer {text}") is None


@pytest.mark.parametrize("auth", [{"api_keys": ("a:k?",)}, {"jwt_secret": SECRET}])
def test_token_that_is_no_utf_8_is_nobody_s(auth: dict[str, object]) -> None:
    for raw in (b"k\xff", b"\xff.\xff.\xff", b"\xed\xa0\x80"):
        assert authenticator(**auth).recognize(raw.decode("utf-8", "surrogateescape")) is None
    assert authenticator(**auth).recognize("sch\u00f6n.\u00df.x") is None


@pytest.mark.parametrize(
    ("claims", "users"),
    [
        ({"scope": "call", "sub": "alice"}, {"alice"}),
        ({"scope": "call", "sub": "shop", "users": ["alice", "bob", 5]}, {"alice", "bob"}),
        ({"scope": "call", "users": []}, set()),
        ({"scope": "rooms", "sub": "alice"}, None),
        ({"rooms": {"*": ["join"]}, "sub": "alice", "scope": None}, None),
    ],
)
def test_token_says_which_users_a_telephone_may_be(claims: dict[str, Any], users: set[str] | None) -> None:
    found = authenticator(jwt_secret=SECRET).telephone(token(**claims))
    assert (found and set(found.users)) == users
    if found:
        assert 0 < found.seconds_left <= 3600


def test_keys_and_wrong_tokens_are_not_for_telephones() -> None:
    made = authenticator(jwt_secret=SECRET, api_keys=("alice:key-of-alice",))
    for wrong in ("key-of-alice", "", "a.b.c", token(exp=1, scope="call"), token("y" * 48, scope="call")):
        assert made.telephone(wrong) is None
    assert authenticator().telephone("anything") is None, "a switch without keys takes no token"


def test_public_key_verifies_and_cannot_be_used_as_a_secret() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    public = (
        private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    asked = authenticator(jwt_public_key=public)
    assert identify(asked, Authorization=f"Bearer {token(private, 'ES256')}") is not None
    assert identify(asked, Authorization=f"Bearer {token()}") is None


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        (None, True), ("http://switch.test", True), ("https://switch.test", True),
        ("https://app.example", True),
        ("https://APP.example/", True), ("https://evil.example", False), ("null", False),
        ("file://switch.test", False),
        ("http://switch.test.evil.example", False), ("http://[::1", False), ("http://[::1]:x", False),
        ("http://", False), ("http://switch.test:99999", False), ("http://switch.test:8081", False),
        ("http://evil@switch.test", False),
    ],
)  # fmt: skip
def test_origin_is_ours_or_listed(origin: str | None, welcome: bool) -> None:
    headers = {"Host": "switch.test"} | ({"Origin": origin} if origin is not None else {})
    request = make_mocked_request("GET", "/call", headers)
    assert authenticator(origins=("https://app.example",)).may_come_from(request) is welcome


def test_header_goes_before_the_query() -> None:
    request = make_mocked_request("GET", "/?token=q", {"Authorization": "Bearer h"})
    assert presented(request) == "h"


def test_account_of_a_key_is_its_name_and_of_a_token_its_claim_else_its_subject() -> None:
    key = identify(authenticator(api_keys=("desk:k1:rooms",)), Authorization="Bearer k1")
    assert key is not None
    assert key.principal == Principal("desk", frozenset({"rooms"}), "desk")
    asked = authenticator(jwt_secret=SECRET)
    for claims, account, name in (
        ({"account": "shop"}, "shop", "bot"), ({}, "bot", "bot"),
        ({"account": ""}, "bot", "bot"), ({"account": 7}, "bot", "bot"),
        ({"sub": None}, "token", "token"), ({"sub": "", "account": ""}, "token", "token"),
    ):  # fmt: skip
        holder = identify(asked, Authorization=f"Bearer {token(**claims)}")
        assert holder is not None
        assert (holder.principal.account, holder.principal.name) == (account, name), claims


@pytest.mark.parametrize(
    ("claim", "grants"),
    [
        ({"r1": ["join", "hear", "fly"]}, {"r1": {"join", "hear"}}), ({"*": ["record"]}, {"*": {"record"}}),
        ({"r1": "join"}, {"r1": set()}), ({"r1": [1, None]}, {"r1": set()}), ({}, {}),
        (["r1"], {}), ("r1", {}), (True, {}),
    ],
)  # fmt: skip
def test_token_may_name_rooms_and_is_bound_to_them(claim: object, grants: dict[str, set[str]]) -> None:
    holder = identify(
        authenticator(jwt_secret=SECRET), Authorization=f"Bearer {token(scope='', rooms=claim)}"
    )
    assert holder is not None
    assert holder.rooms == grants
    assert holder.scopes == ({"rooms"} if isinstance(claim, dict) else set())
