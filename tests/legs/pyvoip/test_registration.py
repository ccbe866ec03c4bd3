"""The registration of a trunk, with a fake registrar and a fake clock."""

from collections.abc import Callable

import pytest

from softswitch.legs.pyvoip.account import Account, Address
from softswitch.legs.pyvoip.registration import LAST_RETRY_S, PING_S, Registration
from softswitch.sip.syntax.message import Request, Response, copy_for_reply

ACCOUNT = Account(
    name="t",
    servers=(("192.0.2.1", 5060), ("192.0.2.2", 5060)),
    host="sip.example",
    domain="example",
    bind=("127.0.0.1", 0),
    own_host="127.0.0.1",
    media_host="127.0.0.1",
    username="alice",
    password="secret",
    register=True,
    expires=600,
)
TEXT = (
    "REGISTER sip:example SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKx\r\n"
    "From: <sip:alice@example>;tag=1\r\nTo: <sip:alice@example>\r\nCall-ID: other\r\nCSeq: 1 REGISTER\r\n"
    "Contact: <sip:x>\r\nContent-Length: 0\r\n\r\n"
)


class Client:
    """What a registration asks of its client; the test answers."""

    def __init__(self) -> None:
        """Begin at a time."""
        self.account = ACCOUNT
        self.now = 1000.0
        self.asked: list[tuple[Request, Address]] = []
        self.sent: list[tuple[bytes, Address]] = []
        self.registration = Registration(self, lambda: self.now)
        self.can_prove = True

    def ask(
        self,
        request: Request,
        to: Address,
        answered: Callable[[Response, Address], None],
        given_up: Callable[[], None],
    ) -> str:
        """Remember a request."""
        self.asked.append((request, to))
        self._answered, self.given_up = answered, given_up
        request.headers.set("Via", "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKx")
        return "branch"

    def send(self, data: bytes, to: Address) -> None:
        """Remember a datagram."""
        self.sent.append((data, to))

    def gen_first_response(self, deregister: bool = False) -> str:
        """Return what pyVoIP would."""
        return TEXT

    def gen_call_id(self) -> str:
        """Return the only one."""
        return "call-id"

    def contact(self) -> str:
        """Return the only one."""
        return "<sip:alice@127.0.0.1:5060>"

    def prove(self, request: Request, response: Response) -> Request | None:
        """Return the request with one more on its number."""
        if not self.can_prove:
            return None
        again = Request(request.method, request.uri)
        again.headers = request.headers.copy()
        again.headers.set("CSeq", f"{request.cseq.sequence + 1} REGISTER")
        return again

    def answer(self, code: int, phrase: str = "-", **headers: str) -> None:
        """Answer the last request."""
        request, to = self.asked[-1]
        response = copy_for_reply(request, code, phrase, "far")
        for name, value in headers.items():
            response.headers.set(name.replace("_", "-"), value)
        self._answered(response, to)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, step by step."""
        end = self.now + seconds
        while self.registration.due <= end:
            self.now = max(self.now, self.registration.due)
            self.registration.elapse(self.now)
        self.now = end

    @property
    def numbers(self) -> list[int]:
        """Return the sequence numbers so far."""
        return [request.cseq.sequence for request, _ in self.asked]


@pytest.fixture
def client() -> Client:
    made = Client()
    made.registration.begin()
    made.pass_time(0)
    return made


def test_registration_asks_for_its_time_and_renews_within_the_granted_one(client: Client) -> None:
    request, to = client.asked[0]
    assert (to, request.headers["Expires"]) == (("192.0.2.1", 5060), "600")
    assert client.registration.standing.state == "registering"
    client.answer(200, Expires="60")
    standing = client.registration.standing
    assert (standing.state, standing.expires_s) == ("registered", 60)
    client.pass_time(50)
    assert len(client.asked) == 1
    client.pass_time(9)
    assert len(client.asked) == 2
    assert client.asked[1][0].call_id == request.call_id


def test_time_of_our_own_contact_counts_before_that_of_others(client: Client) -> None:
    client.answer(
        200, Expires="3600", Contact="<sip:x@192.0.2.9:5060>;expires=9, <sip:alice@127.0.0.1:5060>;expires=77"
    )
    assert client.registration.standing.expires_s == 77


def test_numbers_grow_through_proofs_and_renewals(client: Client) -> None:
    client.answer(401)
    client.answer(200, Expires="60")
    client.pass_time(60)
    client.answer(407)
    client.answer(200, Expires="60")
    assert client.numbers == [1, 2, 3, 4]


def test_proofs_end_even_where_the_registrar_asks_for_ever(client: Client) -> None:
    for _ in range(3):
        client.answer(401, "Unauthorized")
    assert len(client.asked) == 3
    standing = client.registration.standing
    assert (standing.state, standing.code, standing.reason) == ("failed", 401, "Unauthorized")


def test_wrong_password_fails_at_once_and_is_tried_again_later(client: Client) -> None:
    client.can_prove = False
    client.answer(403, "Forbidden")
    assert client.registration.standing.state == "failed"
    assert client.registration.standing.code == 403
    client.pass_time(7)
    assert len(client.asked) == 2


def test_next_server_is_asked_after_a_failure_and_the_waits_grow_to_a_bound(client: Client) -> None:
    waits, servers = [], []
    for _ in range(40):
        servers.append(client.asked[-1][1][0][-1])
        client.given_up()
        waits.append(client.registration.due - client.now)
        client.pass_time(waits[-1])
    assert "".join(servers[:4]) == "1212"
    assert waits[0] < 7
    assert max(waits) <= LAST_RETRY_S * 1.25
    assert min(waits[-5:]) >= LAST_RETRY_S * 0.75


def test_time_that_is_too_short_is_asked_for_again_at_once(client: Client) -> None:
    client.answer(423, Min_Expires="1800")
    client.pass_time(0)
    assert client.asked[-1][0].headers["Expires"] == "1800"
    client.answer(423, Min_Expires="60")
    assert client.registration.standing.code == 423


def test_way_through_a_nat_is_kept_open_while_registered(client: Client) -> None:
    client.answer(200)
    client.pass_time(3 * PING_S)
    assert client.sent == [(b"\r\n\r\n", ("192.0.2.1", 5060))] * 3


def test_end_takes_the_registration_back_once(client: Client) -> None:
    client.answer(200)
    client.registration.end()
    client.registration.end()
    assert [request.headers["Expires"] for request, _ in client.asked] == ["600", "0"]
    client.answer(401)
    client.answer(200)
    assert client.registration.standing.state == "unregistered"
    client.pass_time(10_000)
    assert len(client.asked) == 3
    assert client.sent == []


def test_end_before_the_answer_takes_it_back_when_that_comes(client: Client) -> None:
    client.registration.end()
    client.answer(200)
    assert client.asked[-1][0].headers["Expires"] == "0"
    client.given_up()
    assert client.registration.standing.state == "unregistered"
