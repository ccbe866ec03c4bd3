import dataclasses

import pytest
from sipmessage import AuthCredentials

from softswitch.sip.security.challenge import Challenger, Verdict
from softswitch.sip.security.digest import Credentials, NonceCounts, answer
from softswitch.sip.syntax.authentication import AuthParameters, parse_challenge
from softswitch.sip.syntax.uri import parse_uri

SECRET = bytes(range(32))
URI = "sip:example.com"


class Phone:
    """Answers what it is asked."""

    def __init__(self, password: str = "right", username: str = "alice") -> None:
        self.credentials = Credentials(username, password)
        self.counts = NonceCounts()

    def answer(self, challenge: str, uri: str = URI) -> AuthCredentials:
        given = answer(
            [parse_challenge(challenge)],
            self.credentials,
            method="REGISTER",
            uri=uri,
            cnonce="c",
            counts=self.counts,
        )
        assert given is not None
        return given


def changed(credentials: AuthCredentials, **parameters: str) -> AuthCredentials:
    assert credentials.parameters is not None
    return dataclasses.replace(credentials, parameters=credentials.parameters.replace(**parameters))


@pytest.fixture
def challenger() -> Challenger:
    return Challenger("softswitch", SECRET, algorithms=("MD5", "SHA-256"))


@pytest.mark.parametrize("line", [0, 1])
def test_the_right_password_is_let_in(challenger: Challenger, line: int):
    challenge = challenger.challenge(100.0)[line]
    assert f"algorithm={['MD5', 'SHA-256'][line]}" in challenge
    assert challenger.check(Phone().answer(challenge), "REGISTER", "right", 100.5) is Verdict.OK


def test_a_realm_with_quotes_is_answered():
    challenger = Challenger('our "switch"', SECRET)
    given = Phone().answer(challenger.challenge(0)[0])
    assert challenger.select([given]) is given
    assert challenger.check(given, "REGISTER", "right", 0) is Verdict.OK


def test_a_wrong_password_method_and_an_unknown_user_are_wrong_alike(challenger: Challenger):
    given = Phone().answer(challenger.challenge(100.0)[0])
    assert challenger.check(given, "REGISTER", "other", 100.5) is Verdict.WRONG
    assert challenger.check(given, "REGISTER", None, 100.5) is Verdict.WRONG
    assert challenger.check(given, "INVITE", "right", 100.5) is Verdict.WRONG
    unknown = Phone(password="").answer(challenger.challenge(100.0)[0])
    assert challenger.check(unknown, "REGISTER", None, 100.5) is Verdict.WRONG


@pytest.mark.parametrize(
    "change",
    [
        {"response": ""},
        {"response": "é"},
        {"algorithm": "SHA-512-256"},
        {"qop": "auth-int"},
        {"qop": "", "nc": ""},
        {"nc": "1"},
        {"nc": "0000000g"},
        {"cnonce": ""},
        {"username": "bob"},
        {"uri": "sip:other"},
    ],
)
def test_credentials_that_were_changed_are_wrong(challenger: Challenger, change: dict[str, str]):
    given = changed(Phone().answer(challenger.challenge(100.0)[0]), **change)
    assert challenger.check(given, "REGISTER", "right", 100.5) is Verdict.WRONG


def test_an_old_nonce_is_stale_and_the_next_good(challenger: Challenger):
    phone = Phone()
    given = phone.answer(challenger.challenge(100.0)[0])
    assert challenger.check(given, "REGISTER", "right", 401.0) is Verdict.STALE
    again = challenger.challenge(401.0, stale=True)[0]
    assert again.endswith(", stale=true")
    assert challenger.check(phone.answer(again), "REGISTER", "right", 401.0) is Verdict.OK


@pytest.mark.parametrize("nonce", ["", "x", "0-1-" + "0" * 32, "é", "fffffffffffff-1-" + "0" * 32])
def test_a_nonce_that_is_not_ours_tells_nothing_of_the_password(challenger: Challenger, nonce: str):
    challenge = f'Digest realm="softswitch", nonce="{nonce}", qop="auth", algorithm=MD5'
    assert challenger.check(Phone().answer(challenge), "REGISTER", "right", 1.0) is Verdict.STALE
    assert challenger.check(Phone().answer(challenge), "REGISTER", "other", 1.0) is Verdict.STALE


def test_a_nonce_of_another_process_source_or_time_to_come_is_stale(challenger: Challenger):
    foreign = Challenger("softswitch", bytes(32)).challenge(100.0, source="192.0.2.1")[0]
    assert (
        challenger.check(Phone().answer(foreign), "REGISTER", "right", 100.0, source="192.0.2.1")
        is Verdict.STALE
    )
    annas = challenger.challenge(100.0, source="192.0.2.1")[0]
    given = Phone().answer(annas)
    assert challenger.check(given, "REGISTER", "right", 100.0, source="192.0.2.2") is Verdict.STALE
    assert challenger.check(given, "REGISTER", "right", 99.0, source="192.0.2.1") is Verdict.STALE
    assert challenger.check(given, "REGISTER", "right", 100.0, source="192.0.2.1") is Verdict.OK


def test_what_was_let_in_once_is_a_replay(challenger: Challenger):
    given = Phone().answer(challenger.challenge(100.0)[0])
    assert challenger.check(given, "REGISTER", "right", 100.0) is Verdict.OK
    assert challenger.check(given, "REGISTER", "right", 100.1) is Verdict.STALE


def test_copies_of_one_request_are_let_in_for_a_while(challenger: Challenger):
    given = Phone().answer(challenger.challenge(100.0)[0])
    for now, transaction, verdict in (
        (100.0, "branch call cseq", Verdict.OK),
        (100.5, "branch call cseq", Verdict.OK),
        (101.0, "another call cseq", Verdict.STALE),
        (131.9, "branch call cseq", Verdict.OK),
        (133.0, "branch call cseq", Verdict.STALE),
    ):
        assert challenger.check(given, "REGISTER", "right", now, transaction=transaction) is verdict


def test_counts_may_come_out_of_order_once_each(challenger: Challenger):
    phone, challenge = Phone(), challenger.challenge(100.0)[0]
    given = [phone.answer(challenge) for _ in range(100)]

    def check(index: int) -> Verdict:
        return challenger.check(given[index], "REGISTER", "right", 101.0)

    assert check(2) is Verdict.OK
    assert check(0) is Verdict.OK
    assert check(1) is Verdict.OK
    assert check(1) is Verdict.STALE
    assert check(2) is Verdict.STALE
    assert check(90) is Verdict.OK
    assert check(27) is Verdict.OK
    assert check(26) is Verdict.STALE
    assert check(3) is Verdict.STALE


def test_a_nonce_without_qop_serves_once(challenger: Challenger):
    asked = parse_challenge(challenger.challenge(100.0)[0])
    old = f'Digest realm="softswitch", nonce="{asked.parameters["nonce"]}", algorithm=MD5'
    given = Phone().answer(old)
    assert given.parameters is not None
    assert "nc" not in given.parameters
    assert challenger.check(given, "REGISTER", "right", 100.0) is Verdict.OK
    assert challenger.check(given, "REGISTER", "right", 100.0) is Verdict.STALE


def test_a_use_that_was_forgotten_cannot_be_replayed():
    challenger = Challenger("softswitch", SECRET, most_nonces=4)
    given = [Phone().answer(challenger.challenge(100.0 + n)[0]) for n in range(10)]
    for one in given:
        assert challenger.check(one, "REGISTER", "right", 110.0) is Verdict.OK
    for one in given:
        assert challenger.check(one, "REGISTER", "right", 110.0) is Verdict.STALE


def test_uses_are_forgotten_when_their_nonce_is_old():
    challenger = Challenger("softswitch", SECRET, lifetime_s=10)
    for n in range(1000):
        given = Phone().answer(challenger.challenge(float(n))[0])
        assert challenger.check(given, "REGISTER", "right", float(n)) is Verdict.OK
    assert len(challenger._uses) < 20


def test_two_challenges_of_one_moment_are_not_the_same(challenger: Challenger):
    assert challenger.challenge(100.0) != challenger.challenge(100.0)


def test_credentials_must_name_who_is_called(challenger: Challenger):
    given = Phone().answer(challenger.challenge(100.0)[0], uri="sip:bob@example.com;transport=tcp")

    def check(uri: str) -> Verdict:
        return challenger.check(given, "REGISTER", "right", 100.0, uri=parse_uri(uri))

    assert check("sip:carol@example.com") is Verdict.WRONG
    assert check("sip:bob@EXAMPLE.com") is Verdict.OK
    bad = Phone().answer(challenger.challenge(100.0)[0], uri="nonsense")
    assert challenger.check(bad, "REGISTER", "right", 100.0, uri=parse_uri("sip:a@b")) is Verdict.WRONG


def test_ours_are_those_of_our_realm_and_scheme(challenger: Challenger):
    others = [
        AuthCredentials(scheme="Bearer", token="x"),
        AuthCredentials(scheme="Basic", parameters=AuthParameters({"realm": "softswitch"})),
        AuthCredentials(scheme="Digest", parameters=AuthParameters({"realm": "other"})),
    ]
    assert challenger.select(others) is None
    mine = AuthCredentials(scheme="DIGEST", parameters=AuthParameters({"realm": "softswitch"}))
    assert challenger.select([*others, mine]) is mine
    assert challenger.check(others[0], "REGISTER", "right", 0) is Verdict.STALE
