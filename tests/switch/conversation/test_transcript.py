"""What was understood in one call."""

from softswitch.call.vocabulary.events import AsrFinal
from softswitch.call.vocabulary.values import SECOND_PARTY, Subject, party_of
from softswitch.store.transcript import Turn, decode
from softswitch.switch.conversation.transcript import MAX_CHARACTERS, LiveTranscript


def said(text: str, at: float = 1.5, subject: Subject | None = None) -> AsrFinal:
    who = subject or party_of("c")
    return AsrFinal(timestamp=at, subject=who, index=0, start_time=at, end_time=at + 1, text=text)


def test_utterances_are_turns_within_a_bound() -> None:
    transcript = LiveTranscript()
    assert transcript.encoded("inbound", 1.0) == ""
    transcript.add(said("good\nday"))
    transcript.add(said(" "))
    transcript.add(said("bye", 3.0, SECOND_PARTY))
    transcript.add(said("x" * MAX_CHARACTERS))
    transcript.add(said("y"))
    made = decode(transcript.encoded("inbound", 1.0))
    assert made is not None
    assert made.turns == (Turn("caller", 500, 1500, "good day"), Turn("callee", 2000, 3000, "bye"))
    other = decode(transcript.encoded("outbound", None))
    assert other is not None
    assert [turn.party for turn in other.turns] == ["callee", "caller"]
    assert other.turns[0].start_ms == 0
