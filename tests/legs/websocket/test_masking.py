"""Frames of a client: masked, each with a key of its own."""

from softswitch.legs.websocket.frames import TEXT
from softswitch.legs.websocket.masking import Mask


def test_every_frame_has_a_key_of_its_own() -> None:
    mask = Mask()
    assert len({mask.frame(TEXT, b"abcd")[2:6] for _ in range(5000)}) > 4990


def test_payload_is_xored_with_the_key() -> None:
    frame = Mask(lambda size: bytes((1, 2, 3, 4)) * (size // 4)).frame(TEXT, b"\x00\x00\x00\x00\xff")
    assert frame == b"\x81\x85\x01\x02\x03\x04" + b"\x01\x02\x03\x04\xfe"
