from softswitch.speech.builtin.voice_engine import ignore


def test_ignore_wants_no_audio():
    assert not ignore(b"", 8000)
