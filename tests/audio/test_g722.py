"""The bank with each kind of coders, and the coders against each other: all of them are bit exact."""

import hashlib
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.audio.codec import G722
from softswitch.audio.conceal import Concealer
from softswitch.audio.g722 import Coders, CompiledCoders, G722Bank
from softswitch.compiled import library
from tests.audio.sounds import noise, sine, voice
from tests.conftest import data_path
from tests.support.compiled import compiled_code

SLOT = np.zeros(1, np.intp)

DIGESTS = {
    "codes": "0204f2d46b41ccf0",
    "pcm": "a825326f3bd0708e",
    "pcm of any codes": "33d3f5d819136115",
}
"""SHA-256 of what libavcodec 62.28 makes of the sounds below, first 16 digits."""


def av_coders(concealer: Concealer) -> Coders:
    """Return the coders of libavcodec; without PyAV the test is skipped."""
    del concealer
    pytest.importorskip("av")
    from softswitch.audio.g722_av import AvCoders  # noqa: PLC0415  (PyAV)

    return AvCoders()


def compiled_coders(concealer: Concealer, *, alone: bool = False) -> CompiledCoders:
    """Return the compiled coders; without compiled code the test is skipped, and fails in CI."""
    return CompiledCoders(compiled_code(), concealer, alone=alone)


KINDS = {
    "libavcodec": av_coders,
    "compiled": compiled_coders,
    "compiled, row by row": partial(compiled_coders, alone=True),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def pieces(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.third_party("codec/g722-stl")
def test_encoder_is_bit_exact_to_the_itu_vectors(kind):
    folder = data_path("codec", "g722-stl")
    pcm = np.fromfile(folder / "inpsp.bin", "<i2").astype(np.float32)
    expected = (folder / "codsp.natural.g722").read_bytes()
    bank = G722Bank(slots=2, coders=kind)
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
def test_decoder_is_bit_exact_to_the_itu_vectors(kind, octets):
    folder = data_path("codec", "g722-stl")
    codes = np.fromfile(folder / "codsp.natural.g722", np.uint8)
    expected = np.fromfile(folder / "outsp1.bin", "<i2")
    bank = G722Bank(slots=2, coders=kind)
    heard = []
    for piece in pieces(codes, octets):
        both = np.stack([piece[::-1], piece])
        pcm, counts = bank.decode(both, np.full(2, len(piece), np.intp), np.arange(2))
        assert counts.tolist() == [2 * len(piece)] * 2
        heard.append(pcm[1])
    assert np.array_equal(np.concatenate(heard), expected)


def test_voice_comes_back(kind):
    bank, pcm = G722Bank(slots=1, coders=kind), voice(0.5, 16000)
    heard = np.concatenate(
        [bank.decode(*bank.encode(frame[None], SLOT), SLOT)[0][0] for frame in pieces(pcm, 320)]
    )
    # The two quadrature mirror filters delay by 22 samples.
    assert np.corrcoef(pcm[1000:-100], heard[1022 : len(heard) - 78])[0, 1] > 0.99


def test_payloads_of_any_length_are_decoded_or_concealed(kind):
    bank = G722Bank(slots=6, coders=kind)
    lengths = np.array([0, 1, 7, 160, 960, 1400])
    payloads = np.random.default_rng(1).integers(0, 256, (6, 1400), dtype=np.uint8)
    pcm, counts = bank.decode(payloads, lengths, np.arange(6))
    assert counts.tolist() == [320, 2, 14, 320, 1920, 1920]
    assert pcm.shape == (6, 1920)
    assert not pcm[2, 14:].any()
    assert bank.faults == 2


def test_an_empty_payload_costs_one_frame_alone(kind):
    bank, pcm = G722Bank(slots=1, coders=kind), sine(400.0, 0.4, 16000)
    packets = [bank.encode(frame[None], SLOT) for frame in pieces(pcm, 320)]
    for packet in packets[:10]:
        bank.decode(*packet, SLOT)
    concealed, counts = bank.decode(np.zeros((1, 0), np.uint8), np.zeros(1, np.intp), SLOT)
    assert counts.tolist() == [320]
    assert np.abs(concealed).max() > 4000
    heard = np.concatenate([bank.decode(*packet, SLOT)[0][0] for packet in packets[10:]])
    assert np.sqrt(np.mean(heard[640:] ** 2)) == pytest.approx(8000 / np.sqrt(2), rel=0.05)


def test_lost_packets_are_concealed_by_the_last_period(kind):
    bank = G722Bank(slots=1, coders=kind)
    for frame in pieces(sine(200.0, 0.2, 16000), 320):
        bank.decode(*bank.encode(frame[None], SLOT), SLOT)
    assert np.abs(bank.conceal(SLOT, 320)).max() > 7000
    assert bank.recover(np.zeros((1, 160), np.uint8), np.array([160]), SLOT, 320).shape == (1, 320)


def test_open_begins_with_fresh_state(kind):
    bank = G722Bank(slots=1, coders=kind)
    first = bank.encode(noise(320)[None], SLOT)[0].tobytes()
    bank.encode(noise(320, seed=4)[None], SLOT)
    bank.open(0)
    assert bank.encode(noise(320)[None], SLOT)[0].tobytes() == first
    bank.tune(0, bitrate=48000)


def test_silence_is_20_ms_of_next_to_nothing(kind):
    bank = G722Bank(slots=1, coders=kind)
    pcm, counts = bank.decode(
        np.frombuffer(bank.silence, np.uint8)[None], np.array([len(bank.silence)]), SLOT
    )
    assert counts.tolist() == [320]
    assert np.abs(pcm).max() < 20


def test_encoder_takes_whole_pieces_of_10_ms_alone(kind):
    with pytest.raises(ValueError, match="not whole pieces of 160"):
        G722Bank(slots=1, coders=kind).encode(np.zeros((1, 200), np.float32), SLOT)


def test_pieces_of_10_ms_are_coded_as_frames_of_20_ms_are(kind):
    pcm = voice(0.5, 16000)
    whole, cut = G722Bank(slots=1, coders=kind), G722Bank(slots=1, coders=kind)
    coded = [whole.encode(frame[None], SLOT)[0][0] for frame in pieces(pcm[:6400], 320)]
    in_pieces = [cut.encode(piece[None], SLOT)[0][0] for piece in pieces(pcm[:6400], 160)]
    assert np.array_equal(np.concatenate(coded), np.concatenate(in_pieces))


def test_bank_has_the_compiled_coders_where_there_are_some(monkeypatch):
    if library() is not None:
        assert G722Bank()._coders.name == "compiled"
    pytest.importorskip("av")
    monkeypatch.setenv("SOFTSWITCH_COMPILED", "0")
    assert G722Bank()._coders.name == "libavcodec"


def sounds(samples):
    """Return sounds, one a row, that speak, are silent, are too loud, and change abruptly."""
    chance = np.random.default_rng(722)
    time = np.arange(samples) / 16000

    def square(frequency):
        return np.where(np.sin(2 * np.pi * frequency * time + 0.1) > 0, 32767.0, -32768.0)

    rows = [
        np.zeros(samples),
        voice(samples / 16000, 16000),
        voice(samples / 16000, 16000, pitch=210.0) * (time % 0.5 < 0.3),
        chance.standard_normal(samples) * 4000,
        chance.uniform(-32768, 32767, samples),
        chance.choice([-32768.0, 32767.0], samples),
        *(square(frequency) for frequency in (50, 1000, 3999, 4001, 7900, 8000)),
        np.where(np.arange(samples) % 997 == 0, 32767.0, 0.0),
        32767 * np.sin(2 * np.pi * 4000 * time / time[-1] * time),
        chance.integers(-3, 4, samples),
        np.repeat(chance.choice([-32768.0, 0.0, 32767.0], samples // 64 + 1), 64)[:samples],
        chance.choice([np.inf, -np.inf, np.nan, 1e9, -1e9, 0.5, 1.5, 2.5, -0.5, 32767.4, -32768.6], samples),
        chance.uniform(-2, 2, samples) * 10.0 ** chance.integers(0, 6, samples),
    ]
    return np.stack(rows).astype(np.float32)


def any_codes(octets):
    """Return codes that no encoder makes, one sequence a row."""
    chance = np.random.default_rng(64)
    rows = [
        chance.integers(0, 256, octets),
        chance.choice([0, 255], octets),
        np.repeat(chance.integers(0, 256, octets // 10 + 1), 10)[:octets],
        np.repeat(chance.integers(0, 256, octets // 100 + 1), 100)[:octets],
        chance.choice([0x04, 0x20, 0xE0, 0xC4], octets),
        chance.integers(0, 4, octets) * 64 + chance.integers(0, 4, octets),
        np.full(octets, 0x20),
        np.full(octets, 0x04),
    ]
    return np.stack(rows).astype(np.uint8)


def encoded(bank, pcm, samples=320):
    slots = np.arange(len(pcm))
    return np.concatenate(
        [bank.encode(pcm[:, at : at + samples], slots)[0] for at in range(0, pcm.shape[1], samples)], axis=1
    )


def decoded(bank, codes, octets=160):
    slots, lengths = np.arange(len(codes)), np.full(len(codes), octets)
    return np.concatenate(
        [
            bank.decode(codes[:, at : at + octets], lengths, slots)[0]
            for at in range(0, codes.shape[1], octets)
        ],
        axis=1,
    )


def digest(array):
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


def test_codes_and_sound_are_those_of_libavcodec(kind):
    pcm, codes = sounds(19200), any_codes(9600)
    bank = G722Bank(slots=len(pcm), coders=kind)
    coded = encoded(bank, pcm)
    heard = decoded(bank, coded)
    bank = G722Bank(slots=len(codes), coders=kind)
    of_any = decoded(bank, codes)
    assert {
        "codes": digest(coded),
        "pcm": digest(heard.astype("<i2")),
        "pcm of any codes": digest(of_any.astype("<i2")),
    } == DIGESTS


def test_pieces_of_every_length_continue_each_other(kind):
    pcm, bank = sounds(19200), G722Bank(slots=20, coders=kind)
    once = encoded(bank, pcm)
    for samples in (160, 480, 960, 1920):
        assert np.array_equal(encoded(G722Bank(slots=20, coders=kind), pcm, samples), once)
    whole = decoded(bank, once)
    for octets in (1, 7, 8, 80, 200, 960):
        cut = once[:, : 2400 // octets * octets]
        heard = decoded(G722Bank(slots=20, coders=kind), cut, octets)
        assert np.array_equal(heard, whole[:, : heard.shape[1]])


@pytest.mark.parametrize("alone", [False, True])
def test_compiled_coders_do_what_libavcodec_does_with_any_rows_in_any_order(alone):
    banks = [
        G722Bank(slots=30, coders=partial(compiled_coders, alone=alone)),
        G722Bank(slots=30, coders=av_coders),
    ]
    chance, pcm = np.random.default_rng(7), sounds(38400)
    for _ in range(150):
        slots = chance.permutation(40)[: chance.integers(0, 41)]
        for bank in banks:
            bank.grow(40)
        for slot in chance.integers(0, 40, chance.integers(0, 3)).tolist():
            for bank in banks:
                bank.open(slot)
        # An encoder of libavcodec begins anew where pieces of 10 ms follow frames of 20 ms.
        samples, at = 320 * int(chance.integers(1, 7)), int(chance.integers(0, 36000))
        rows = pcm[chance.integers(0, len(pcm), len(slots)), at : at + samples]
        coded = [bank.encode(rows, slots) for bank in banks]
        assert all(np.array_equal(*both) for both in zip(*coded, strict=True))
        payloads = (
            coded[0][0] if chance.random() < 0.7 else chance.integers(0, 256, coded[0][0].shape, np.uint8)
        )
        lengths = np.full(len(slots), payloads.shape[1])
        if chance.random() < 0.5:
            lengths = chance.choice([0, 1, 8, 30, 80, payloads.shape[1]], len(slots))
        lengths = np.minimum(lengths, payloads.shape[1])
        heard = [bank.decode(payloads, lengths, slots) for bank in banks]
        assert all(np.array_equal(*both) for both in zip(*heard, strict=True))
        lost = chance.permutation(40)[: chance.integers(0, 4)]
        compiled, reference = (bank.conceal(lost, 320) for bank in banks)
        assert np.array_equal(compiled, reference)
        assert banks[0].faults == banks[1].faults
    tables = [bank._concealer.tables() for bank in banks]
    assert all(np.array_equal(*both) for both in zip(*tables, strict=True))


@settings(max_examples=150, deadline=None)
@given(
    rows=st.integers(0, 12),
    width=st.integers(0, 1500),
    lengths=st.lists(st.integers(-5, 1500), max_size=13),
    slots=st.lists(st.integers(-3, 14), max_size=13),
    alone=st.booleans(),
)
def test_nothing_is_read_or_written_beside_the_rows(rows, width, lengths, slots, alone):
    concealer = Concealer(G722.sample_rate)
    concealer.grow(12)
    coders = compiled_coders(concealer, alone=alone)
    coders.grow(12)
    payloads = np.random.default_rng(width).integers(0, 256, (rows, width), np.uint8)
    fits = len(lengths) == len(slots) == rows
    sizes, places = np.array(lengths, np.intp), np.array(slots, np.intp)
    if not fits:
        with pytest.raises(ValueError, match="rows for"):
            coders.decode(payloads, sizes, places)
        sizes, places = np.resize(sizes, rows), np.resize(places, rows)
    pcm = payloads[:, : width // 160 * 160].astype(np.float32)
    if places.size and not (places.min() >= 0 and places.max() < 12):
        with pytest.raises(IndexError, match="below 12"):
            coders.decode(payloads, sizes, places)
        with pytest.raises(IndexError, match="below 12"):
            coders.encode(pcm, places)
        assert not coders._decoders.any()
        return
    sound, counts, _ = coders.decode(payloads, sizes, places)
    expected = np.clip(sizes, 0, min(width, 960)) * 2
    assert counts.tolist() == expected.tolist()
    assert sound.shape == (rows, expected.max(initial=0))
    assert not any(row[count:].any() for row, count in zip(sound, expected, strict=True))
    assert coders.encode(pcm, places).shape == (rows, pcm.shape[1] // 2)


def test_compiled_coders_refuse_rows_that_do_not_fit():
    coders = compiled_coders(Concealer(G722.sample_rate, 2))
    coders.grow(2)
    with pytest.raises(ValueError, match="2 rows for 1 slots"):
        coders.encode(np.zeros((2, 160), np.float32), SLOT)
    with pytest.raises(ValueError, match="not whole pieces"):
        coders.encode(np.zeros((1, 200), np.float32), SLOT)


def test_rows_of_other_types_and_orders_are_taken(kind):
    pcm = sounds(640)
    bank, slots = G722Bank(slots=40, coders=kind), np.arange(2 * len(pcm))[::2]
    mixed = np.asfortranarray(pcm.astype(np.float64))[:, 320:]
    plain = G722Bank(slots=40, coders=kind)
    with np.errstate(invalid="ignore"):
        coded, lengths = bank.encode(mixed, slots.astype(np.int32))
    expected = plain.encode(np.ascontiguousarray(pcm[:, 320:]), np.ascontiguousarray(slots))[0]
    assert np.array_equal(coded, expected)
    wide = np.zeros((len(coded), 200), np.uint8)
    wide[:, 12:172] = coded
    heard = bank.decode(wide[:, 12:172], lengths, slots)[0]
    assert np.array_equal(heard, plain.decode(expected, lengths, np.ascontiguousarray(slots))[0])


def crossed(bank, packets, lost, *, recover=True):
    """Return what is heard of packets of many rows, some of which are lost for all."""
    slots, heard = np.arange(len(packets[0])), []
    for number, packet in enumerate(packets):
        lengths = np.full(len(slots), packet.shape[1])
        if number not in lost:
            heard.append(bank.decode(packet, lengths, slots)[0])
        elif recover:
            heard.append(bank.recover(packets[number + 1], lengths, slots, 320))
        else:
            heard.append(bank.conceal(slots, 320))
    return np.concatenate(heard, axis=1)


def voices():
    """Return packets of 2 s of three voices."""
    pcm = np.stack([voice(2.0, 16000, pitch, seed) for seed, pitch in enumerate((90.0, 130.0, 210.0))])
    bank = G722Bank(slots=3)
    return [bank.encode(pcm[:, at : at + 320], np.arange(3))[0] for at in range(0, pcm.shape[1], 320)]


def test_packet_after_a_gap_makes_the_gap_and_what_follows_more_like_the_voice():
    packets, lost = voices(), set(range(10, 95, 7))
    whole, bridged = (
        crossed(G722Bank(slots=3, coders=compiled_coders), packets, gaps) for gaps in (set(), lost)
    )
    repeated = crossed(G722Bank(slots=3, coders=compiled_coders), packets, lost, recover=False)
    frame = np.arange(whole.shape[1]) // 320
    for first, last in ((0, 0), (1, 2)):
        near = np.isin(frame, [number + k for number in lost for k in range(first, last + 1)])
        error, before = (np.mean((heard - whole)[:, near] ** 2) for heard in (bridged, repeated))
        assert error < 0.8 * before


def test_rows_are_bridged_together_as_they_are_alone():
    packets, lost = voices(), {10, 20, 21, 40}
    together = crossed(G722Bank(slots=3, coders=compiled_coders), packets, lost)
    rows = G722Bank(slots=3, coders=partial(compiled_coders, alone=True))
    assert np.array_equal(crossed(rows, packets, lost), together)
    for row in range(3):
        bank = G722Bank(slots=1, coders=compiled_coders)
        heard = crossed(bank, [packet[row : row + 1] for packet in packets], lost)
        assert np.abs(heard[0] - together[row]).max() <= 1.0


@pytest.mark.parametrize("octets", [0, 7, 80, 159, 160, 960])
@pytest.mark.parametrize("samples", [1, 100, 160, 320, 400, 480])
def test_gaps_of_any_length_are_bridged(kind, octets, samples):
    bank, packets = G722Bank(slots=3, coders=kind), voices()
    slots, lengths = np.arange(3), np.full(3, octets)
    crossed(bank, packets[:5], set())
    after = np.concatenate(packets[6:13], axis=1)[:, :octets]
    heard = bank.recover(after, lengths, slots, samples)
    assert heard.shape == (3, samples)
    assert np.isfinite(heard).all()
    bank.decode(after, lengths, slots)
    assert np.abs(crossed(bank, packets[13:], set())).max() < 32768


def test_coders_of_libavcodec_conceal_from_the_past_alone():
    packets, lost = voices(), {10, 20, 40}
    heard = [
        crossed(G722Bank(slots=3, coders=av_coders), packets, lost, recover=recover)
        for recover in (True, False)
    ]
    assert np.array_equal(*heard)
