import numpy as np
import pytest

from softswitch.audio.g722 import G722Bank
from tests.audio.sounds import noise, sine, voice
from tests.conftest import data_path

SLOT = np.zeros(1, np.intp)


def pieces(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.third_party("codec/g722-stl")
def test_encoder_is_bit_exact_to_the_itu_vectors():
    folder = data_path("codec", "g722-stl")
    pcm = np.fromfile(folder / "inpsp.bin", "<i2").astype(np.float32)
    expected = (folder / "codsp.natural.g722").read_bytes()
    bank = G722Bank(slots=2)
    whole = len(pcm) // 640 * 640
    coded = []
    # Two slots side by side, one of them with noise, so that a state they shared would show.
    for number, frame in enumerate(pieces(pcm[:whole], 640)):
        payloads, lengths = bank.encode(np.stack([noise(640, seed=number), frame]), np.arange(2))
        assert lengths.tolist() == [320, 320]
        coded.append(payloads[1].tobytes())
    assert b"".join(coded) == expected[: whole // 2]


@pytest.mark.third_party("codec/g722-stl")
@pytest.mark.parametrize("octets", [160, 80, 240])
def test_decoder_is_bit_exact_to_the_itu_vectors(octets):
    folder = data_path("codec", "g722-stl")
    codes = np.fromfile(folder / "codsp.natural.g722", np.uint8)
    expected = np.fromfile(folder / "outsp1.bin", "<i2")
    bank = G722Bank(slots=2)
    heard = []
    for piece in pieces(codes, octets):
        both = np.stack([piece[::-1], piece])
        pcm, counts = bank.decode(both, np.full(2, len(piece), np.intp), np.arange(2))
        assert counts.tolist() == [2 * len(piece)] * 2
        heard.append(pcm[1])
    assert np.array_equal(np.concatenate(heard), expected)


def test_voice_comes_back():
    bank, pcm = G722Bank(slots=1), voice(0.5, 16000)
    heard = np.concatenate(
        [bank.decode(*bank.encode(frame[None], SLOT), SLOT)[0][0] for frame in pieces(pcm, 320)]
    )
    # The two quadrature mirror filters delay by 22 samples.
    assert np.corrcoef(pcm[1000:-100], heard[1022 : len(heard) - 78])[0, 1] > 0.99


def test_payloads_of_any_length_are_decoded_or_concealed():
    bank = G722Bank(slots=6)
    lengths = np.array([0, 1, 7, 160, 960, 1400])
    payloads = np.random.default_rng(1).integers(0, 256, (6, 1400), dtype=np.uint8)
    pcm, counts = bank.decode(payloads, lengths, np.arange(6))
    assert counts.tolist() == [320, 2, 14, 320, 1920, 1920]
    assert pcm.shape == (6, 1920)
    assert not pcm[2, 14:].any()
    assert bank.faults == 2


def test_an_empty_payload_costs_one_frame_alone():
    bank, pcm = G722Bank(slots=1), sine(400.0, 0.4, 16000)
    packets = [bank.encode(frame[None], SLOT) for frame in pieces(pcm, 320)]
    for packet in packets[:10]:
        bank.decode(*packet, SLOT)
    concealed, counts = bank.decode(np.zeros((1, 0), np.uint8), np.zeros(1, np.intp), SLOT)
    assert counts.tolist() == [320]
    assert np.abs(concealed).max() > 4000
    heard = np.concatenate([bank.decode(*packet, SLOT)[0][0] for packet in packets[10:]])
    assert np.sqrt(np.mean(heard[640:] ** 2)) == pytest.approx(8000 / np.sqrt(2), rel=0.05)


def test_lost_packets_are_concealed_by_the_last_period():
    bank = G722Bank(slots=1)
    for frame in pieces(sine(200.0, 0.2, 16000), 320):
        bank.decode(*bank.encode(frame[None], SLOT), SLOT)
    assert np.abs(bank.conceal(SLOT, 320)).max() > 7000
    assert bank.recover(np.zeros((1, 160), np.uint8), np.array([160]), SLOT, 320).shape == (1, 320)


def test_open_begins_with_fresh_state():
    bank = G722Bank(slots=1)
    first = bank.encode(noise(320)[None], SLOT)[0].tobytes()
    bank.encode(noise(320, seed=4)[None], SLOT)
    bank.open(0)
    assert bank.encode(noise(320)[None], SLOT)[0].tobytes() == first
    bank.tune(0, bitrate=48000)


def test_silence_is_20_ms_of_next_to_nothing():
    bank = G722Bank(slots=1)
    pcm, counts = bank.decode(
        np.frombuffer(bank.silence, np.uint8)[None], np.array([len(bank.silence)]), SLOT
    )
    assert counts.tolist() == [320]
    assert np.abs(pcm).max() < 20


def test_encoder_takes_whole_pieces_of_10_ms_alone():
    with pytest.raises(ValueError, match="not whole pieces of 160"):
        G722Bank(slots=1).encode(np.zeros((1, 200), np.float32), SLOT)


def test_pieces_of_10_ms_are_coded_as_frames_of_20_ms_are():
    pcm = voice(0.5, 16000)
    whole, cut = G722Bank(slots=1), G722Bank(slots=1)
    coded = [whole.encode(frame[None], SLOT)[0][0] for frame in pieces(pcm[:6400], 320)]
    in_pieces = [cut.encode(piece[None], SLOT)[0][0] for piece in pieces(pcm[:6400], 160)]
    assert np.array_equal(np.concatenate(coded), np.concatenate(in_pieces))
