import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.sdp import Attribute, Connection, Description, Media, Origin, SdpError, parse
from tests.sdp import offers

MINIMAL = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 5004 RTP/AVP 0 8\r\n"
)


@pytest.mark.parametrize("name", offers.ALL)
def test_parse_keeps_every_section_and_attribute_of_a_real_offer(name: str) -> None:
    text = offers.ALL[name]
    description = parse(text)
    assert len(description.media) == text.count("\nm=")
    attributes = len(description.attributes) + sum(len(media.attributes) for media in description.media)
    assert attributes == text.count("\na=")
    assert parse(description.text()) == description


def test_parse_reads_bare_line_feeds_and_a_missing_last_line_end() -> None:
    assert parse(MINIMAL.replace("\r\n", "\n").rstrip()) == parse(MINIMAL)


def test_parse_reads_bytes_that_are_not_utf8_as_latin1() -> None:
    assert parse(MINIMAL.replace("s=-", "s=\xe9").encode("latin-1")).name == "\xe9"


def test_parse_keeps_numbers_beyond_64_bits_as_text() -> None:
    assert parse(MINIMAL.replace("o=- 1 1", "o=- 1 " + "9" * 40)).origin.version == "9" * 40


def test_parse_ignores_unknown_line_types_and_missing_time() -> None:
    text = MINIMAL.replace("t=0 0\r\n", "k=prompt\r\nz=0 0\r\nx=what\r\n")
    assert parse(text) == parse(MINIMAL)


def test_connection_of_a_section_wins_over_that_of_the_session() -> None:
    description = parse(MINIMAL + "c=IN IP6 2001:db8::1\r\n")
    assert description.connection_of(description.media[0]) == Connection("IP6", "2001:db8::1")
    assert parse(MINIMAL).connection_of(parse(MINIMAL).media[0]) == Connection("IP4", "192.0.2.1")


def test_formats_are_taken_once_each() -> None:
    assert parse(MINIMAL.replace("0 8\r\n", "0 0 8 0\r\n")).media[0].formats == ("0", "8")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "v=0"),
        ("hello", "v=0"),
        ("m=audio 1 RTP/AVP 0\nv=0\n", "v=0"),
        (MINIMAL + MINIMAL, "second description"),
        (MINIMAL + "nonsense\n", "line 7"),
        (MINIMAL + "m=audio\n", "line 7"),
        (MINIMAL + "m=audio 65536 RTP/AVP 0\n", "0-65535"),
        (MINIMAL + "m=audio -1 RTP/AVP 0\n", "0-65535"),
        (MINIMAL + "m=audio ² RTP/AVP 0\n", "0-65535"),
        (MINIMAL + "c=IN IP5 1\n", "line 7"),
        (MINIMAL + "m=audio 1 RTP/AVP " + " ".join(map(str, range(200))), "formats"),
        (MINIMAL + "m=audio 1 RTP/AVP 0\n" * 40, "media sections"),
        (MINIMAL + "a=x\n" * 2100, "lines"),
        (MINIMAL + "a=" + "x" * 66000, "bytes"),
    ],
)
def test_parse_refuses_what_has_no_meaning(text: str, reason: str) -> None:
    with pytest.raises(SdpError, match=reason):
        parse(text)


tokens = st.text(alphabet="abcXYZ019-_", min_size=1, max_size=8)
values = st.none() | st.text(alphabet="abc 019:/;=", min_size=1, max_size=20).map(str.strip).filter(bool)
attributes = st.lists(st.builds(Attribute, tokens, values), max_size=4).map(tuple)
connections = st.none() | st.just(Connection("IP4", "192.0.2.9")) | st.just(Connection("IP6", "2001:db8::2"))
sections = st.builds(
    Media,
    tokens.map(str.lower),
    st.integers(0, 65535),
    tokens.map(str.upper),
    st.lists(tokens, min_size=1, max_size=4, unique=True).map(tuple),
    connections,
    attributes,
)
descriptions = st.builds(
    Description,
    st.builds(Origin, tokens, tokens, tokens),
    tokens,
    connections,
    attributes,
    st.lists(sections, max_size=3).map(tuple),
)


@given(descriptions)
@settings(deadline=None, max_examples=100)
def test_a_description_survives_its_text(description: Description) -> None:
    assert parse(description.text()) == description


@given(st.one_of(st.text(max_size=300), st.binary(max_size=300)))
@settings(deadline=None, max_examples=200)
def test_parse_raises_nothing_but_its_own_error(text: str | bytes) -> None:
    prefix = "v=0\n" if isinstance(text, str) else b"v=0\n"
    for candidate in (text, prefix + text):  # type: ignore[operator]
        with contextlib.suppress(SdpError):
            parse(candidate)
