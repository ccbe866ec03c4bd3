"""The frame format: headers of every length, masks, and Close frames."""

import struct

import pytest

from softswitch.legs.websocket.frames import (
    BINARY,
    CLOSE,
    MASKED,
    MaskBytes,
    close_frame,
    header,
    mask_bytes,
    mask_in_python,
    measure,
    unmasked,
)


@pytest.mark.parametrize("mask", [0, MASKED])
@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536, 1 << 40])
def test_header_says_what_measure_reads(length: int, mask: int) -> None:
    head = header(BINARY, length, mask) + (b"\1\2\3\4" if mask else b"")
    assert measure(b"x" + head, 1) == (len(head), length)
    assert all(measure(head[:cut], 0) == (0, 0) for cut in range(len(head)))


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 1000])
def test_mask_is_taken_off(length: int) -> None:
    payload, key = bytes(number % 251 for number in range(length)), b"\x01\x80\xff\x00"
    masked = bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))
    assert unmasked(key + masked + b"rest", 4, length) == payload


def test_close_frame_keeps_code_and_a_bounded_reason() -> None:
    frame = close_frame(1008, b"x" * 200)
    assert frame[:2] == bytes((CLOSE, 125))
    assert struct.unpack("!H", frame[2:4]) == (1008,)
    assert frame[4:] == b"x" * 123


@pytest.mark.parametrize("apply", [mask_bytes, mask_in_python])
@pytest.mark.parametrize("length", [0, 1, 3, 4, 7, 8, 1331])
def test_data_is_masked_in_place(apply: MaskBytes, length: int) -> None:
    plain, key = bytes(number % 253 for number in range(length)), b"\xff\x01\x80\x7f"
    data = bytearray(plain)
    apply(key, data)
    assert bytes(data) == bytes(octet ^ key[place % 4] for place, octet in enumerate(plain))
