"""Subscriptions to a mailbox: RFC 6665 as RFC 3842 uses it."""

from softswitch.sip.events import RequestReceived
from softswitch.sip.subscriptions import CONTENT_TYPE, MOST_OF_ONE, summary_of
from softswitch.sip.syntax.message import Request, Response, copy_for_reply
from tests.sip.link import Link

EMPTY, ONE = summary_of("sip:bert@x", 0, 0), summary_of("sip:bert@x", 1, 2)


class Office:
    """A switch with a mailbox, and a phone at an address where no agent is."""

    def __init__(self) -> None:
        self.link = Link("bert")
        self.bert = self.link["bert"]
        self.seen = 0

    def subscribe(self, call: str = "c1", expires: str = "600", sequence: int = 1, tag: str = "") -> None:
        """Send a SUBSCRIBE; accept it where it begins a subscription."""
        to = f";tag={tag}" if tag else ""
        self.bert.inject(
            "SUBSCRIBE sip:bert@10.0.0.1 SIP/2.0\n"
            f"Via: SIP/2.0/UDP 10.0.0.99:5060;branch=z9hG4bK{call}{sequence}\n"
            f"From: <sip:anna@10.0.0.99>;tag=a\nTo: <sip:bert@10.0.0.1>{to}\nCall-ID: {call}\n"
            f"CSeq: {sequence} SUBSCRIBE\nContact: <sip:anna@10.0.0.99:5060>\nMax-Forwards: 70\n"
            f"Event: message-summary\nExpires: {expires}\nContent-Length: 0\n\n"
        )
        self.link.run(0.05)
        if not tag:
            received = self.bert.last(RequestReceived)
            assert self.bert.agent.accept_subscription(received.key, "bert", EMPTY, self.link.now)
            assert not self.bert.agent.accept_subscription(received.key, "bert", EMPTY, self.link.now)

    def sent(self) -> list[Request | Response]:
        """Return what was sent since the last call, NOTIFYs answered with 200."""
        self.link.run(0.05)
        found = [one for _, _, one in self.link.sent[self.seen :]]
        for one in found:
            if isinstance(one, Request):
                self.answer(one, 200)
        self.seen = len(self.link.sent)
        return found

    def answer(self, request: Request, code: int) -> None:
        self.bert.inject(bytes(copy_for_reply(request, code, "OK", "")))
        self.link.run(0.05)

    def tell(self, body: bytes) -> None:
        self.bert.agent.tell_mailbox("bert", body, self.link.now)


def state(request: Request | Response) -> str:
    return str(request.headers["Subscription-State"])


def test_summary_has_the_form_of_the_rfc() -> None:
    assert ONE == (b"Messages-Waiting: yes\r\nMessage-Account: sip:bert@x\r\nVoice-Message: 1/2 (0/0)\r\n")
    assert EMPTY.startswith(b"Messages-Waiting: no\r\n")


def test_subscriber_is_told_at_once_and_of_each_change() -> None:
    office = Office()
    office.subscribe()
    response, notify = office.sent()
    assert isinstance(response, Response)
    assert (response.code, response.headers["Expires"]) == (200, "600")
    assert isinstance(notify, Request)
    assert (notify.method, notify.headers["Event"]) == ("NOTIFY", "message-summary")
    assert (state(notify), notify.headers["Content-Type"]) == ("active;expires=600", CONTENT_TYPE)
    assert notify.body == EMPTY
    assert notify.to_address.parameters["tag"] == "a"
    office.tell(EMPTY)
    assert office.sent() == []
    office.link.run(100)
    office.tell(ONE)
    (notify,) = office.sent()
    assert notify.body == ONE
    assert state(notify) in ("active;expires=499", "active;expires=500")


def test_subscription_is_refreshed_and_ended_in_its_dialog() -> None:
    office = Office()
    office.subscribe()
    tag = str(office.sent()[0].to_address.parameters["tag"])
    office.subscribe(expires="3600", sequence=2, tag=tag)
    response, notify = office.sent()
    assert response.headers["Expires"] == "3600"
    assert state(notify) == "active;expires=3600"
    office.subscribe(expires="0", sequence=3, tag=tag)
    response, notify = office.sent()
    assert isinstance(response, Response)
    assert (response.code, state(notify)) == (200, "terminated;reason=timeout")
    office.subscribe(sequence=4, tag=tag)
    (response,) = office.sent()
    assert isinstance(response, Response)
    assert response.code == 481


def test_late_copy_of_a_refresh_is_refused() -> None:
    office = Office()
    office.subscribe(sequence=5)
    tag = str(office.sent()[0].to_address.parameters["tag"])
    office.subscribe(sequence=4, tag=tag)
    (response,) = office.sent()
    assert isinstance(response, Response)
    assert response.code == 500


def test_subscription_that_is_not_refreshed_ends() -> None:
    office = Office()
    office.subscribe(expires="60")
    office.sent()
    office.link.run(61)
    assert {state(one) for one in office.sent()} == {"terminated;reason=timeout"}
    office.tell(ONE)
    assert office.sent() == []


def test_too_short_a_time_is_refused_with_the_least() -> None:
    office = Office()
    office.subscribe(expires="10")
    (response,) = office.sent()
    assert isinstance(response, Response)
    assert (response.code, response.headers["Min-Expires"]) == (423, "60")


def test_phone_that_refuses_a_notify_has_no_subscription() -> None:
    office = Office()
    office.subscribe()
    office.link.run(0.05)
    notify = office.link.sent[-1][2]
    assert isinstance(notify, Request)
    office.answer(notify, 481)
    office.seen = len(office.link.sent)
    office.tell(ONE)
    assert office.sent() == []
    assert office.bert.agent.counters["notify_refused"] == 1


def test_mailbox_has_so_many_subscribers() -> None:
    office = Office()
    for number in range(MOST_OF_ONE + 1):
        office.subscribe(call=f"c{number}")
        last = office.sent()
    assert [state(one) for one in last if isinstance(one, Request)] == [
        "terminated;reason=deactivated",
        "active;expires=600",
    ]
    office.tell(ONE)
    assert len(office.sent()) == MOST_OF_ONE
