import numpy as np
import pytest

from softswitch.audio.opus_packet import concealment_packet, sample_counts


def counts(*packets, rate=48000):
    width = max(map(len, packets))
    rows = np.array([list(packet.ljust(width, b"\0")) for packet in packets], np.uint8).reshape(
        len(packets), width
    )
    return sample_counts(rows, np.array([len(packet) for packet in packets], np.intp), rate).tolist()


@pytest.mark.parametrize(
    ("config", "duration_ms"),
    [
        (0, 10),
        (1, 20),
        (2, 40),
        (3, 60),
        (11, 60),
        (12, 10),
        (13, 20),
        (15, 20),
        (16, 2.5),
        (17, 5),
        (31, 20),
    ],
)
def test_duration_is_that_of_rfc_6716_table_2(config, duration_ms):
    assert counts(bytes([config << 3])) == [duration_ms * 48]


def test_number_of_frames_follows_from_the_code():
    assert counts(bytes([8, 1]), bytes([9, 1]), bytes([10, 1]), bytes([11, 3])) == [960, 1920, 1920, 2880]


def test_rate_is_the_one_asked_for():
    assert counts(bytes([8]), rate=24000) == [480]


def test_packets_no_decoder_may_be_given_have_no_duration():
    assert counts(b"", bytes([11]), bytes([11, 0]), bytes([11, 7]), bytes([27, 3])) == [0, 0, 0, 0, 0]


def test_rows_without_room_are_understood():
    assert sample_counts(np.zeros((2, 0), np.uint8), np.zeros(2, np.intp), 48000).tolist() == [0, 0]


def test_concealment_packet_is_one_frame_like_the_last():
    assert concealment_packet(0b01101111) == bytes([0b01101100])
