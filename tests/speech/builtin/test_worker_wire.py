import pytest

from softswitch.speech.builtin import worker_wire as wire


def test_a_message_has_a_letter_a_length_and_a_body():
    message = wire.pack_json(wire.DONE, {"a": 1})
    kind, size = wire.unpack_header(message[: wire.HEADER.size])
    assert kind == wire.DONE
    assert message[wire.HEADER.size :] == b'{"a": 1}'
    assert size == 8


def test_too_long_a_message_is_refused():
    with pytest.raises(ValueError, match="bytes"):
        wire.unpack_header(wire.HEADER.pack(wire.PIECE, wire.MAX_BODY + 1))
