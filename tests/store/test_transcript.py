"""Transcripts as JSON."""

from softswitch.store.transcript import Transcript, Turn, decode, encode


def test_transcript_survives_its_json_and_junk_is_none() -> None:
    made = Transcript(id="a", status="completed", made_at=1, turns=(Turn("caller", 1, 2, "yes"),))
    assert decode(encode(made)) == made
    assert decode("") is None
    assert decode("[]") is None
