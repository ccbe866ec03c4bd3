"""Bearer tokens in place of a password."""

import pytest

from softswitch.sip.security.bearer import bearer_challenge, select_bearer
from softswitch.sip.syntax.authentication import parse_challenge, readable_credentials

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl-_"


def test_challenge_is_read_by_a_parser() -> None:
    assert bearer_challenge("pbx") == 'Bearer realm="pbx"'
    value = bearer_challenge('p"bx', server="https://id.example.org", error="invalid_token")
    read = parse_challenge(value)
    assert read.scheme == "Bearer"
    assert dict(read.parameters or {}) == {
        "realm": 'p"bx',
        "authz_server": "https://id.example.org",
        "error": "invalid_token",
    }


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([f"Bearer {TOKEN}"], TOKEN),
        ([f"bearer   {TOKEN}"], TOKEN),
        (['Digest realm="x"', f"Bearer {TOKEN}"], TOKEN),
        ([], None),
        (["Bearer"], None),
        (["Bearer a b"], None),
        (["Basic YTpi"], None),
    ],
)
def test_token_is_found_among_credentials(lines: list[str], found: str | None) -> None:
    assert select_bearer(readable_credentials(lines)) == found
