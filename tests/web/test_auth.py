"""Keys, tokens, scopes, origins."""

import time

import jwt
import pytest
from aiohttp.test_utils import make_mocked_request
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from softswitch.metrics import Metrics
from softswitch.settings import Auth
from softswitch.web.auth import ANYBODY, Gate, Identity, presented

SECRET = "0123456789abcdef0123456789abcdef"


def gate(**auth: object) -> Gate:
    return Gate(Auth(**auth), Metrics("test"))  # type: ignore[arg-type]


def identify(gate: Gate, path: str = "/", **headers: str) -> Identity | None:
    return gate.identify(
        make_mocked_request("GET", path, {name.replace("_", "-"): v for name, v in headers.items()})
    )


def token(key: object = SECRET, algorithm: str = "HS256", **claims: object) -> str:
    body = {"sub": "bot", "scope": "call", "exp": int(time.time()) + 60} | claims
    return jwt.encode({name: value for name, value in body.items() if value is not None}, key, algorithm)  # type: ignore[arg-type]


def test_without_credentials_configured_everybody_is_welcome() -> None:
    assert identify(gate()) is ANYBODY


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {"Authorization": "Bearer k1"}), ("/", {"Authorization": "bearer k1"}), ("/?token=k1", {}),
        ("/?appid=k1", {}), ("/", {"Sec_WebSocket_Protocol": "softswitch, softswitch.token.k1"}),
    ],
)  # fmt: skip
def test_key_is_found_wherever_a_client_can_put_it(path: str, headers: dict[str, str]) -> None:
    identity = identify(gate(api_keys=("desk:k1:call",)), path, **headers)
    assert identity == Identity("desk", frozenset({"call"}))


@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer k2", "Basic k1", "Bearer k1x", "Bearer K1"])
def test_wrong_key_is_nobody(given: str) -> None:
    assert identify(gate(api_keys=("desk:k1",)), Authorization=given) is None


def test_token_brings_its_scopes_its_subject_and_its_end() -> None:
    asked = gate(jwt_secret=SECRET)
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
    assert identify(gate(jwt_secret=SECRET), Authorization=f"Bearer {bad}") is None


def test_public_key_verifies_and_cannot_be_used_as_a_secret() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    public = (
        private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    asked = gate(jwt_public_key=public)
    assert identify(asked, Authorization=f"Bearer {token(private, 'ES256')}") is not None
    assert identify(asked, Authorization=f"Bearer {token()}") is None


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        (None, True), ("http://switch.test", True), ("https://switch.test", True),
        ("https://app.example", True),
        ("https://APP.example/", True), ("https://evil.example", False), ("null", False),
        ("file://switch.test", False),
        ("http://switch.test.evil.example", False),
    ],
)  # fmt: skip
def test_origin_is_ours_or_listed(origin: str | None, welcome: bool) -> None:
    headers = {"Host": "switch.test"} | ({"Origin": origin} if origin is not None else {})
    request = make_mocked_request("GET", "/call", headers)
    assert gate(origins=("https://app.example",)).may_come_from(request) is welcome


def test_header_goes_before_the_query() -> None:
    request = make_mocked_request("GET", "/?token=q", {"Authorization": "Bearer h"})
    assert presented(request) == "h"
