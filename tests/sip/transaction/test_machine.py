"""The four machines at work, second by second."""

import gc
import weakref
from collections import Counter

import pytest

from softswitch.sip.syntax import message
from softswitch.sip.syntax.head import read_head
from softswitch.sip.syntax.message import Request, Response, copy_for_reply
from softswitch.sip.transaction.alarms import Alarms
from softswitch.sip.transaction.flow import Flow
from softswitch.sip.transaction.machine import reply_flow
from softswitch.sip.transaction.tables import State
from softswitch.sip.transaction.timers import Timers
from softswitch.sip.transaction.transactions import Transactions

UDP = Flow("udp", "10.0.0.2", 5060, 0, "10.0.0.1", 5060)
TCP = Flow("tcp", "10.0.0.2", 5060, 3, "10.0.0.1", 5060)


class TransactionHarness:
    """A transaction table with a clock, which records the responses passed to its owner."""

    def __init__(self, limit: int = 1000) -> None:
        self.alarms = Alarms()
        self.counters: Counter[str] = Counter()
        self.table = Transactions(Timers(), self.alarms, limit, self.counters)
        self.heard: list[tuple[float, int, bool]] = []

    def pass_time(self, until: float) -> None:
        while (when := self.alarms.next()) is not None and when <= until:
            self.table.now = when
            call = self.alarms.take_due(when)
            assert call is not None
            call()
            self.table.run_callbacks()
        self.table.now = until

    def hear(self, _transaction, response: Response, synthetic: bool) -> None:
        self.heard.append((self.table.now, response.code, synthetic))

    def ask(self, method: str, flow: Flow):
        return self.table.start_client(request(method), flow, self.hear)

    def listen(self, method: str, flow: Flow):
        incoming = request(method)
        return self.table.start_server(read_head(incoming), incoming, flow, "annas")

    def sent(self, until: float) -> list[tuple[float, str]]:
        """What is sent until then, with the time."""
        found: list[tuple[float, str]] = []
        self.take(found)
        while (when := self.alarms.next()) is not None and when <= until:
            self.pass_time(when)
            self.take(found)
        self.table.now = until
        return found

    def take(self, found) -> None:
        taken, self.table.outgoing = self.table.outgoing, []
        found.extend(
            (self.table.now, one.data.split(b" ", 2)[0 if one.data[:3] != b"SIP" else 1].decode())
            for one in taken
        )

    def answer(self, transaction, code: int) -> None:
        transaction.receive(copy_for_reply(transaction.request, code, "X", "berts"))
        self.table.run_callbacks()


def request(method: str, branch: str = "z9hG4bK1") -> Request:
    parsed = message.parse(
        f"{method} sip:b@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch={branch}\r\n"
        f"Max-Forwards: 70\r\n"
        f"From: <sip:a@10.0.0.1>;tag=a\r\nTo: <sip:b@10.0.0.2>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\n"
        "Contact: <sip:a@10.0.0.1>\r\nAuthorization: Digest x=y\r\n\r\n".encode()
    )
    assert isinstance(parsed, Request)
    return parsed


def test_invite_without_response_is_sent_seven_times_and_times_out():
    harness = TransactionHarness()
    harness.ask("INVITE", UDP)
    sent = harness.sent(40)
    assert [when for when, _ in sent] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert harness.heard == [(32.0, 408, True)]
    assert len(harness.table) == 0


def test_invite_on_a_reliable_transport_is_sent_once():
    harness = TransactionHarness()
    harness.ask("INVITE", TCP)
    assert harness.sent(40) == [(0, "INVITE")]
    assert harness.heard == [(32.0, 408, True)]


def test_provisional_response_ends_the_copies_and_the_patience_is_the_owners():
    harness = TransactionHarness()
    transaction = harness.ask("INVITE", UDP)
    harness.answer(transaction, 180)
    assert harness.sent(1000) == [(0, "INVITE")]
    assert transaction.state is State.PROCEEDING


@pytest.mark.parametrize(("flow", "lives"), [(UDP, 32.0), (TCP, 0.0)])
def test_refusal_is_acknowledged_as_often_as_it_comes(flow, lives):
    harness = TransactionHarness()
    transaction = harness.ask("INVITE", flow)
    harness.answer(transaction, 486)
    if lives:
        harness.answer(transaction, 486)
    assert [what for _, what in harness.sent(0)] == ["INVITE", "ACK"] + ["ACK"] * bool(lives)
    assert harness.heard == [(0.0, 486, False)]
    harness.pass_time(lives - 0.1)
    assert len(harness.table) == bool(lives)
    harness.pass_time(lives + 0.1)
    assert len(harness.table) == 0


def test_ack_of_a_refusal_takes_branch_and_credentials_of_the_invite():
    harness = TransactionHarness()
    transaction = harness.ask("INVITE", UDP)
    harness.answer(transaction, 486)
    ack = message.parse(harness.table.outgoing[-1].data)
    assert ack.headers["Authorization"] == "Digest x=y"
    assert ack.via[0].parameters["branch"] == "z9hG4bK1"
    assert ack.to_address.parameters["tag"] == "berts"


def test_accepted_invite_hears_further_2xx_for_a_while():
    harness = TransactionHarness()
    transaction = harness.ask("INVITE", UDP)
    for _ in range(3):
        harness.answer(transaction, 200)
    assert [code for _, code, _ in harness.heard] == [200, 200, 200]
    harness.pass_time(31.9)
    assert len(harness.table) == 1
    harness.pass_time(32.1)
    assert len(harness.table) == 0


def test_request_is_sent_at_growing_pauses_up_to_t2():
    harness = TransactionHarness()
    harness.ask("OPTIONS", UDP)
    assert [when for when, _ in harness.sent(40)] == [
        0,
        0.5,
        1.5,
        3.5,
        7.5,
        11.5,
        15.5,
        19.5,
        23.5,
        27.5,
        31.5,
    ]
    assert harness.heard == [(32.0, 408, True)]


def test_request_that_is_worked_on_is_sent_every_t2():
    harness = TransactionHarness()
    transaction = harness.ask("OPTIONS", UDP)
    harness.answer(transaction, 100)
    assert [when for when, _ in harness.sent(13)] == [0, 0.5, 4.5, 8.5, 12.5]
    harness.pass_time(40)
    assert harness.heard[-1] == (32.0, 408, True)


@pytest.mark.parametrize(("flow", "lives"), [(UDP, 5.0), (TCP, 0.0)])
def test_answered_request_absorbs_copies_for_t4(flow, lives):
    harness = TransactionHarness()
    transaction = harness.ask("OPTIONS", flow)
    harness.answer(transaction, 200)
    if lives:
        harness.answer(transaction, 200)
    assert [code for _, code, _ in harness.heard] == [200]
    harness.pass_time(lives + 0.1)
    assert len(harness.table) == 0


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_transport_that_refuses_is_503(method):
    harness = TransactionHarness()
    transaction = harness.ask(method, UDP)
    assert harness.table.send_failed(transaction.key)
    harness.table.run_callbacks()
    assert harness.heard == [(0.0, 503, True)]
    assert harness.table.send_failed(transaction.key) is False


def test_connection_that_breaks_takes_its_requests_along():
    harness = TransactionHarness()
    harness.ask("OPTIONS", TCP)
    harness.table.start_client(request("OPTIONS", "z9hG4bK2"), UDP, harness.hear)
    harness.table.flow_failed(TCP)
    harness.table.run_callbacks()
    assert harness.heard == [(0.0, 503, True)]


def test_refused_invite_repeats_the_refusal_until_its_ack():
    harness = TransactionHarness()
    transaction = harness.listen("INVITE", UDP)
    transaction.respond(copy_for_reply(transaction.request, 486, "Busy", "annas"))
    assert [when for when, _ in harness.sent(12)] == [0, 0.5, 1.5, 3.5, 7.5, 11.5]
    transaction.fire("ack")
    assert harness.sent(16) == []
    assert transaction.state is State.CONFIRMED
    harness.pass_time(18)
    assert len(harness.table) == 0


def test_refused_invite_gives_up_without_ack():
    harness = TransactionHarness()
    transaction = harness.listen("INVITE", UDP)
    transaction.respond(copy_for_reply(transaction.request, 486, "Busy", "annas"))
    harness.pass_time(33)
    assert len(harness.table) == 0


def test_copies_of_an_invite_get_the_last_provisional_response():
    harness = TransactionHarness()
    transaction = harness.listen("INVITE", UDP)
    transaction.fire("request")
    assert harness.sent(0) == []
    for code in (100, 180):
        transaction.respond(copy_for_reply(transaction.request, code, "X", "annas"))
    transaction.fire("request")
    assert [what for _, what in harness.sent(0)] == ["100", "180", "180"]


def test_accepted_invite_absorbs_copies_and_sends_what_its_owner_repeats():
    harness = TransactionHarness()
    transaction = harness.listen("INVITE", UDP)
    accepted = copy_for_reply(transaction.request, 200, "OK", "annas")
    assert transaction.respond(accepted)
    transaction.fire("request")
    assert transaction.respond(accepted)
    assert transaction.respond(copy_for_reply(request("INVITE"), 486, "Busy", "annas")) is False
    assert [what for _, what in harness.sent(0)] == ["200", "200"]
    harness.pass_time(32.1)
    assert len(harness.table) == 0


def test_answered_request_repeats_its_answer():
    harness = TransactionHarness()
    transaction = harness.listen("OPTIONS", UDP)
    transaction.fire("request")
    transaction.respond(copy_for_reply(transaction.request, 200, "OK", "annas"))
    transaction.fire("request")
    assert [what for _, what in harness.sent(0)] == ["200", "200"]
    assert transaction.respond(copy_for_reply(request("OPTIONS"), 500, "No", "annas")) is False
    harness.pass_time(32.1)
    assert len(harness.table) == 0


def test_copies_are_known_by_branch_sender_and_method():
    harness = TransactionHarness()
    transaction = harness.listen("INVITE", UDP)
    for method, found in (("INVITE", transaction), ("OPTIONS", None)):
        copy = request(method)
        assert harness.table.server(read_head(copy), copy) is found
    cancel = request("CANCEL")
    assert harness.table.invite_of(read_head(cancel), cancel) is transaction
    other = request("INVITE", "z9hG4bKother")
    assert harness.table.server(read_head(other), other) is None
    assert harness.table.is_merged(read_head(other))


def test_older_elements_without_a_branch_are_told_apart_by_the_rest():
    harness = TransactionHarness()
    old = request("INVITE", "7")
    transaction = harness.table.start_server(read_head(old), old, UDP, "annas")
    assert harness.table.server(read_head(request("INVITE", "7")), request("INVITE", "7")) is transaction
    assert harness.table.server(read_head(request("INVITE", "8")), request("INVITE", "8")) is None


def test_ack_with_a_branch_of_its_own_still_ends_a_refusal():
    harness = TransactionHarness()
    transaction = harness.listen("INVITE", UDP)
    ack = request("ACK", "z9hG4bKanother")
    assert harness.table.invite_of(read_head(ack), ack) is None
    transaction.respond(copy_for_reply(transaction.request, 486, "Busy", "annas"))
    assert harness.table.invite_of(read_head(ack), ack) is transaction


def test_full_table_says_so():
    harness = TransactionHarness(limit=1)
    assert len(harness.table) == 0
    harness.ask("OPTIONS", UDP)
    assert harness.table.full
    assert harness.table.waiting


@pytest.mark.parametrize(
    ("via", "flow", "port"),
    [
        ("10.0.0.2:5070", UDP, 5070),
        ("10.0.0.2", Flow("udp", "10.0.0.2", 40000), 5060),
        ("10.0.0.2:5070;rport", Flow("udp", "10.0.0.2", 40000), 40000),
        ("192.168.0.9:5070", Flow("udp", "10.0.0.2", 40000), 40000),
        ("phone.example.org", Flow("udp", "10.0.0.2", 40000), 40000),
        ("10.0.0.2:5070", Flow("tcp", "10.0.0.2", 40000, 5), 40000),
    ],
)
def test_responses_go_where_the_request_can_have_come_from(via, flow, port):
    text = bytes(request("OPTIONS")).replace(b"10.0.0.1:5060;", f"{via};".encode())
    parsed = message.parse(text)
    assert reply_flow(parsed.via[0], flow).port == port
    assert reply_flow(parsed.via[0], flow).host == "10.0.0.2"


def test_answered_transaction_lets_the_messages_go():
    harness = TransactionHarness()
    called, asked = harness.listen("INVITE", UDP), harness.ask("OPTIONS", UDP)
    reply = copy_for_reply(called.request, 200, "OK", "annas")
    messages = [weakref.ref(called.request), weakref.ref(asked.request)]
    called.respond(reply)
    harness.answer(asked, 200)
    gc.collect()
    assert [one() for one in messages] == [None, None]
    with pytest.raises(RuntimeError):
        _ = called.request


def test_accepted_invite_of_ours_still_knows_what_was_sent():
    harness = TransactionHarness()
    transaction = harness.ask("INVITE", UDP)
    sent, request_before = transaction.wire, weakref.ref(transaction.request)
    harness.answer(transaction, 200)
    gc.collect()
    assert request_before() is None
    assert bytes(transaction.request) == sent
