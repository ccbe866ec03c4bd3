import random

import pytest

from softswitch.sip.agent import UserAgent
from softswitch.sip.syntax.message import MalformedError, Request, Response, parse
from softswitch.sip.transaction.flow import Flow
from tests.sip.samples import read_or_refusal, touch
from tests.sip.torture import TORTURES, Torture

BEYOND_THE_AGENT = {"regaut01", "unksm2"}
"""Answered by who knows passwords and users."""


def test_the_table_has_every_message_of_rfc_4475_once():
    assert len({torture.name for torture in TORTURES}) == len(TORTURES) == 49


@pytest.mark.parametrize("torture", TORTURES, ids=lambda torture: torture.name)
def test_a_message_of_rfc_4475_is_read_or_refused_as_it_deserves(torture: Torture):
    read = read_or_refusal(torture.data)
    if isinstance(read, MalformedError):
        assert read.code == torture.refused
        if torture.answered == "drop":
            assert read.reply is None
        else:
            assert isinstance(read.reply, Response)
            assert read.reply.code == torture.answered
            assert read.reply.headers.getlist("Via")
            assert bytes(read.reply).count(b"\r\n\r\n") == 1
    else:
        assert torture.refused is None
        touch(read)
        again = parse(bytes(read))
        assert bytes(again) == bytes(read)
        assert again.body == read.body


@pytest.mark.parametrize(
    "torture", [one for one in TORTURES if one.name not in BEYOND_THE_AGENT], ids=lambda torture: torture.name
)
def test_the_user_agent_answers_a_message_of_rfc_4475_as_it_deserves(torture: Torture):
    agent = UserAgent(entropy=random.Random(20).randbytes, user_agent="softswitch")
    read = read_or_refusal(torture.data)
    if isinstance(read, MalformedError):
        assert (read.reply.code if read.reply else "drop") == torture.answered
        return
    agent.receive(read, Flow("udp", "192.0.2.1", 5060), 0.0)
    answers = [parse(outgoing.data) for outgoing in agent.take_outgoing()]
    codes = [answer.code for answer in answers if isinstance(answer, Response) and answer.code >= 200]
    told = agent.take_events()
    assert (codes[0] if codes else "accept" if told else "drop") == torture.answered


def torture(name: str) -> Request | Response:
    return parse(next(one for one in TORTURES if one.name == name).data)


def test_wsinv_is_read_through_its_white_space_and_folds():
    read = torture("wsinv")
    assert [(via.transport, via.host) for via in read.via] == [
        ("UDP", "192.0.2.2"),
        ("TCP", "spindle.example.com"),
        ("UDP", "192.168.255.111"),
    ]
    assert read.via[2].parameters["branch"] == "z9hG4bK30239"
    assert read.to_address.parameters["tag"] == "1918181833n"
    assert read.from_address.name == 'J Rosenberg \\"'
    assert read.cseq.sequence == 9
    assert read.max_forwards == 68
    assert read.contact[0].name == 'Quoted string ""'
    assert dict(read.contact[0].parameters) == {"newparam": "newvalue", "secondparam": None, "q": "0.33"}


def test_escapes_are_plain_inside_and_escaped_outside():
    read = torture("esc01")
    assert isinstance(read, Request)
    assert read.uri.user == "sips:user@example.com"
    assert str(read.uri) == "sip:sips%3Auser%40example.com@example.net"
    assert read.to_address.uri.user == "user"
    assert dict(read.contact[0].uri.parameters) == {"lr": None, "name": "value%41"}


def test_escaped_nulls_keep_contacts_apart():
    assert [contact.uri.user for contact in torture("escnull").contact] == ["\0", "\0\0"]


def test_an_escaped_method_is_not_the_method_it_spells():
    read = torture("esc02")
    assert isinstance(read, Request)
    assert read.method == "RE%47IST%45R"
    assert len(read.contact) == 2


def test_bytes_beyond_the_length_are_no_part_of_a_datagram():
    assert torture("dblreq").body == b""


def test_a_bare_contact_keeps_its_parameter_and_an_enclosed_one_its_uris():
    bare, enclosed = torture("cparam01").contact[0], torture("cparam02").contact[0]
    assert "unknownparam" in bare.parameters
    assert "unknownparam" in enclosed.uri.parameters


def test_every_via_of_a_long_request_is_read():
    assert len(torture("longreq").via) == 34
