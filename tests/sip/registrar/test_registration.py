"""A trunk's registration against a registrar made by hand."""

import random
from typing import Any

import pytest

from softswitch.sip.agent import Flow, UserAgent
from softswitch.sip.dialog.request import OutgoingRequest
from softswitch.sip.events import RequestAnswered
from softswitch.sip.registrar.registration import (
    Registered,
    Registration,
    RegistrationFailed,
    RegistrationOptions,
    Unregistered,
)
from softswitch.sip.security.digest import Credentials
from softswitch.sip.syntax import message
from softswitch.sip.syntax.grammar import MalformedError
from softswitch.sip.syntax.message import copy_for_reply

ONE = Flow("udp", "10.0.0.2", 5060, 0, "10.0.0.1", 5060)
TWO = Flow("udp", "10.0.0.3", 5060, 0, "10.0.0.1", 5060)


class Trunk:
    """A registration, its agent, and registrars that answer as told."""

    def __init__(self, *targets: Flow, expires: int = 600, seed: int = 1) -> None:
        entropy = random.Random(seed).randbytes
        self.agent = UserAgent(entropy=entropy)
        wish = RegistrationOptions(
            "sip:example.org",
            "sip:anna@example.org",
            targets or (ONE,),
            Credentials("anna", "secret"),
            "anna",
            expires,
        )
        self.registration = Registration(wish, self.agent, entropy=entropy)
        self.now = 100.0
        self.answer: Any = lambda request, host: (200, {"Expires": "300"})
        self.requests: list = []
        self.told: list = []

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        for _ in range(10_000):
            self.drain()
            times = [one for one in (self.agent.deadline(), self.registration.deadline()) if one is not None]
            if not times or min(times) > until:
                self.now = until
                return
            self.now = max(self.now, min(times))
            self.agent.elapse(self.now)
            self.registration.elapse(self.now)
        raise AssertionError("the registration never rests")

    def drain(self) -> None:
        busy = True
        while busy:
            busy = False
            for out in self.agent.take_outgoing():
                request: Any = message.parse(out.data)
                self.requests.append((self.now, out.to.host, request))
                said = self.answer(request, out.to.host)
                if said is not None:
                    busy = True
                    response = copy_for_reply(request, said[0], "X", "t")
                    for name, value in said[1].items():
                        response.headers.set(name, value)
                    self.agent.receive(message.parse(bytes(response)), out.to, self.now)
            for happening in self.agent.take_events():
                assert isinstance(happening, RequestAnswered)
                assert self.registration.take(happening, self.now)
                busy = True
            self.told += self.registration.take_events()


def test_registration_is_refreshed_before_the_granted_time_ends():
    trunk = Trunk()
    trunk.registration.start(trunk.now)
    trunk.run(1000)
    times = [when for when, _, _ in trunk.requests]
    assert times == [100.0, 390.0, 680.0, 970.0]
    assert trunk.told[0] == Registered(300, ONE, fresh=True)
    assert all(isinstance(one, Registered) and not one.fresh for one in trunk.told[1:])
    first, second = trunk.requests[0][2], trunk.requests[1][2]
    assert first.headers["Expires"] == "600"
    assert str(first.contact[0].uri) == "sip:anna@10.0.0.1:5060"
    assert first.call_id == second.call_id
    assert second.cseq.sequence > first.cseq.sequence
    assert trunk.registration.flow == ONE


def test_time_granted_to_our_contact_counts_before_expires():
    trunk = Trunk()
    contact = '<sip:else@10.9.9.9>;expires=9, "x" <sip:anna@10.0.0.1:5060>;expires=120'
    trunk.answer = lambda *_: (200, {"Contact": contact, "Expires": "3600"})
    trunk.registration.start(trunk.now)
    trunk.run(1)
    assert trunk.registration.expires == 120
    assert trunk.registration.deadline() == 100 + 110


def test_challenge_is_answered():
    trunk = Trunk()

    def answer(request, _host):
        if "Authorization" in request.headers:
            return 200, {"Expires": "60"}
        return 401, {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'}

    trunk.answer = answer
    trunk.registration.start(trunk.now)
    trunk.run(1)
    assert [request.cseq.sequence for _, _, request in trunk.requests] == [1, 2]
    assert trunk.registration.state == "registered"


def test_wrong_password_is_tried_seldom():
    trunk = Trunk()
    trunk.answer = lambda *_: (401, {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'})
    trunk.registration.start(trunk.now)
    trunk.run(29)
    assert len(trunk.requests) == 2
    failed = trunk.told[0]
    assert isinstance(failed, RegistrationFailed)
    assert failed.code == 401
    assert 30 <= failed.retry_s <= 60
    assert trunk.registration.state == "waiting"


def test_interval_too_brief_is_asked_longer():
    trunk = Trunk(expires=60)
    trunk.answer = lambda request, _: (
        (200, {}) if request.headers["Expires"] == "1800" else (423, {"Min-Expires": "1800"})
    )
    trunk.registration.start(trunk.now)
    trunk.run(1)
    assert trunk.registration.expires == 1800
    assert len(trunk.requests) == 2


def test_423_that_asks_for_nothing_more_is_a_failure():
    trunk = Trunk(expires=60)
    trunk.answer = lambda *_: (423, {"Min-Expires": "60"})
    trunk.registration.start(trunk.now)
    trunk.run(1)
    assert trunk.told[0].code == 423


def test_pauses_grow_with_jitter_and_stay_bounded():
    trunk = Trunk()
    trunk.answer = lambda *_: (500, {})
    trunk.registration.start(trunk.now)
    trunk.run(4000)
    pauses = [one.retry_s for one in trunk.told]
    for number, pause in enumerate(pauses):
        longest = min(5.0 * 2**number, 300.0)
        assert longest / 2 <= pause <= longest
    other = Trunk(seed=2)
    other.answer = trunk.answer
    other.registration.start(other.now)
    other.run(4000)
    assert pauses[:5] != [one.retry_s for one in other.told][:5]


def test_retry_after_is_honoured():
    trunk = Trunk()
    trunk.answer = lambda *_: (503, {"Retry-After": "77 (busy);duration=3"})
    trunk.registration.start(trunk.now)
    trunk.run(1)
    assert trunk.told[0].retry_s == 77


@pytest.mark.parametrize("how", ["silent", "503"])
def test_next_server_is_registered_at_when_the_first_fails_and_kept(how):
    trunk = Trunk(ONE, TWO)
    trunk.answer = lambda _request, host: (
        (200, {"Expires": "100"}) if host == TWO.host else None if how == "silent" else (503, {})
    )
    trunk.registration.start(trunk.now)
    trunk.run(10)
    assert trunk.told == [Registered(100, TWO, fresh=True)]
    trunk.requests.clear()
    trunk.run(95)
    assert {host for _, host, _ in trunk.requests} == {TWO.host}


def test_all_servers_silent_is_408_and_the_binding_lapses():
    trunk = Trunk(expires=60)
    trunk.answer = lambda *_: (200, {"Expires": "60"})
    trunk.registration.start(trunk.now)
    trunk.run(1)
    trunk.answer = lambda *_: None
    trunk.run(200)
    failed = trunk.told[1]
    assert (failed.code, failed.local) == (408, True)
    assert trunk.registration.flow is None
    trunk.answer = lambda *_: (200, {"Expires": "60"})
    trunk.run(400)
    assert trunk.told[-1] == Registered(60, ONE, fresh=False) or trunk.told[-1].fresh


def test_stop_takes_the_binding_back():
    trunk = Trunk()
    trunk.registration.start(trunk.now)
    trunk.run(1)
    trunk.registration.stop(trunk.now)
    trunk.registration.stop(trunk.now)
    trunk.run(100)
    assert trunk.requests[-1][2].headers["Expires"] == "0"
    assert len(trunk.requests) == 2
    assert trunk.told[-1] == Unregistered(200)
    assert (trunk.registration.state, trunk.registration.deadline()) == ("unregistered", None)


def test_stop_while_registering_undoes_what_comes_of_it():
    trunk = Trunk()
    said: list = [None, (200, {}), (200, {})]
    trunk.answer = lambda *_: said.pop(0)
    trunk.registration.start(trunk.now)
    trunk.drain()
    trunk.registration.stop(trunk.now)
    trunk.run(10)
    assert [request.headers["Expires"] for _, _, request in trunk.requests] == ["600", "600", "0"]
    assert trunk.told == [Unregistered(200)]


def test_stop_without_a_binding_asks_nothing():
    trunk = Trunk()
    trunk.answer = lambda *_: (403, {})
    trunk.registration.start(trunk.now)
    trunk.run(1)
    trunk.registration.stop(trunk.now)
    trunk.run(100)
    assert len(trunk.requests) == 1
    assert isinstance(trunk.told[-1], Unregistered)


def test_refresh_and_new_servers_take_effect_at_once():
    trunk = Trunk()
    trunk.registration.start(trunk.now)
    trunk.run(1)
    trunk.registration.retarget((TWO,))
    trunk.registration.refresh(trunk.now)
    trunk.run(1)
    assert trunk.requests[-1][1] == TWO.host
    assert trunk.registration.flow == TWO


def test_others_outcomes_are_not_taken():
    trunk = Trunk()
    options = OutgoingRequest("OPTIONS", "sip:x", from_="<sip:a@b>", to="<sip:c@d>", targets=(ONE,))
    trunk.agent.request(options, 0.0)
    trunk.agent.elapse(40.0)
    (answered,) = trunk.agent.take_events()
    assert isinstance(answered, RequestAnswered)
    assert trunk.registration.take(answered, 40.0) is False


def test_options_without_server_or_with_a_bad_uri_names_the_field():
    agent = UserAgent(entropy=random.Random(1).randbytes)
    for wish, field in (
        (RegistrationOptions("sip:a", "sip:b@a", ()), "targets"),
        (RegistrationOptions("nothing", "sip:b@a", (ONE,)), "registrar"),
        (RegistrationOptions("sip:a", "<>", (ONE,)), "aor"),
    ):
        with pytest.raises(MalformedError) as caught:
            Registration(wish, agent, entropy=random.Random(1).randbytes)
        assert caught.value.field == field
