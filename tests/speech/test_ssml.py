import pytest

from softswitch.speech.ssml import Pause, Say, is_ssml, read

SAY_AS = {"digits": lambda text, _: " ".join(text), "date": lambda text, order: f"{text}/{order}"}


def parts(inner):
    return read(f"<speak>{inner}</speak>", SAY_AS)


def test_what_is_ssml():
    assert is_ssml(" <speak>hi</speak>")
    assert is_ssml('<?xml version="1.0"?><speak version="1.1">hi</speak>')
    assert not is_ssml("<speaker>")
    assert not is_ssml("2 < 3")


def test_plain_text_and_blocks_become_sentences():
    assert parts("Hello &amp; welcome") == [Say("Hello & welcome.")]
    assert parts("<p>One</p><p><s>Two</s><s>Three!</s></p>") == [Say("One."), Say("Two."), Say("Three!")]


@pytest.mark.parametrize(
    ("attributes", "ms"),
    [
        ('time="300ms"', 300),
        ('time="1.5s"', 1500),
        ('strength="strong"', 700),
        ("", 400),
        ('strength="none"', 0),
        ('time="900s"', 10_000),
        ('time="soon"', 400),
    ],
)
def test_break(attributes, ms):
    assert parts(f"a<break {attributes}/>b") == [Say("a"), Pause(ms), Say("b.")]


@pytest.mark.parametrize(
    ("attributes", "factors"),
    [
        ('rate="slow"', (0.75, 1.0, 1.0)),
        ('rate="80%" volume="+6dB"', (0.8, 1.0, pytest.approx(1.995, abs=0.001))),
        ('pitch="+12st"', (1.0, 2.0, 1.0)),
        ('pitch="-20%"', (1.0, pytest.approx(0.8), 1.0)),
        ('rate="1.5"', (1.5, 1.0, 1.0)),
        ('volume="silent"', (1.0, 1.0, 0.0)),
        ('rate="warp"', (1.0, 1.0, 1.0)),
    ],
)
def test_prosody(attributes, factors):
    before, inside = parts(f"a <prosody {attributes}>b</prosody>.")
    assert before == Say("a")
    assert isinstance(inside, Say)
    assert (inside.text, inside.rate, inside.pitch, inside.volume) == ("b", *factors)


def test_prosody_multiplies_inside_prosody():
    assert parts('<prosody rate="50%"><prosody rate="50%">a</prosody></prosody>') == [Say("a", 0.25)]


def test_words_that_are_said_in_their_own_way():
    assert parts('Code <say-as interpret-as="digits">12</say-as>.') == [Say("Code 1 2.")]
    assert parts('<say-as interpret-as="date" format="dmy">1.2.</say-as>') == [Say("1.2./dmy.")]
    assert parts('<say-as interpret-as="odd">x</say-as>') == [Say("x.")]
    assert parts('<sub alias="doctor">Dr</sub>') == [Say("doctor.")]
    assert parts('<phoneme alphabet="ipa" ph="sip">SIP</phoneme>!') == [Say("[SIP](/sip/)!")]
    assert parts('<phoneme alphabet="x-sampa" ph="sip">SIP</phoneme>!') == [Say("SIP!")]
    assert parts("<emphasis>very</emphasis> <unknown>odd</unknown>") == [Say("very odd.")]


@pytest.mark.parametrize(
    "document",
    [
        "<speak>hello <b>there",
        "<speak>hello there</speak",
        '<!DOCTYPE speak [<!ENTITY a "hello there">]><speak>hello there&a;</speak>',
        "<speak>" + "<x>" * 100 + "hello there" + "</x>" * 100 + "</speak>",
    ],
)
def test_what_is_no_document_is_said_without_its_tags(document):
    (part,) = read(document, SAY_AS)
    assert isinstance(part, Say)
    assert "hello there" in part.text
    assert "<x>" not in part.text
