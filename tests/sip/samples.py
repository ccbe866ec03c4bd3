"""A message with everything in it, and what every reader of messages may ask."""

from softswitch.sip.syntax.message import MalformedError, Request, Response, parse

INVITE = (
    b"INVITE sip:1001@example.com;transport=udp SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bKabc\r\n"
    b"Via: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bKdef\r\n"
    b"Route: <sip:proxy.example.com;lr>\r\n"
    b"Record-Route: <sip:p2.example.com;lr>, <sip:p1.example.com;lr>\r\n"
    b"Max-Forwards: 70\r\n"
    b'From: "Alice \\"A\\"" <sip:alice@example.com>;tag=a+1~%41\r\n'
    b"To: <sip:1001@example.com>\r\n"
    b"Call-ID: 3848276298220188511@192.0.2.1\r\n"
    b"CSeq: 10 INVITE\r\n"
    b'Contact: <sip:alice@192.0.2.1:5060;transport=udp>;+sip.instance="<urn:uuid:0-1>"\r\n'
    b"Require: 100rel, timer\r\n"
    b"Supported:\r\n"
    b'Proxy-Authorization: Digest username="alice", realm="x", nonce="n", uri="sip:x", response="0", qop=auth'
    b', nc=00000001, cnonce="c"\r\n'
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: 4\r\n\r\nv=0\n"
)


def touch(read: Request | Response) -> None:
    """Ask for everything that the stack asks for; all of it was proven when the message was read."""
    _ = read.via, read.from_address, read.to_address, read.cseq, read.call_id, read.contact, read.route
    _ = (
        read.record_route,
        read.max_forwards,
        read.expires,
        read.min_expires,
        read.content_type,
        read.content_length,
    )
    _ = (
        read.require,
        read.proxy_require,
        read.supported,
        read.unsupported,
        read.authorization,
        read.proxy_authorization,
    )
    _ = read.www_authenticate, read.proxy_authenticate, read.from_address.parameters.get("tag")
    _ = bytes(read)


def read_or_refusal(data: bytes) -> Request | Response | MalformedError:
    """Read a message, or give what refuses it."""
    try:
        return parse(data)
    except MalformedError as error:
        return error
