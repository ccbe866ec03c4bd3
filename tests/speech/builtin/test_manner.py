from softswitch.speech.builtin.manner import LONGEST_DOCUMENT, MarkupCutter, shown, understood, written
from softswitch.speech.ssml import Pause, Say


def cut(*pieces, flush=True):
    cutter = MarkupCutter({})
    found = [sentence for piece in pieces for sentence in cutter.push(piece)]
    return found + (cutter.flush() if flush else [])


def test_a_manner_survives_being_written():
    for part in (Say("Hello."), Say("Hello.", 0.5, 1.25, 2.0), Pause(300)):
        assert understood(written(part)) == part
    assert written(Say("Hello.")) == "Hello."


def test_readers_see_neither_manner_nor_phonemes():
    assert shown(written(Say("Hi [SIP](/sip/).", 0.5))) == "Hi SIP."
    assert shown(written(Pause(300))) == ""


def test_plain_text_is_cut_as_ever():
    assert cut("Hello the", "re. How are you? ", "Fine", flush=False) == ["Hello there.", "How are you?"]


def test_a_document_is_cut_once_it_is_whole():
    cutter = MarkupCutter({})
    assert cutter.push("<spe") == []
    assert cutter.holding
    assert cutter.waits_for_end
    assert cutter.push('ak>One. Two.<break time="1s"/>') == []
    assert [understood(text) for text in cutter.push("Three</speak> And more. ")] == [
        *(Say("One."), Say("Two."), Pause(1000), Say("Three."), Say("And more."))
    ]
    assert not cutter.waits_for_end


def test_an_unfinished_document_is_said_at_the_end():
    assert cut("<speak>Hello there") == ["Hello there"]


def test_a_document_without_end_is_not_kept_for_ever():
    cutter = MarkupCutter({})
    cutter.push("<speak>")
    for _ in range(LONGEST_DOCUMENT // 100 + 1):
        cutter.push("word " * 20)
    assert len(cutter._document) < LONGEST_DOCUMENT


def test_control_signs_of_a_caller_mean_nothing():
    assert understood(cut("\x02900\x03Hello.")[0]) == Say("900 Hello.")
