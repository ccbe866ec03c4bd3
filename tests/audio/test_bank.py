import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.audio import libopus
from softswitch.audio.bank import LinearBank, bank_for
from softswitch.audio.codec import (
    G722,
    L16_8000,
    L16_16000,
    L16_24000,
    OPUS,
    PCMA,
    PCMU,
    TELEPHONE_EVENT_8000,
)
from softswitch.audio.g711 import ULAW_DECODE
from softswitch.audio.g722 import G722Bank
from softswitch.audio.opus import OpusBank
from softswitch.audio.opus_av import AvOpusBank
from tests.audio.sounds import noise, sine

EVERY = [PCMU, PCMA, G722, OPUS, L16_8000, L16_16000, L16_24000]
LINEAR = [PCMU, PCMA, L16_16000]


@pytest.mark.parametrize("codec", EVERY, ids=lambda codec: codec.rtpmap)
def test_every_bank_keeps_the_contract(codec):
    bank = bank_for(codec)
    bank.grow(3)
    samples, slots = codec.samples(20), np.array([2, 0])
    for slot in slots.tolist():
        bank.open(slot)
    heard = []
    for at in range(10):
        frame = sine(400.0, 0.2, codec.sample_rate)[at * samples : (at + 1) * samples]
        payloads, lengths = bank.encode(np.stack([frame, frame * 0.5]), slots)
        pcm, counts = bank.decode(payloads, lengths, slots)
        assert (payloads.dtype, lengths.dtype, pcm.dtype) == (np.uint8, np.intp, np.float32)
        assert counts.tolist() == [samples, samples]
        heard.append(pcm)
    loud, soft = np.sqrt(np.mean(np.concatenate(heard[3:], axis=1) ** 2, axis=1))
    assert loud == pytest.approx(8000 / np.sqrt(2), rel=0.1)
    assert soft == pytest.approx(4000 / np.sqrt(2), rel=0.1)
    assert bank.conceal(slots, samples).shape == (2, samples)
    assert bank.recover(payloads, lengths, slots, samples).shape == (2, samples)
    assert bank.sample_rate == codec.sample_rate
    assert bank.codec is codec
    assert bank.faults == 0
    bank.tune(2, bitrate=24000, loss_percent=3)
    silence = np.frombuffer(bank.silence, np.uint8)[None]
    pcm, counts = bank.decode(silence, np.array([silence.shape[1]]), np.array([1]))
    assert counts.tolist() == [samples]
    assert np.abs(pcm).max() < 20
    for slot in range(3):
        bank.close(slot)


@pytest.mark.parametrize("codec", LINEAR, ids=lambda codec: codec.rtpmap)
@settings(deadline=None, max_examples=40)
@given(lengths=st.lists(st.integers(0, 1500), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_rows_of_any_length_are_decoded_or_concealed(codec, lengths, seed):
    bank = LinearBank(codec, 5)
    octets = 1 if codec.name.startswith("PCM") else 2
    payloads = np.random.default_rng(seed).integers(0, 256, (len(lengths), max(lengths)), dtype=np.uint8)
    pcm, counts = bank.decode(payloads, np.array(lengths), np.arange(len(lengths)))
    longest, frame = codec.samples(120), codec.samples(20)
    assert counts.tolist() == [min(length // octets, longest) or frame for length in lengths]
    assert pcm.shape[1] == counts.max()
    faults = [length for length in lengths if not 0 < length // octets <= longest or length % octets]
    assert bank.faults == len(faults)
    for row, count in enumerate(counts.tolist()):
        assert not pcm[row, count:].any()


@pytest.mark.parametrize("codec", LINEAR, ids=lambda codec: codec.rtpmap)
def test_a_batch_of_even_rows_equals_single_ones(codec):
    bank, samples = LinearBank(codec, 8), codec.samples(20)
    pcm = noise(8 * samples).reshape(8, samples)
    slots = np.array([5, 7, 0, 1, 2, 3, 4, 6])
    payloads, lengths = bank.encode(pcm, slots)
    together, _ = bank.decode(payloads, lengths, slots)
    for row in range(8):
        one, _ = LinearBank(codec, 1).decode(
            payloads[row : row + 1], lengths[row : row + 1], np.zeros(1, np.intp)
        )
        assert np.array_equal(one[0], together[row])


def test_l16_is_big_endian_on_the_wire():
    payloads, _ = LinearBank(L16_8000, 1).encode(np.array([[1.0, -2.0]], np.float32), np.zeros(1, np.intp))
    assert payloads.tolist() == [[0, 1, 255, 254]]


def test_wide_receive_rows_are_taken_as_they_are():
    rows = np.zeros((2, 1500), np.uint8)
    rows[:, 12:172] = 0x20
    pcm, _ = LinearBank(PCMU, 2).decode(rows[:, 12:], np.full(2, 160), np.arange(2))
    assert (pcm == ULAW_DECODE[0x20]).all()
    assert pcm.shape == (2, 160)


def test_loss_is_concealed_and_blended_into_what_comes_after():
    bank, slot = LinearBank(PCMU, 1), np.zeros(1, np.intp)
    heard = []
    for number, frame in enumerate(sine(200.0, 0.4, 8000).reshape(-1, 160)):
        packet = bank.encode(frame[None], slot)
        heard.append(bank.conceal(slot, 160)[0] if number == 9 else bank.decode(*packet, slot)[0][0])
    sound = np.concatenate(heard)
    assert np.abs(sound[9 * 160 : 10 * 160]).max() > 7000
    assert np.abs(np.diff(sound)).max() < 1.3 * 8000 * 2 * np.pi * 200 / 8000


def test_closed_slot_forgets_its_sound():
    bank, slot = LinearBank(PCMU, 1), np.zeros(1, np.intp)
    bank.decode(*bank.encode(noise(160)[None], slot), slot)
    bank.close(0)
    assert not bank.conceal(slot, 160).any()


def test_empty_batch_is_no_error():
    none = np.zeros(0, np.intp)
    for codec in EVERY:
        pcm, counts = bank_for(codec).decode(np.zeros((0, 160), np.uint8), none, none)
        assert (len(pcm), len(counts)) == (0, 0)


def test_each_codec_has_its_bank(monkeypatch):
    assert isinstance(bank_for(PCMU), LinearBank)
    assert isinstance(bank_for(G722), G722Bank)
    assert isinstance(bank_for(OPUS), OpusBank)
    monkeypatch.setattr(libopus, "library", lambda: None)
    assert isinstance(bank_for(OPUS), AvOpusBank)


def test_telephone_events_have_no_bank():
    with pytest.raises(ValueError, match="'telephone-event' is not supported"):
        bank_for(TELEPHONE_EVENT_8000)


@pytest.mark.parametrize("codec", LINEAR, ids=lambda codec: codec.rtpmap)
def test_linear_bank_recovers_rows_of_any_length_from_the_packet_after_a_gap(codec):
    slots, samples = np.arange(4), codec.samples(20)
    pcm = np.stack([sine(240.0 + 20 * row, 0.2, codec.sample_rate) for row in range(4)])
    together, alone = bank_for(codec, 4), bank_for(codec, 4)
    packets = [together.encode(pcm[:, at : at + samples], slots)[0] for at in range(0, 8 * samples, samples)]
    octets = packets[0].shape[1]
    for bank in (together, alone):
        for packet in packets[:6]:
            bank.decode(packet, np.full(4, octets), slots)
    lengths = np.array([octets, octets // 2, 7, 0])
    heard = together.recover(packets[7], lengths, slots, samples)
    one_by_one = [
        alone.recover(packets[7][row : row + 1], lengths[row : row + 1], slots[row : row + 1], samples)
        for row in range(4)
    ]
    assert np.abs(heard - np.concatenate(one_by_one)).max() < 1.0
    missing = pcm[:, 6 * samples : 7 * samples]
    assert np.abs(heard[0] - missing[0]).max() < 0.1 * 8000
    # A packet of 10 ms or less says too little about the period.
    assert np.array_equal(heard[1:], bank_like(codec, packets[:6], slots).conceal(slots[1:], samples))


def bank_like(codec, packets, slots):
    """Return a bank that has decoded packets."""
    bank = bank_for(codec, len(slots))
    for packet in packets:
        bank.decode(packet, np.full(len(slots), packet.shape[1]), slots)
    return bank
