"""Dialogs: who they are, where their requests go, in which order requests come."""

from softswitch.sip.dialog.dialog import dialog_of_request, dialog_of_response
from softswitch.sip.syntax import message
from softswitch.sip.syntax.message import Request, Response
from softswitch.sip.transaction.flow import Flow

FLOW = Flow("udp", "10.0.0.1", 5060, 0, "10.0.0.2", 5060)


def invite(extra="", via="10.0.0.1:5060"):
    parsed = message.parse(
        (
            f"INVITE sip:b@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
            'From: "A, b" <sip:a@x;y=%20z>;tag=f+1\r\nTo: <sip:b@10.0.0.2>\r\nCall-ID: c\r\n'
            "CSeq: 7 INVITE\r\n"
            f"Contact: <sip:a@10.0.0.1:5070>\r\n{extra}\r\n"
        ).encode()
    )
    assert isinstance(parsed, Request)
    return parsed


def test_called_side_turns_from_and_to_around_as_they_were_written():
    dialog = dialog_of_request(invite("Allow: INVITE, bye\r\n"), FLOW, "mine", "<sip:b@10.0.0.2:5060>")
    assert dialog.id == ("c", "mine", "f+1")
    request, flow = dialog.request("BYE")
    assert request.headers["From"] == "<sip:b@10.0.0.2>;tag=mine"
    assert request.headers["To"] == '"A, b" <sip:a@x;y=%20z>;tag=f+1'
    assert str(request.uri) == "sip:a@10.0.0.1:5070"
    assert flow.port == 5070
    assert request.cseq.sequence == 1
    assert dialog.request("INFO")[0].cseq.sequence == 2
    assert dialog.allow == {"INVITE", "BYE"}


def test_calling_side_reverses_the_recorded_route():
    response = message.copy_for_reply(invite(), 200, "OK", "berts")
    response.headers.setlist("Record-Route", ["<sip:10.0.0.7;lr>, <sip:10.0.0.8;lr>", "<sip:10.0.0.9;lr>"])
    response.headers.set("Contact", "<sip:b@10.0.0.20>")
    parsed = message.parse(bytes(response))
    assert isinstance(parsed, Response)
    dialog = dialog_of_response(invite(), parsed, FLOW, "<sip:a@10.0.0.1>")
    request, flow = dialog.request("BYE")
    routes = ["<sip:10.0.0.9;lr>", "<sip:10.0.0.8;lr>", "<sip:10.0.0.7;lr>"]
    assert request.headers.getlist("Route") == routes
    assert (flow.host, request.cseq.sequence) == ("10.0.0.9", 8)


def test_requests_of_theirs_come_in_order_or_not_at_all():
    dialog = dialog_of_request(invite(), FLOW, "mine", "<sip:b@10.0.0.2:5060>")
    assert [dialog.accepts(number) for number in (8, 7, 12, 12, 9)] == [True, False, True, True, False]


def test_far_end_behind_a_nat_is_reached_where_it_came_from():
    source = Flow("udp", "203.0.114.5", 40000, 0, "10.0.0.2", 5060)
    dialog = dialog_of_request(invite(via="10.0.0.1:5060;rport"), source, "mine", "<sip:b@10.0.0.2:5060>")
    assert dialog.request("BYE")[1] == source
    moved = Flow("udp", "203.0.114.5", 41000, 0, "10.0.0.2", 5060)
    dialog.follow(moved)
    assert dialog.request("BYE")[1] == moved


def test_proxy_between_says_nothing_about_the_nat_before_it():
    extra = "Record-Route: <sip:10.0.0.5:5061;lr>\r\n"
    dialog = dialog_of_request(invite(extra, via="10.0.0.6"), FLOW, "mine", "<sip:b@10.0.0.2:5060>")
    assert (dialog.request("BYE")[1].host, dialog.request("BYE")[1].port) == ("10.0.0.5", 5061)


def test_contact_without_a_uri_of_sip_is_no_obstacle():
    text = bytes(invite()).replace(b"<sip:a@10.0.0.1:5070>", b"<tel:+4930123>")
    parsed = message.parse(text)
    assert isinstance(parsed, Request)
    dialog = dialog_of_request(parsed, FLOW, "mine", "<sip:b@10.0.0.2:5060>")
    assert dialog.request("BYE")[1] == FLOW
