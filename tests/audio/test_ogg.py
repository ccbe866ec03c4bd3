"""Pages of Ogg: their checksum, their room, and the last whole one of a damaged file."""

from softswitch.audio import ogg


def slow_checksum(data: bytes) -> int:
    """Compute the CRC of RFC 3533 bit by bit."""
    crc = 0
    for octet in data:
        crc ^= octet << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc


def test_checksum_is_that_of_the_rfc():
    made = ogg.page([b"hello", bytes(range(256))], 960, 7, 3)
    assert int.from_bytes(made[22:26], "little") == slow_checksum(made[:22] + bytes(4) + made[26:])


def test_packet_of_whole_segments_gets_an_empty_one():
    made = ogg.page([bytes(510)], 1, 1, 1)
    assert made[26:30] == bytes([3, 255, 255, 0])
    assert ogg.segments(bytes(510)) == 3
    assert ogg.fits(252, bytes(510))
    assert not ogg.fits(253, bytes(510))


def test_last_page_is_found_behind_damage():
    first, second = ogg.page([b"a" * 99], 960, 7, 0, begin=True), ogg.page([b"b" * 600], 1920, 7, 1)
    assert ogg.last_page(first + second) == ogg.LastPage(len(first + second), 1920, 7, 1, False)
    for cut in range(1, len(second)):
        found = ogg.last_page(first + second[:cut])
        assert found is not None
        assert (found.end, found.number) == (len(first), 0)
    damaged = bytearray(first + second)
    damaged[-5] ^= 1
    found = ogg.last_page(bytes(damaged))
    assert found is not None
    assert found.number == 0
    assert ogg.last_page(b"OggS") is None
