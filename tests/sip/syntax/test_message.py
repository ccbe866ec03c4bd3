import pytest

from softswitch.sip.syntax import message
from softswitch.sip.syntax.message import MalformedError, Request, Response, parse
from softswitch.sip.syntax.parameters import Parameters
from softswitch.sip.syntax.uri import parse_uri
from tests.sip.samples import INVITE


def test_reading_gives_each_header_its_value():
    read = parse(INVITE)
    assert isinstance(read, Request)
    assert read.method == "INVITE"
    assert read.uri.parameters["transport"] == "udp"
    assert [via.host for via in read.via] == ["192.0.2.1", "192.0.2.9"]
    assert [str(route) for route in read.record_route] == [
        "<sip:p2.example.com;lr>",
        "<sip:p1.example.com;lr>",
    ]
    assert read.from_address.name == 'Alice "A"'
    assert read.from_address.parameters["tag"] == "a+1~%41"
    assert read.require == ["100rel", "timer"]
    assert read.supported == []
    assert read.content_type is not None
    assert read.content_type.mime_type == "application/sdp"
    assert read.proxy_authorization is not None
    assert read.authorization is None
    assert read.body == b"v=0\n"


def test_what_is_written_again_keeps_tags_and_quoted_parameters_letter_by_letter():
    read = parse(INVITE)
    read.from_address = read.from_address
    read.contact = read.contact
    read.via = read.via
    written = bytes(read)
    assert b'From: "Alice \\"A\\"" <sip:alice@example.com>;tag=a+1~%41\r\n' in written
    assert b'+sip.instance="<urn:uuid:0-1>"\r\n' in written
    assert b"Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bKabc\r\n" in written


def test_an_accessor_sees_a_header_that_was_changed_after_reading():
    read = parse(INVITE)
    assert len(read.via) == 2
    read.via = read.via[1:]
    assert [via.host for via in read.via] == ["192.0.2.9"]
    read.via.clear()
    assert len(read.via) == 1


def test_two_contacts_with_quoted_names_are_two():
    read = parse(INVITE.replace(b"Contact: ", b'Contact: "a, b" <sip:x@y>, "c" <sip:z@y;p=1>;q=0.5, '))
    assert [contact.name for contact in read.contact] == ["a, b", "c", ""]


@pytest.mark.parametrize("name", ["self", "values", "cls"])
def test_parameters_may_have_the_names_of_python_arguments(name: str):
    read = parse(INVITE.replace(b";rport", f";{name}=1;rport".encode()))
    assert read.via[0].parameters[name] == "1"


def test_octets_that_are_no_utf_8_come_back_as_they_were():
    data = INVITE.replace(b"Supported:", b"Subject: caf\xe9 \xff\r\nSupported:")
    assert b"Subject: caf\xe9 \xff\r\n" in bytes(parse(data))


def test_a_response_may_have_no_reason():
    data = INVITE.replace(b"INVITE sip:1001@example.com;transport=udp SIP/2.0", b"SIP/2.0 180")
    read = parse(data)
    assert isinstance(read, Response)
    assert (read.code, read.phrase) == (180, "")


def test_lists_of_a_response_are_proven_too():
    data = INVITE.replace(
        b"INVITE sip:1001@example.com;transport=udp SIP/2.0", b"SIP/2.0 183 Session Progress"
    )
    assert parse(data).require == ["100rel", "timer"]
    with pytest.raises(MalformedError) as caught:
        parse(data.replace(b"Require: ", b"Unsupported: " + b"a," * 60 + b"a\r\nRequire: "))
    assert caught.value.reply is None


def test_line_ends_before_a_message_are_passed_over():
    assert parse(b"\r\n\r\n" + INVITE).cseq.sequence == 10


@pytest.mark.parametrize(
    ("expires", "seconds"),
    [
        (b"60", 60),
        (b"9" * 200, 2**32 - 1),
        (b"-1", None),
        (b"soon", None),
        (b"\xd9\xa6\xd9\xa0", None),
        (b"", None),
    ],
)
def test_expires_is_bounded_and_none_where_it_is_no_number(expires: bytes, seconds: int | None):
    assert (
        parse(INVITE.replace(b"Max-Forwards", b"Expires: " + expires + b"\r\nMax-Forwards")).expires
        == seconds
    )


def test_a_contact_of_star_is_for_register_alone():
    star = INVITE.replace(b'<sip:alice@192.0.2.1:5060;transport=udp>;+sip.instance="<urn:uuid:0-1>"', b"*")
    with pytest.raises(MalformedError):
        parse(star)
    register = parse(star.replace(b"INVITE", b"REGISTER"))
    assert message.is_wildcard(register)
    assert register.contact == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"CSeq: 10 INVITE\r\n", b""),
        (b"Call-ID: 3848276298220188511@192.0.2.1\r\n", b""),
        (b"Call-ID: 3848276298220188511@192.0.2.1", b"Call-ID: a b"),
        (b"Call-ID: 3848276298220188511@192.0.2.1", b"Call-ID:"),
        (b"To: <sip:1001@example.com>\r\n", b""),
        (b"CSeq: 10 INVITE", b"CSeq: 2147483648 INVITE"),
        (b"CSeq: 10 INVITE", b"CSeq: 10 BYE"),
        (b"CSeq: 10 INVITE", b"CSeq: \xd9\xa1\xd9\xa0 INVITE"),
        (b"Max-Forwards: 70", b"Max-Forwards: 256"),
        (b"Max-Forwards: 70", b"Max-Forwards: 70\r\nMax-Forwards: 70"),
        (b"Max-Forwards: 70", b"Max-Forwards 70"),
        (b"Max-Forwards: 70", b"Max-Forwards : 7\n0"),
        (b"Route: <sip:proxy.example.com;lr>", b"Route: <sip:proxy.example.com;lr>,"),
        (b"Route: <sip:proxy.example.com;lr>", b"Route: " + b"<sip:p.example.com;lr>," * 60 + b"<sip:p>"),
        (b";tag=a+1~%41", b";tag=a;tag=b"),
        (b"Content-Type: application/sdp", b"Content-Type: application"),
        (b"Content-Length: 4", b"Content-Length: 5"),
        (b"Content-Length: 4", b"Content-Length: +4"),
        (b"Content-Length: 4", b"Content-Length: 4\r\nl: 4"),
        (b"Content-Length: 4", b"X: y\r\n" * 260 + b"Content-Length: 4"),
        (b"\r\n\r\nv=0\n", b""),
    ],
)
def test_a_broken_request_gets_a_400_that_copies_what_can_be_copied(old: bytes, new: bytes):
    data = INVITE.replace(old, new)
    assert data != INVITE
    with pytest.raises(MalformedError) as caught:
        parse(data)
    reply = caught.value.reply
    assert isinstance(reply, Response)
    assert reply.code == 400
    assert reply.phrase == caught.value.reason
    assert reply.headers.getlist("Via")[0] == "SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bKabc"
    if b"\r\nTo: " in data:
        assert ";tag=" in reply.headers["To"]


def test_copies_of_a_broken_request_get_the_same_tag():
    replies = set()
    for _ in range(2):
        with pytest.raises(MalformedError) as caught:
            parse(INVITE.replace(b"Max-Forwards: 70", b"Max-Forwards: many"))
        replies.add(bytes(caught.value.reply or b""))
    assert len(replies) == 1


@pytest.mark.parametrize(
    "data",
    [
        INVITE.replace(b"INVITE", b"ACK").replace(b"Max-Forwards: 70", b"Max-Forwards: x"),
        INVITE.replace(b"INVITE sip:1001@example.com;transport=udp SIP/2.0", b"SIP/2.0 99 No"),
        INVITE.replace(b"INVITE sip:1001@example.com;transport=udp SIP/2.0", b"SIP/2.0 700 No"),
        INVITE.replace(b"Via: ", b"Vya: ").replace(b"Via: ", b"Vya: "),
        INVITE.replace(b"Via: SIP/2.0/UDP 192", b"Via: HTTP/1.1 192"),
        b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"",
        b"\r\n",
        b"\0" * 100,
        b"\x80\x00" * 100,
    ],
)
def test_nothing_is_answered_where_nothing_may_be(data: bytes):
    with pytest.raises(MalformedError) as caught:
        parse(data)
    assert caught.value.reply is None


def test_a_message_too_large_is_refused():
    with pytest.raises(MalformedError) as caught:
        parse(INVITE + b"x" * message.MAX_BYTES)
    assert caught.value.code == 513


# ------------------------------------------------------------------------------------------------ writing


def test_a_reply_copies_what_ties_it_to_its_request():
    request = parse(INVITE)
    assert isinstance(request, Request)
    reply = message.copy_for_reply(request, 200, "OK", tag="mine")
    for name in ("Via", "From", "Call-ID", "CSeq", "Record-Route"):
        assert reply.headers.getlist(name) == request.headers.getlist(name)
    assert reply.headers["To"] == "<sip:1001@example.com>;tag=mine"
    assert "Record-Route" not in message.copy_for_reply(request, 404, "Not Found", tag="mine").headers


def test_a_reply_leaves_a_tag_that_is_there():
    request = parse(INVITE.replace(b"To: <sip:1001@example.com>", b"To: <sip:1001@example.com>;TAG=berts"))
    assert isinstance(request, Request)
    assert message.copy_for_reply(request, 200, "OK", tag="mine").to_address.parameters["tag"] == "berts"


def test_a_100_has_no_tag_and_takes_the_timestamp_along():
    request = parse(INVITE.replace(b"Max-Forwards", b"Timestamp: 54\r\nMax-Forwards"))
    assert isinstance(request, Request)
    trying = message.copy_for_reply(request, 100, "Trying", tag="mine")
    assert trying.headers["To"] == "<sip:1001@example.com>"
    assert trying.headers["Timestamp"] == "54"


def test_the_source_is_stamped_into_the_topmost_via_alone():
    request = parse(INVITE)
    message.stamp_source(request, "203.0.113.7", 61234)
    assert str(request.via[0]) == (
        "SIP/2.0/UDP 192.0.2.1:5060;rport=61234;branch=z9hG4bKabc;received=203.0.113.7"
    )
    assert dict(request.via[1].parameters) == {"branch": "z9hG4bKdef"}


@pytest.mark.parametrize(("host", "received"), [("192.0.2.1", None), ("2001:db8::1", "2001:db8::1")])
def test_without_rport_only_another_address_is_stamped(host: str, received: str | None):
    request = parse(INVITE.replace(b";rport", b""))
    message.stamp_source(request, host, 5060)
    assert request.via[0].parameters.get("received") == received
    assert parse(bytes(request)).via[0].parameters.get("received") == received


def test_stamping_a_reply_without_a_readable_via_does_nothing():
    reply = Response(400, "Bad Request")
    message.stamp_source(reply, "192.0.2.1", 5060)
    reply.headers.set("Via", "SIP/2.0/UDP 192.0.2.15;;,;,,")
    message.stamp_source(reply, "192.0.2.1", 5060)
    assert reply.headers["Via"] == "SIP/2.0/UDP 192.0.2.15;;,;,,"


def test_a_body_brings_its_type_and_true_length():
    reply = message.with_body(Response(200, "OK"), "v=0\r\n", "application/sdp")
    reply.headers.set("Content-Length", "999")
    assert bytes(reply) == (
        b"SIP/2.0 200 OK\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    )
    assert "Content-Type" not in message.with_body(reply, b"", "application/sdp").headers


def test_a_header_that_breaks_the_line_is_never_written():
    request = Request("OPTIONS", parse_uri("sip:a@b"))
    with pytest.raises(Exception, match="line break"):
        request.headers.set("X-Custom", "a\r\nVia: SIP/2.0/UDP evil")
    with pytest.raises(Exception, match="line break"):
        request.headers.add("X: y\r\nZ", "a")


def test_a_built_request_is_read_as_it_was_meant():
    request = Request("OPTIONS", parse_uri("sip:a@b"))
    source = parse(INVITE)
    request.via, request.from_address, request.to_address = source.via, source.from_address, source.to_address
    request.call_id, request.max_forwards, request.expires, request.min_expires = "x", 70, 60, 30
    request.cseq = type(source.cseq)(1, "OPTIONS")
    request.route, request.record_route, request.contact = source.route, source.record_route, source.contact
    request.content_type, request.content_length = source.content_type, 0
    request.authorization = request.proxy_authorization = source.proxy_authorization
    request.www_authenticate = request.proxy_authenticate = None
    read = parse(bytes(request))
    assert bytes(read) == bytes(request)
    assert (read.expires, read.min_expires, read.content_length) == (60, 30, 0)
    assert str(read.authorization) == str(read.proxy_authorization)
    assert isinstance(read.from_address.parameters, Parameters)
