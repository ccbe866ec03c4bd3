import pytest

from softswitch.sip.syntax.grammar import MalformedError
from softswitch.sip.syntax.typed import Request, Response, accepts, is_wildcard
from softswitch.sip.syntax.uri import parse_uri


def test_a_text_is_read_once_however_often_it_is_asked_for():
    request = Request("INVITE", parse_uri("sip:a@b"))
    request.headers.set("From", "<sip:a@b>;tag=1")
    assert request.from_address is request.from_address
    request.headers.set("From", "<sip:a@b>;tag=2")
    assert request.from_address.parameters["tag"] == "2"


@pytest.mark.parametrize("name", ["from_address", "to_address", "call_id", "cseq"])
def test_what_must_be_there_is_missed_by_name(name: str):
    with pytest.raises(MalformedError, match="Missing"):
        getattr(Response(200, "OK"), name)


@pytest.mark.parametrize(
    "name", ["max_forwards", "expires", "min_expires", "content_length", "content_type", "authorization"]
)
def test_what_may_be_missing_is_none(name: str):
    assert getattr(Response(200, "OK"), name) is None


@pytest.mark.parametrize(
    ("accept", "does"),
    [
        (None, True),
        ("application/sdp", True),
        ("text/plain, Application/SDP;level=1", True),
        ("*/*;q=0.1", True),
        ("application/*", True),
        ("text/nobodyKnowsThis", False),
        ("", False),
        (", ;;", False),
    ],
)
def test_who_reads_descriptions_is_told(accept: str | None, does: bool):
    request = Request("INVITE", parse_uri("sip:a@b"))
    if accept is not None:
        request.headers.add("Accept", accept)
    assert accepts(request, "application/sdp") is does


def test_an_empty_content_type_is_none():
    response = Response(200, "OK")
    response.headers.add("Content-Type", "")
    assert response.content_type is None


def test_a_star_among_contacts_is_no_wildcard():
    response = Response(200, "OK")
    response.headers.add("Contact", "*")
    assert is_wildcard(response)
    response.headers.add("Contact", "<sip:a@b>")
    assert not is_wildcard(response)
    with pytest.raises(MalformedError):
        _ = response.contact


def test_challenges_and_credentials_that_cannot_be_read_count_as_none():
    response = Response(401, "Unauthorized")
    response.headers.add("WWW-Authenticate", "(")
    response.headers.add("Proxy-Authenticate", "(")
    assert [response.www_authenticate, response.proxy_authenticate] == [None, None]
    response.headers.add("WWW-Authenticate", 'Digest realm="a", nonce="b"')
    response.www_authenticate = response.www_authenticate
    response.proxy_authenticate = response.www_authenticate
    assert response.headers["Proxy-Authenticate"] == 'Digest realm="a", nonce="b"'
