import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.audio import libopus
from softswitch.audio.opus import PLAIN_BITRATE, OpusBank, OpusUnavailableError
from softswitch.audio.resample import Resampler
from tests.audio.sounds import frames, noise, sine, voice

SLOT = np.zeros(1, np.intp)
HYBRID_OR_SILK = 16
"""Configurations below this have SILK in them, and with it room for FEC (RFC 6716 table 2)."""


def coded(bank, pcm, slot=SLOT):
    return [bank.encode(frame[None], slot) for frame in frames(pcm, 480)]


def rows(*payloads):
    width = max([1, *map(len, payloads)])
    table = np.array([list(payload.ljust(width, b"\0")) for payload in payloads], np.uint8)
    return table, np.array([len(payload) for payload in payloads], np.intp)


def likeness(first, second):
    return float(np.corrcoef(first, second)[0, 1])


@pytest.fixture
def bank():
    bank = OpusBank(slots=4)
    yield bank
    bank.close_all()


def test_voice_comes_back_at_the_bus_rate(bank):
    pcm = voice(1.0, 24000)
    heard = np.concatenate([bank.decode(*packet, SLOT)[0][0] for packet in coded(bank, pcm)])
    assert heard.dtype == np.float32
    assert len(heard) == len(pcm)
    delay = max(range(400), key=lambda lag: likeness(pcm[4800:12000], heard[4800 + lag : 12000 + lag]))
    assert delay / 24000 < 0.01
    assert likeness(pcm[4800:12000], heard[4800 + delay : 12000 + delay]) > 0.9
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(np.sqrt(np.mean(pcm**2)), rel=0.2)


@pytest.mark.parametrize("duration_ms", [2.5, 5, 10, 20, 40, 60, 80, 100, 120])
def test_every_duration_goes_both_ways(bank, duration_ms):
    samples = round(24 * duration_ms)
    payloads, lengths = bank.encode(noise(samples)[None], SLOT)
    pcm, counts = bank.decode(payloads, lengths, SLOT)
    assert counts.tolist() == [samples]
    assert pcm.shape == (1, samples)


def test_encoder_refuses_a_duration_opus_has_not(bank):
    with pytest.raises(ValueError, match="cannot encode 481 samples"):
        bank.encode(np.zeros((1, 481), np.float32), SLOT)


def test_bitrate_is_kept(bank):
    def rate():
        return sum(int(lengths[0]) for _, lengths in coded(bank, voice(2.0, 24000))) * 8 / 2

    assert rate() == pytest.approx(48000, rel=0.25)
    bank.tune(0, bitrate=16000)
    assert rate() == pytest.approx(16000, rel=0.25)
    bank.tune(0, bitrate=1)
    bank.tune(0, bitrate=10**9, loss_percent=1000)


def test_network_without_loss_gets_celt_where_the_bitrate_suffices(bank):
    def kinds():
        return {payloads[0, 0] >> 3 >= HYBRID_OR_SILK for payloads, _ in coded(bank, voice(1.0, 24000))[10:]}

    bank.tune(0, loss_percent=0)
    assert kinds() == {True}
    bank.tune(0, bitrate=PLAIN_BITRATE - 1)
    assert kinds() == {False}
    bank.tune(0, bitrate=PLAIN_BITRATE)
    assert kinds() == {True}
    bank.tune(0, loss_percent=10)
    assert kinds() == {False}


def test_packet_passes_a_network_of_1200_octets_whatever_the_bitrate(bank):
    bank._set(bank._encoder(0), libopus.SET_BITRATE, 510000)
    for seed in range(5):
        _, lengths = bank.encode(noise(24 * 60, 20000.0, seed)[None], SLOT)
        assert 1000 < lengths[0] <= 1100


def test_lost_packet_comes_back_from_the_next_one(bank):
    bank.tune(0, loss_percent=20)
    packets = coded(bank, voice(1.0, 24000))
    assert all(payloads[0, 0] >> 3 < HYBRID_OR_SILK for payloads, _ in packets)
    intact = [bank.decode(*packet, SLOT)[0][0] for packet in packets]
    gaps = range(10, 45, 7)
    recovered: list[np.ndarray] = []
    concealed: list[np.ndarray] = []
    for repair, into in ((True, recovered), (False, concealed)):
        bank.open(1)
        slot = np.ones(1, np.intp)
        for number, packet in enumerate(packets):
            if number not in gaps:
                bank.decode(*packet, slot)
            elif repair:
                into.append(bank.recover(*packets[number + 1], slot, 480)[0])
            else:
                into.append(bank.conceal(slot, 480)[0])
    truth = np.concatenate([intact[number] for number in gaps])
    assert likeness(np.concatenate(recovered), truth) > 0.8
    assert likeness(np.concatenate(recovered), truth) > likeness(np.concatenate(concealed), truth)


def test_recover_conceals_where_the_next_packet_is_damaged(bank):
    for packet in coded(bank, sine(300.0, 0.2, 24000)):
        bank.decode(*packet, SLOT)
    for payload in (b"", bytes([11]), bytes([11, 63])):
        assert bank.recover(*rows(payload), SLOT, 480).shape == (1, 480)
    assert bank.recover(*rows(b"\xff\xff"), SLOT, 480).shape == (1, 480)


def test_concealment_goes_on_like_before_and_dies_away(bank):
    for packet in coded(bank, sine(300.0, 0.4, 24000)):
        bank.decode(*packet, SLOT)
    assert np.sqrt(np.mean(bank.conceal(SLOT, 480) ** 2)) > 2000
    for _ in range(20):
        last = bank.conceal(SLOT, 480)
    assert np.abs(last).max() < 500


@pytest.mark.parametrize("samples", [1, 100, 480, 2880, 5000])
def test_conceal_gives_as_many_samples_as_asked(bank, samples):
    assert bank.conceal(np.arange(3), samples).shape == (3, samples)


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x0b", b"\x0b\x00", b"\xff\xff\x03", b"\x08" * 1400, b"\x0b\x3f" + b"a" * 1200, b"\x00" * 1276],
)
def test_hostile_payload_costs_its_frame_alone(bank, payload):
    packets = coded(bank, sine(300.0, 0.4, 24000))
    for packet in packets[:10]:
        bank.decode(*packet, SLOT)
    pcm, counts = bank.decode(*rows(payload), SLOT)
    assert 0 < counts[0] <= 2880
    assert np.isfinite(pcm).all()
    heard = np.concatenate([bank.decode(*packet, SLOT)[0][0] for packet in packets[10:]])
    assert np.sqrt(np.mean(heard[-1920:] ** 2)) == pytest.approx(8000 / np.sqrt(2), rel=0.1)


def test_payload_that_cannot_be_decoded_is_counted(bank):
    payloads, lengths = rows(b"", bytes([11]), bank.silence)
    _, counts = bank.decode(payloads, lengths, np.arange(3))
    assert counts.tolist() == [480, 480, 480]
    assert bank.faults == 2


@settings(deadline=None, max_examples=150)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_garbage_never_raises(payloads):
    bank = OpusBank(slots=4)
    table, lengths = rows(*payloads)
    pcm, counts = bank.decode(table, lengths, np.arange(len(payloads)))
    assert pcm.shape == (len(payloads), counts.max())
    assert bank.recover(table, lengths, np.arange(len(payloads)), 480).shape == (len(payloads), 480)


def test_a_short_packet_that_fails_has_room_for_its_concealment(bank):
    # Configuration 16 lasts 2.5 ms; code 2 with a length beyond the end is refused by the decoder.
    pcm, counts = bank.decode(*rows(bytes([16 << 3 | 2, 250, 1])), SLOT)
    assert counts.tolist() == [480]
    assert pcm.shape == (1, 480)
    assert bank.faults == 1


def test_rows_of_different_duration_share_a_batch(bank):
    short, long = bank.encode(noise(240)[None], SLOT), bank.encode(noise(1440)[None], np.ones(1, np.intp))
    table, lengths = rows(short[0].tobytes(), long[0].tobytes())
    pcm, counts = bank.decode(table, lengths, np.array([2, 3]))
    assert counts.tolist() == [240, 1440]
    assert pcm.shape == (2, 1440)
    assert not pcm[0, 240:].any()


def test_batch_equals_single(bank):
    sounds = np.stack([voice(0.2, 24000, pitch) for pitch in (90.0, 150.0, 220.0)])
    single = [coded(OpusBank(slots=1), sound) for sound in sounds]
    slots = np.array([3, 0, 2])
    for number in range(10):
        payloads, lengths = bank.encode(sounds[:, number * 480 : number * 480 + 480], slots)
        for row in range(3):
            payload, length = single[row][number]
            assert payloads[row, : lengths[row]].tobytes() == payload[0, : length[0]].tobytes()


def test_silence_decodes_to_silence(bank):
    pcm, counts = bank.decode(*rows(bank.silence), SLOT)
    assert counts.tolist() == [480]
    assert np.abs(pcm).max() < 10


def test_open_begins_with_fresh_state(bank):
    packets = coded(bank, voice(0.2, 24000))
    bank.open(0)
    again = coded(bank, voice(0.2, 24000))
    assert [payloads.tobytes() for payloads, _ in packets] == [payloads.tobytes() for payloads, _ in again]


def test_grow_keeps_open_slots_and_adds_new_ones(bank):
    bank.encode(noise(480)[None], SLOT)
    bank.grow(9)
    bank.encode(noise(480)[None], np.array([8]))
    bank.close(8)
    bank.close(8)


def test_empty_batch_is_no_error(bank):
    none = np.zeros(0, np.intp)
    pcm, counts = bank.decode(np.zeros((0, 10), np.uint8), none, none)
    assert (pcm.shape, counts.shape) == ((0, 0), (0,))
    assert bank.conceal(none, 480).shape == (0, 480)
    payloads, lengths = bank.encode(np.zeros((0, 480), np.float32), none)
    assert (payloads.shape, lengths.shape) == ((0, 0), (0,))


class CountingLibrary:
    """libopus that counts contexts made and freed."""

    def __init__(self, library):
        self._library = library
        self.alive = 0

    def __getattr__(self, name):
        function = getattr(self._library, name)
        step = {"create": 1, "destroy": -1}.get(name.rpartition("_")[2], 0)

        def counted(*arguments):
            self.alive += step
            return function(*arguments)

        return counted


def test_encoders_whose_band_follows_the_sound_are_not_given_away(bank):
    slots = np.array([0, 1])
    bank.tune(0, band_hz=8000)
    assert bank.encoders_of(slots) is None
    bank.tune(1, band_hz=16000)
    encoders, decoders = bank.encoders_of(slots), bank.decoders_of(slots)
    assert encoders is not None
    assert len({*encoders, *decoders} - {0}) == 4
    assert bank.encoders_of(slots) == encoders
    bank.tune(1, band_hz=24000)
    assert bank.encoders_of(slots) is None


def test_contexts_are_freed(monkeypatch):
    counting = CountingLibrary(libopus.library())
    monkeypatch.setattr(libopus, "library", lambda: counting)
    bank, slots = OpusBank(slots=4), np.arange(4)
    bank.decode(*bank.encode(np.zeros((4, 480), np.float32), slots), slots)
    assert counting.alive == 8
    bank.close(1)
    bank.close(1)
    bank.open(2)
    assert counting.alive == 4
    del bank
    gc.collect()
    assert counting.alive == 0


def test_machine_without_libopus_is_reported(monkeypatch):
    monkeypatch.setattr(libopus, "library", lambda: None)
    with pytest.raises(OpusUnavailableError, match="no libopus"):
        OpusBank()


WIDEST_NARROW = 4
"""Configurations 0-3 are narrowband (RFC 6716 table 2)."""


def configurations(packets):
    return [int(payloads[0, 0]) >> 3 for payloads, _ in packets]


WIDEST_WIDE = 12
"""Configurations up to 11 are wideband at most, 12 to 15 hybrid frames of more (RFC 6716 table 2)."""
LOOK_FRAMES = 4
"""Frames after which more band begins at the latest."""


def phone(seconds, rate=8000, hiss=0.0):
    """Return sound of this rate at the bus rate, with a pause at the end of each second."""
    resampler = Resampler(rate, 24000, 1)
    pcm = voice(seconds, rate)
    pcm = (pcm + noise(len(pcm), hiss)).reshape(-1, rate).copy()
    pcm[:, -rate // 10 :] = 0.0
    step = rate // 50
    return np.concatenate([resampler.process(frame[None], SLOT)[0] for frame in frames(pcm.ravel(), step)])


def test_telephone_is_coded_in_its_band_and_a_wide_source_wide_again(bank):
    narrow = configurations(coded(bank, phone(3.0)))
    assert narrow[0] >= WIDEST_NARROW
    assert all(one < WIDEST_NARROW for one in narrow[-50:])
    wide = configurations(coded(bank, noise(24000)))
    assert all(one >= WIDEST_NARROW for one in wide[LOOK_FRAMES:])
    assert all(one >= WIDEST_NARROW for one in configurations(coded(bank, voice(1.0, 24000) + noise(24000))))


def test_sound_of_16_khz_is_coded_in_its_band_and_more_within_a_few_frames(bank):
    wide = configurations(coded(bank, phone(3.0, 16000, hiss=300.0)))
    assert wide[0] >= WIDEST_WIDE
    assert all(WIDEST_NARROW <= one < WIDEST_WIDE for one in wide[-50:])
    narrow = configurations(coded(bank, phone(3.0)))
    assert all(one < WIDEST_NARROW for one in narrow[-50:])
    assert all(
        WIDEST_NARROW <= one < WIDEST_WIDE
        for one in configurations(coded(bank, phone(1.0, 16000, hiss=300.0)[:12000]))[LOOK_FRAMES:]
    )
    assert all(one >= WIDEST_WIDE for one in configurations(coded(bank, noise(24000)))[LOOK_FRAMES:])


def test_silence_and_other_slots_do_not_narrow_an_encoder(bank):
    assert all(one >= WIDEST_NARROW for one in configurations(coded(bank, np.zeros(72000, np.float32))))
    both = np.arange(2)
    for low, high in zip(frames(phone(3.0), 480), frames(noise(72000), 480), strict=True):
        payloads, _ = bank.encode(np.stack((low, high)), both)
    assert payloads[0, 0] >> 3 < WIDEST_NARROW <= payloads[1, 0] >> 3


def test_encoder_of_another_band_keeps_its_settings(bank):
    bank.tune(0, bitrate=12000, loss_percent=0)
    packets = coded(bank, phone(4.0))[-100:]
    assert configurations(packets)[-1] < WIDEST_NARROW
    assert sum(int(lengths[0]) for _, lengths in packets) * 8 / 2 == pytest.approx(12000, rel=0.25)
    bank.close(0)
    assert configurations(coded(bank, phone(1.0)))[0] >= WIDEST_NARROW


def test_sound_goes_on_through_a_change_of_the_band(bank):
    low, high = sine(500, 4.0, 24000), sine(6000, 4.0, 24000) * 0.3
    pcm = low.copy()
    # A pause in which narrowband begins, and an upper band from the third second on.
    pcm[36000:38400] *= 0.01
    pcm[72000:] += high[72000:]
    packets = coded(bank, pcm)
    kinds = configurations(packets)
    assert kinds[100] < WIDEST_NARROW <= kinds[150 + LOOK_FRAMES]
    heard = np.concatenate([bank.decode(*packet, SLOT)[0][0] for packet in packets])
    levels = np.sqrt(np.mean(heard.reshape(-1, 480) ** 2, axis=1)) / np.sqrt(np.mean(low**2))
    assert levels[85:].min() > 0.75
    assert levels[85:].max() < 1.35


@pytest.mark.parametrize(("band_hz", "widest"), [(8000, 3), (16000, 11), (24000, 15)])
def test_encoder_sends_no_more_band_than_its_source_has(band_hz, widest):
    bank = OpusBank(slots=1)
    bank.tune(0, band_hz=band_hz)
    for seed in range(8):
        packets, _ = bank.encode(noise(480, seed=seed)[None], np.zeros(1, np.intp))
        # The upper five bits are the configuration: SILK of narrow band to hybrid (RFC 6716 table 2).
        assert packets[0, 0] >> 3 <= widest


def test_speech_of_12_khz_is_sent_whole_with_redundancy():
    bank, pcm = OpusBank(slots=1), voice(1.0, 24000)
    hiss = noise(len(pcm), 300.0, seed=3)
    packets = [bank.encode(frame[None], SLOT)[0][0] for frame in frames(pcm + hiss, 480)]
    # Configurations 12 and 13 are hybrid frames of super-wide band (RFC 6716 table 2).
    assert {int(packet[0]) >> 3 for packet in packets[25:]} == {13}
