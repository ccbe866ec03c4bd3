# ruff: noqa: RUF001  (signs of IPA are meant)
from softswitch.speech.builtin.pronunciation import Lexicon, from_ipa, marked, unmarked


def test_ipa_is_written_in_the_signs_of_the_voice():
    assert from_ipa("təˈmɑːtoʊ") == "təmˈɑtO"
    assert from_ipa("ˈtʃeɪndʒ") == "ʧˈAnʤ"


def test_only_marked_words_change():
    assert marked("a [tomato](/təˈmɑːtoʊ/) e") == "a [tomato](/təmˈɑtO/) e"
    assert unmarked("a [tomato](/təˈmɑːtoʊ/) e") == "a tomato e"


def test_lexicon_replaces_whole_words_in_any_case():
    lexicon = Lexicon({"SIP": "sip", "Niamh": "/niv/", "SIP trunk": "sip line"})
    assert lexicon.apply("SIP and sip, sips.") == "sip and sip, sips."
    assert lexicon.apply("Hello NIAMH!") == "Hello [NIAMH](/niv/)!"
    assert lexicon.apply("A SIP trunk.") == "A sip line."
    assert Lexicon({}).apply("SIP") == "SIP"
