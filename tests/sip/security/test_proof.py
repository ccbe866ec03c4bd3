"""Answers to challenges: counted from one, and not given twice where the password was not liked."""

import re

from softswitch.sip.security.digest import Credentials
from softswitch.sip.security.proof import Proof
from softswitch.sip.syntax.message import Request, Response
from softswitch.sip.syntax.uri import parse_uri


def challenge(nonce: str, code: int = 401, more: str = "") -> Response:
    response = Response(code, "Unauthorized")
    name = "WWW-Authenticate" if code == 401 else "Proxy-Authenticate"
    response.headers.add(name, f'Digest realm="r", nonce="{nonce}", qop="auth", algorithm=MD5{more}')
    return response


def counts(request: Request, header: str = "Authorization") -> list[str]:
    return [match for value in request.headers.getlist(header) for match in re.findall(r"nc=(\w+)", value)]


def attached(proof: Proof, method: str = "REGISTER") -> Request:
    request = Request(method, parse_uri("sip:r"))
    proof.attach(request)
    return request


def test_first_answer_to_a_nonce_has_the_count_one_and_the_next_two() -> None:
    proof = Proof(Credentials("ann", "secret"), bytes)
    assert proof.learn(challenge("n1"), set())
    assert counts(attached(proof)) == ["00000001"]
    assert counts(attached(proof)) == ["00000002"]
    assert proof.learn(challenge("n2", more=", stale=true"), {("Authorization", "r")})
    assert counts(attached(proof)) == ["00000001"]


def test_who_asks_again_did_not_like_the_password() -> None:
    proof = Proof(Credentials("ann", "secret"), bytes)
    answered: set[tuple[str, str]] = set()
    assert proof.learn(challenge("n1"), answered)
    assert not proof.learn(challenge("n2"), answered)


def test_proxy_and_server_are_both_answered() -> None:
    proof = Proof(Credentials("ann", "secret"), bytes)
    assert proof.learn(challenge("n1"), set())
    assert proof.learn(challenge("p1", 407), set())
    request = attached(proof, "INVITE")
    assert counts(request) == counts(request, "Proxy-Authorization") == ["00000001"]


def test_without_credentials_nothing_is_answered() -> None:
    proof = Proof(None, bytes)
    assert not proof.learn(challenge("n1"), set())
    assert not attached(proof).headers.getlist("Authorization")
