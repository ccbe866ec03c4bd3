import json

import pytest

from softswitch.speech import asr_wire as wire


def test_messages_have_a_letter_a_length_and_a_body():
    data = wire.pack(wire.AUDIO, b"abc")
    assert wire.unpack_header(data[: wire.HEADER.size]) == (wire.AUDIO, 3)
    assert data[wire.HEADER.size :] == b"abc"


def test_json_bodies_are_utf8():
    data = wire.pack_json(wire.DELTA, {"text": "é"})
    assert json.loads(data[wire.HEADER.size :]) == {"text": "é"}


def test_oversized_message_is_refused():
    with pytest.raises(ValueError, match="bytes"):
        wire.unpack_header(wire.HEADER.pack(b"A", wire.MAX_BODY + 1))
