"""The four machines at work, second by second."""

import gc
import weakref
from collections import Counter

import pytest

from softswitch.sip import message
from softswitch.sip.alarms import Alarms
from softswitch.sip.flow import Flow
from softswitch.sip.head import read_head
from softswitch.sip.message import Request, Response, copy_for_reply
from softswitch.sip.timers import Timers
from softswitch.sip.transaction import reply_flow
from softswitch.sip.transaction_tables import State
from softswitch.sip.transactions import Transactions

UDP = Flow("udp", "10.0.0.2", 5060, 0, "10.0.0.1", 5060)
TCP = Flow("tcp", "10.0.0.2", 5060, 3, "10.0.0.1", 5060)


class Stage:
    """A table of transactions, a clock, and what was heard and sent."""

    def __init__(self, limit: int = 1000) -> None:
        self.alarms = Alarms()
        self.counters: Counter[str] = Counter()
        self.table = Transactions(Timers(), self.alarms, limit, self.counters)
        self.heard: list[tuple[float, int, bool]] = []

    def pass_time(self, until: float) -> None:
        while (when := self.alarms.next()) is not None and when <= until:
            self.table.now = when
            call = self.alarms.due(when)
            assert call is not None
            call()
            self.table.run()
        self.table.now = until

    def hear(self, _transaction, response: Response, made_up: bool) -> None:
        self.heard.append((self.table.now, response.code, made_up))

    def ask(self, method: str, flow: Flow):
        return self.table.ask(request(method), flow, self.hear)

    def listen(self, method: str, flow: Flow):
        incoming = request(method)
        return self.table.listen(read_head(incoming), incoming, flow, "ours")

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
        transaction.receive(copy_for_reply(transaction.request, code, "X", "theirs"))
        self.table.run()


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
    stage = Stage()
    stage.ask("INVITE", UDP)
    sent = stage.sent(40)
    assert [when for when, _ in sent] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert stage.heard == [(32.0, 408, True)]
    assert len(stage.table) == 0


def test_invite_on_a_reliable_transport_is_sent_once():
    stage = Stage()
    stage.ask("INVITE", TCP)
    assert stage.sent(40) == [(0, "INVITE")]
    assert stage.heard == [(32.0, 408, True)]


def test_provisional_response_ends_the_copies_and_the_patience_is_the_owners():
    stage = Stage()
    transaction = stage.ask("INVITE", UDP)
    stage.answer(transaction, 180)
    assert stage.sent(1000) == [(0, "INVITE")]
    assert transaction.state is State.PROCEEDING


@pytest.mark.parametrize(("flow", "lives"), [(UDP, 32.0), (TCP, 0.0)])
def test_refusal_is_acknowledged_as_often_as_it_comes(flow, lives):
    stage = Stage()
    transaction = stage.ask("INVITE", flow)
    stage.answer(transaction, 486)
    if lives:
        stage.answer(transaction, 486)
    assert [what for _, what in stage.sent(0)] == ["INVITE", "ACK"] + ["ACK"] * bool(lives)
    assert stage.heard == [(0.0, 486, False)]
    stage.pass_time(lives - 0.1)
    assert len(stage.table) == bool(lives)
    stage.pass_time(lives + 0.1)
    assert len(stage.table) == 0


def test_ack_of_a_refusal_takes_branch_and_credentials_of_the_invite():
    stage = Stage()
    transaction = stage.ask("INVITE", UDP)
    stage.answer(transaction, 486)
    ack = message.parse(stage.table.outgoing[-1].data)
    assert ack.headers["Authorization"] == "Digest x=y"
    assert ack.via[0].parameters["branch"] == "z9hG4bK1"
    assert ack.to_address.parameters["tag"] == "theirs"


def test_accepted_invite_hears_further_2xx_for_a_while():
    stage = Stage()
    transaction = stage.ask("INVITE", UDP)
    for _ in range(3):
        stage.answer(transaction, 200)
    assert [code for _, code, _ in stage.heard] == [200, 200, 200]
    stage.pass_time(31.9)
    assert len(stage.table) == 1
    stage.pass_time(32.1)
    assert len(stage.table) == 0


def test_request_is_sent_at_growing_pauses_up_to_t2():
    stage = Stage()
    stage.ask("OPTIONS", UDP)
    assert [when for when, _ in stage.sent(40)] == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert stage.heard == [(32.0, 408, True)]


def test_request_that_is_worked_on_is_sent_every_t2():
    stage = Stage()
    transaction = stage.ask("OPTIONS", UDP)
    stage.answer(transaction, 100)
    assert [when for when, _ in stage.sent(13)] == [0, 0.5, 4.5, 8.5, 12.5]
    stage.pass_time(40)
    assert stage.heard[-1] == (32.0, 408, True)


@pytest.mark.parametrize(("flow", "lives"), [(UDP, 5.0), (TCP, 0.0)])
def test_answered_request_absorbs_copies_for_t4(flow, lives):
    stage = Stage()
    transaction = stage.ask("OPTIONS", flow)
    stage.answer(transaction, 200)
    if lives:
        stage.answer(transaction, 200)
    assert [code for _, code, _ in stage.heard] == [200]
    stage.pass_time(lives + 0.1)
    assert len(stage.table) == 0


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_transport_that_refuses_is_503(method):
    stage = Stage()
    transaction = stage.ask(method, UDP)
    assert stage.table.refused(transaction.key)
    stage.table.run()
    assert stage.heard == [(0.0, 503, True)]
    assert stage.table.refused(transaction.key) is False


def test_connection_that_breaks_takes_its_requests_along():
    stage = Stage()
    stage.ask("OPTIONS", TCP)
    stage.table.ask(request("OPTIONS", "z9hG4bK2"), UDP, stage.hear)
    stage.table.broken(TCP)
    stage.table.run()
    assert stage.heard == [(0.0, 503, True)]


def test_refused_invite_repeats_the_refusal_until_its_ack():
    stage = Stage()
    transaction = stage.listen("INVITE", UDP)
    transaction.respond(copy_for_reply(transaction.request, 486, "Busy", "ours"))
    assert [when for when, _ in stage.sent(12)] == [0, 0.5, 1.5, 3.5, 7.5, 11.5]
    transaction.fire("ack")
    assert stage.sent(16) == []
    assert transaction.state is State.CONFIRMED
    stage.pass_time(18)
    assert len(stage.table) == 0


def test_refused_invite_gives_up_without_ack():
    stage = Stage()
    transaction = stage.listen("INVITE", UDP)
    transaction.respond(copy_for_reply(transaction.request, 486, "Busy", "ours"))
    stage.pass_time(33)
    assert len(stage.table) == 0


def test_copies_of_an_invite_get_the_last_provisional_response():
    stage = Stage()
    transaction = stage.listen("INVITE", UDP)
    transaction.fire("request")
    assert stage.sent(0) == []
    for code in (100, 180):
        transaction.respond(copy_for_reply(transaction.request, code, "X", "ours"))
    transaction.fire("request")
    assert [what for _, what in stage.sent(0)] == ["100", "180", "180"]


def test_accepted_invite_absorbs_copies_and_sends_what_its_owner_repeats():
    stage = Stage()
    transaction = stage.listen("INVITE", UDP)
    accepted = copy_for_reply(transaction.request, 200, "OK", "ours")
    assert transaction.respond(accepted)
    transaction.fire("request")
    assert transaction.respond(accepted)
    assert transaction.respond(copy_for_reply(request("INVITE"), 486, "Busy", "ours")) is False
    assert [what for _, what in stage.sent(0)] == ["200", "200"]
    stage.pass_time(32.1)
    assert len(stage.table) == 0


def test_answered_request_repeats_its_answer():
    stage = Stage()
    transaction = stage.listen("OPTIONS", UDP)
    transaction.fire("request")
    transaction.respond(copy_for_reply(transaction.request, 200, "OK", "ours"))
    transaction.fire("request")
    assert [what for _, what in stage.sent(0)] == ["200", "200"]
    assert transaction.respond(copy_for_reply(request("OPTIONS"), 500, "No", "ours")) is False
    stage.pass_time(32.1)
    assert len(stage.table) == 0


def test_copies_are_known_by_branch_sender_and_method():
    stage = Stage()
    transaction = stage.listen("INVITE", UDP)
    for method, found in (("INVITE", transaction), ("OPTIONS", None)):
        copy = request(method)
        assert stage.table.server(read_head(copy), copy) is found
    cancel = request("CANCEL")
    assert stage.table.invited(read_head(cancel), cancel) is transaction
    other = request("INVITE", "z9hG4bKother")
    assert stage.table.server(read_head(other), other) is None
    assert stage.table.merged(read_head(other))


def test_older_elements_without_a_branch_are_told_apart_by_the_rest():
    stage = Stage()
    old = request("INVITE", "7")
    transaction = stage.table.listen(read_head(old), old, UDP, "ours")
    assert stage.table.server(read_head(request("INVITE", "7")), request("INVITE", "7")) is transaction
    assert stage.table.server(read_head(request("INVITE", "8")), request("INVITE", "8")) is None


def test_ack_with_a_branch_of_its_own_still_ends_a_refusal():
    stage = Stage()
    transaction = stage.listen("INVITE", UDP)
    ack = request("ACK", "z9hG4bKanother")
    assert stage.table.invited(read_head(ack), ack) is None
    transaction.respond(copy_for_reply(transaction.request, 486, "Busy", "ours"))
    assert stage.table.invited(read_head(ack), ack) is transaction


def test_full_table_says_so():
    stage = Stage(limit=1)
    assert len(stage.table) == 0
    stage.ask("OPTIONS", UDP)
    assert stage.table.full
    assert stage.table.waiting


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
    stage = Stage()
    called, asked = stage.listen("INVITE", UDP), stage.ask("OPTIONS", UDP)
    reply = copy_for_reply(called.request, 200, "OK", "ours")
    messages = [weakref.ref(called.request), weakref.ref(asked.request)]
    called.respond(reply)
    stage.answer(asked, 200)
    gc.collect()
    assert [one() for one in messages] == [None, None]
    with pytest.raises(RuntimeError):
        _ = called.request


def test_accepted_invite_of_ours_still_knows_what_was_sent():
    stage = Stage()
    transaction = stage.ask("INVITE", UDP)
    sent, request_before = transaction.wire, weakref.ref(transaction.request)
    stage.answer(transaction, 200)
    gc.collect()
    assert request_before() is None
    assert bytes(transaction.request) == sent
