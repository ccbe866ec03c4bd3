import pytest

from softswitch.sip.syntax import authentication
from softswitch.sip.syntax.authentication import AuthParameters, parse_challenge, parse_credentials
from softswitch.sip.syntax.grammar import MalformedError


def test_a_challenge_with_a_list_in_quotes_is_one():
    found = parse_challenge(
        'Digest realm="a, \\"b\\"", qop="auth,auth-int", NONCE="n==", stale=FALSE, algorithm=MD5'
    )
    assert found.scheme == "Digest"
    assert dict(found.parameters) == {
        "realm": 'a, "b"',
        "qop": "auth,auth-int",
        "nonce": "n==",
        "stale": "FALSE",
        "algorithm": "MD5",
    }
    assert str(found) == (
        'Digest realm="a, \\"b\\"", qop="auth,auth-int", nonce="n==", stale=FALSE, algorithm=MD5'
    )


def test_credentials_are_written_with_a_bare_qop():
    parameters = AuthParameters({"username": "a", "qop": "auth", "nc": "00000001", "uri": "sip:b"})
    assert str(parameters) == 'username="a", qop="auth", nc=00000001, uri="sip:b"'
    assert str(parameters.for_credentials().replace(opaque="")) == (
        'username="a", qop=auth, nc=00000001, uri="sip:b", opaque=""'
    )


def test_credentials_may_be_one_token():
    found = parse_credentials("Bearer abc.def-ghi")
    assert (found.scheme, found.token, found.parameters) == ("Bearer", "abc.def-ghi", None)


@pytest.mark.parametrize(
    "text", ["", "Digest a", 'Digest a="', 'Digest a="b" c="d"', "Digest a=1, A=2", "=x", "(x"]
)
def test_what_is_no_challenge_is_malformed(text: str):
    with pytest.raises(MalformedError):
        parse_challenge(text)


def test_too_many_parameters_are_malformed():
    with pytest.raises(MalformedError):
        parse_credentials("Digest " + ", ".join(f"p{n}=1" for n in range(40)))


def test_what_cannot_be_read_hides_nothing_that_can():
    lines = ["(bad", 'Digest realm="x", nonce="n"', "NoOneKnowsThisScheme opaque-data=here"]
    assert [one.scheme for one in authentication.readable_challenges(lines)] == [
        "Digest",
        "NoOneKnowsThisScheme",
    ]
    assert [one.scheme for one in authentication.readable_credentials(lines)] == [
        "Digest",
        "NoOneKnowsThisScheme",
    ]
    assert len(authentication.readable_credentials(["Bearer x"] * 100)) == 8


def test_what_is_printed_of_parameters_has_no_secret():
    assert "n123" not in repr(AuthParameters({"nonce": "n123"}))
