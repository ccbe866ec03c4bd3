"""SIP messages as text for people."""

from softswitch.sip.trace import SipMessage
from softswitch.web.call_parts import as_text
from softswitch.web.forwarding import key_of


def test_text_says_of_each_message_when_and_where_it_went():
    messages = [
        SipMessage(
            at=0,
            sent=False,
            transport="udp",
            remote="192.0.2.1:5060",
            local="",
            text="BYE a\r\nTo: b\r\n\r\n",
        ),
        SipMessage(
            at=1500, sent=True, transport="tls", remote="[2001:db8::1]:5061", local="", text="SIP/2.0 200"
        ),
    ]
    assert as_text(messages) == (
        "--- 1970-01-01T00:00:00.000+00:00 received from 192.0.2.1:5060 (udp)\nBYE a\nTo: b\n\n"
        "--- 1970-01-01T00:00:01.500+00:00 sent to [2001:db8::1]:5061 (tls)\nSIP/2.0 200\n"
    )


def test_parts_of_a_live_call_are_asked_of_the_node_that_has_it():
    for path in ("/calls/{id}/sip", "/calls/{id}/quality"):
        assert key_of(path) is not None
    assert key_of("/calls/{id}") is None
