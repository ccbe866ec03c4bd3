import hashlib

import pytest

from softswitch.sip.security import digest
from softswitch.sip.security.digest import Credentials, NonceCounts, answer
from softswitch.sip.syntax.authentication import parse_challenge, parse_credentials


def responded(challenge: str, credentials: Credentials, **request: object) -> dict[str, str]:
    asked = {
        "method": "REGISTER",
        "uri": "sip:example.com",
        "cnonce": "c",
        "counts": NonceCounts(),
        **request,
    }
    given = answer([parse_challenge(challenge)], credentials, **asked)  # type: ignore[arg-type]
    assert given is not None
    again = parse_credentials(str(given))
    assert again.parameters is not None
    return dict(again.parameters)


def test_the_example_of_rfc_2617_comes_out():
    challenge = (
        'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    given = responded(
        challenge,
        Credentials("Mufasa", "Circle Of Life"),
        method="GET",
        uri="/dir/index.html",
        cnonce="0a4f113b",
    )
    assert given["response"] == "6629fae49393a05397450978507c4ef1"
    assert (given["qop"], given["nc"], given["opaque"]) == (
        "auth",
        "00000001",
        "5ccc069c403ebaf9f0171e9517f40e41",
    )
    assert "algorithm" not in given


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616_come_out(algorithm: str, response: str):
    challenge = (
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"'
    )
    given = responded(
        challenge,
        Credentials("Mufasa", "Circle of Life"),
        method="GET",
        uri="/dir/index.html",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert given["response"] == response
    assert given["algorithm"] == algorithm


def test_sha_512_256_and_auth_int_are_answered():
    given = responded(
        'Digest realm="r", nonce="n", qop="auth-int", algorithm=SHA-512-256',
        Credentials("u", "p"),
        body=b"v=0",
    )

    def h(text: str | bytes) -> str:
        return hashlib.new("sha512_256", text.encode() if isinstance(text, str) else text).hexdigest()

    a2 = h(f"REGISTER:sip:example.com:{h(b'v=0')}")
    assert given["response"] == h(f"{h('u:r:p')}:n:00000001:c:auth-int:{a2}")


def test_a_server_of_old_that_names_no_qop_gets_none():
    given = responded('Digest realm="r", nonce="n"', Credentials("u", "p"))
    assert "qop" not in given
    assert "cnonce" not in given
    assert given["response"] == digest.hash_of(
        "MD5", f"{digest.hash_of('MD5', 'u:r:p')}:n:" + digest.hash_of("MD5", "REGISTER:sip:example.com")
    )


def test_the_first_challenge_that_is_known_is_answered():
    challenges = [
        parse_challenge(text)
        for text in (
            'Basic realm="r"',
            'Digest realm="r", nonce="1", algorithm=AKAv1-MD5',
            'Digest realm="other", nonce="2"',
            'Digest realm="r", nonce="3", qop="token"',
            'Digest realm="r"',
            'Digest realm="r", nonce="4", algorithm=SHA-256, qop="auth"',
            'Digest realm="r", nonce="5", algorithm=MD5, qop="auth"',
        )
    ]
    given = answer(
        challenges,
        Credentials("u", "p", realm="r"),
        method="BYE",
        uri="sip:a",
        cnonce="c",
        counts=NonceCounts(),
    )
    assert given is not None
    assert given.parameters is not None
    assert given.parameters["nonce"] == "4"
    assert (
        answer(
            challenges[:5],
            Credentials("u", "p", realm="r"),
            method="BYE",
            uri="sip:a",
            cnonce="c",
            counts=NonceCounts(),
        )
        is None
    )


def test_each_use_of_a_nonce_has_the_next_count():
    counts = NonceCounts()
    assert [counts.next("a"), counts.next("a"), counts.next("b"), counts.next("a")] == [1, 2, 1, 3]


def test_the_nonce_longest_unused_is_forgotten_first():
    counts = NonceCounts()
    counts.next("first")
    counts.next("second")
    counts.next("first")
    for number in range(NonceCounts.MOST - 1):
        counts.next(str(number))
    assert "first" in counts
    assert "second" not in counts
    assert counts.next("first") == 3


def test_a_stale_nonce_is_told():
    assert digest.is_stale([parse_challenge('Digest realm="r", nonce="n", stale="TRUE"')])
    assert not digest.is_stale([parse_challenge('Digest realm="r", nonce="n", stale=false')])
    assert not digest.is_stale([])


def test_a_password_is_not_printed():
    assert "hunter2" not in repr(Credentials("u", "hunter2"))
