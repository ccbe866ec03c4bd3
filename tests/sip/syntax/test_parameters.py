import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.sip.syntax.grammar import MalformedError
from softswitch.sip.syntax.parameters import Parameters, UriParameters


@pytest.mark.parametrize(
    "text", [";tag=a+1~!*%41", ";lr", ";received=2001:db8::1", ';+sip.instance="<urn:uuid:1>"', ';x="a\\"b;"']
)
def test_what_is_read_is_written_letter_by_letter(text: str):
    assert str(Parameters.parse(text)) == text


def test_names_are_found_in_any_case():
    parameters = Parameters.parse(";TAG=x")
    assert parameters["tag"] == parameters["Tag"] == "x"
    assert list(parameters) == ["tag"]


def test_changes_make_copies():
    one = Parameters.parse(";a=1;b")
    assert str(one.replace(a="2", c=None)) == ";a=2;b;c"
    assert str(one.without("a")) == ";b"
    assert str(one) == ";a=1;b"
    assert one == Parameters({"a": "1", "b": None})
    assert hash(one) == hash(Parameters(b=None, a="1"))
    assert repr(one) == "Parameters({'a': '1', 'b': None})"


def test_those_of_a_uri_are_escaped_on_the_wire_alone():
    parameters = UriParameters.parse(";%6C%72;n%61me=v%61lue%25%34%31;maddr=[::1];empty=")
    assert dict(parameters) == {"lr": None, "name": "value%41", "maddr": "[::1]", "empty": ""}
    assert str(parameters) == ";lr;name=value%2541;maddr=[::1];empty="


@pytest.mark.parametrize("text", [";", ";a;;b", ";a=b=c", ";a=%4", ';a="b"', ";a b", ";a;%41"])
def test_what_is_no_uri_parameter_is_malformed(text: str):
    with pytest.raises(MalformedError):
        UriParameters.parse(text)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z\-.]{1,8}", fullmatch=True), st.none() | st.text(max_size=8), max_size=5
    )
)
@settings(deadline=None, max_examples=100)
def test_any_value_comes_back_from_the_wire(values: dict[str, str | None]):
    try:
        str(values).encode()
    except UnicodeEncodeError:
        return
    assert dict(UriParameters.parse(str(UriParameters(values)))) == values
    assert dict(Parameters.parse(str(Parameters(values)))) == values
