import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.errors import PeerError
from softswitch.sip.syntax import grammar
from softswitch.sip.syntax.grammar import MalformedError


def test_a_list_is_cut_outside_quotes_and_brackets_alone():
    text = '"a, \\"b" <sip:a,b@c>, <sip:d> , e;p="x,y"'
    assert grammar.split_list(text, "Contact") == ['"a, \\"b" <sip:a,b@c>', "<sip:d>", 'e;p="x,y"']


@pytest.mark.parametrize("text", [",", "a,", ",a", "a,,b", '"a, b', "<a, b", "a, b>c,", "x," * 60 + "x"])
def test_a_list_with_a_hole_or_an_open_end_is_malformed(text: str):
    with pytest.raises(MalformedError) as caught:
        grammar.split_list(text, "Contact")
    assert (caught.value.code, caught.value.field) == (400, "Contact")
    assert isinstance(caught.value, PeerError)


def test_tokens_are_cut_and_empty_ones_passed_over():
    assert grammar.split_tokens(" 100rel ,, timer,", "Supported") == ["100rel", "timer"]
    assert grammar.split_tokens("", "Supported") == []
    with pytest.raises(MalformedError):
        grammar.split_tokens("a," * 60, "Supported")


def test_parameters_are_read_with_and_without_value_and_quotes():
    assert grammar.split_parameters(' ; Tag = a+1;lr ;x="a;\\"b" ;y=[::1];z=;w= ', "From") == {
        "tag": "a+1",
        "lr": None,
        "x": 'a;"b',
        "y": "[::1]",
        "z": "",
        "w": "",
    }


@pytest.mark.parametrize("text", [";", ";;a", "a", ";a;A", ';a="', ";a b", ";a=b c", ";=a", ";é"])
def test_what_is_no_parameter_is_malformed(text: str):
    with pytest.raises(MalformedError):
        grammar.split_parameters(text, "From")


def test_too_many_parameters_are_malformed():
    many = "".join(f";p{n}" for n in range(grammar.MAX_PARAMETERS))
    assert len(grammar.split_parameters(many, "From")) == grammar.MAX_PARAMETERS
    with pytest.raises(MalformedError):
        grammar.split_parameters(many + ";more", "From")


@given(st.text(max_size=40))
@settings(deadline=None, max_examples=100)
def test_a_quoted_text_is_read_as_it_was(text: str):
    assert grammar.unquote(grammar.quote(text)) == text


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "0x1", "\u0661", "1_0", "9" * 5000, "256", " 1"])
def test_what_is_no_small_whole_number_is_malformed(text: str):
    with pytest.raises(MalformedError):
        grammar.number(text, "Max-Forwards", 255)


def test_a_number_may_have_leading_zeros():
    assert grammar.number("0068", "Max-Forwards", 255) == 68


@pytest.mark.parametrize(
    ("text", "is_one"), [("INVITE", True), ("!%*_+`'~.-", True), ("", False), ("a b", False)]
)
def test_a_token_is_told(text: str, is_one: bool):
    assert grammar.is_token(text) is is_one
