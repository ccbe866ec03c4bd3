from math import gcd

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.audio.resample import Resampler, StreamResampler
from tests.audio.sounds import frames, noise, sine, spectrum_db
from tests.support.compiled import compiled_code

BUS_RATES = [(8000, 24000), (24000, 8000), (16000, 24000), (24000, 16000), (48000, 24000), (24000, 48000)]
SLOT = np.zeros(1, np.intp)


def resampled(pcm, rate_in, rate_out):
    resampler = Resampler(rate_in, rate_out, 1)
    return np.concatenate([resampler.process(row[None], SLOT)[0] for row in frames(pcm, rate_in // 50)])


@pytest.mark.parametrize(("rate_in", "rate_out"), [*BUS_RATES, (44100, 24000)])
@pytest.mark.parametrize("place", [0.05, 0.4, 0.7, 0.87])
def test_passband_is_flat_and_images_are_60_db_down(rate_in, rate_out, place):
    # Whole periods in the 0.8 s looked at, so that the window has nothing to hide.
    frequency = round(place * min(rate_in, rate_out) / 2 / 10) * 10
    out = resampled(sine(frequency, 1.0, rate_in, 10000.0), rate_in, rate_out)
    frequencies, level = spectrum_db(out[-rate_out * 4 // 5 :], rate_out)
    asked = 20 * np.log10(10000.0 / 32768.0)
    near = np.abs(frequencies - frequency) < 20
    assert level[near].max() == pytest.approx(asked, abs=0.1)
    assert level[~near].max() < asked - 60


@pytest.mark.parametrize(("rate_in", "rate_out"), [(24000, 8000), (24000, 16000), (48000, 24000)])
def test_sound_above_the_lower_rate_does_not_fold_back(rate_in, rate_out):
    out = resampled(sine(rate_out / 2 * 1.15, 0.5, rate_in, 10000.0), rate_in, rate_out)
    assert np.abs(out[rate_out // 10 :]).max() < 10000 * 10 ** (-60 / 20)


@pytest.mark.parametrize(("rate_in", "rate_out"), BUS_RATES)
def test_output_lags_by_the_delay_it_states(rate_in, rate_out):
    resampler = Resampler(rate_in, rate_out, 1)
    assert resampler.delay <= 0.0025
    impulse = np.zeros((1, rate_in // 50), np.float32)
    impulse[0, 0] = 10000.0
    out = resampler.process(impulse, SLOT)[0]
    assert abs(np.argmax(out) - resampler.delay * rate_out) <= 1


@pytest.mark.parametrize(("rate_in", "rate_out"), BUS_RATES)
def test_batch_equals_single_within_one_lsb(rate_in, rate_out):
    pcm = noise(7 * rate_in // 10).reshape(7, 5, rate_in // 50)
    batch, slots = Resampler(rate_in, rate_out, 7), np.array([6, 0, 5, 1, 4, 2, 3])
    together = np.concatenate([batch.process(pcm[:, piece], slots) for piece in range(5)], axis=1)
    for row in range(7):
        assert np.abs(together[row] - resampled(pcm[row].reshape(-1), rate_in, rate_out)).max() < 1.0


def test_pieces_of_any_whole_size_give_the_same_stream():
    pcm = noise(4800)
    whole = resampled(pcm, 8000, 24000)
    resampler, pieces, at = Resampler(8000, 24000, 1), [], 0
    for size in (80, 160, 240, 40, 1, 7, 312):
        pieces.append(resampler.process(pcm[None, at : at + size], SLOT)[0])
        at += size
    assert np.allclose(np.concatenate(pieces), whole[: 3 * at], atol=0.5)


def test_reset_forgets_one_slot_alone():
    resampler, slots = Resampler(8000, 24000), np.arange(2)
    resampler.grow(2)
    resampler.process(noise(320).reshape(2, 160), slots)
    resampler.reset(0)
    out = resampler.process(np.zeros((2, 160), np.float32), slots)
    assert not out[0].any()
    assert out[1].any()


def test_grow_keeps_what_was_there():
    grown, plain = Resampler(8000, 24000, 1), Resampler(8000, 24000, 1)
    pcm = noise(320).reshape(2, 1, 160)
    for resampler in (grown, plain):
        resampler.process(pcm[0], SLOT)
    grown.grow(5)
    assert np.array_equal(grown.process(pcm[1], SLOT), plain.process(pcm[1], SLOT))


def test_out_is_written_into():
    out = np.empty((1, 480), np.float32)
    assert Resampler(8000, 24000, 1).process(noise(160)[None], SLOT, out) is out


def test_a_part_of_a_sample_is_refused():
    with pytest.raises(ValueError, match="not a multiple of 3"):
        Resampler(24000, 8000, 1).process(np.zeros((1, 100), np.float32), SLOT)


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(
        [(44100, 24000), (22050, 24000), (8000, 24000), (24000, 8000), (11025, 24000), (96000, 24000)]
    ),
    st.lists(st.integers(0, 700), min_size=1, max_size=12),
)
def test_stream_does_not_depend_on_how_it_is_cut(rates, sizes):
    pcm = noise(sum(sizes))
    whole, cut = StreamResampler(*rates), StreamResampler(*rates)
    expected = np.concatenate((whole.process(pcm), whole.flush()))
    pieces, at = [], 0
    for size in sizes:
        pieces.append(cut.process(pcm[at : at + size]))
        at += size
    got = np.concatenate((*pieces, cut.flush()))
    assert len(got) == len(expected) == -(-len(pcm) * rates[1] // rates[0])
    assert np.allclose(got, expected, atol=0.5)


@pytest.mark.parametrize(
    ("rate_in", "rate_out"), [(44100, 24000), (22050, 24000), (24000, 16000), (44101, 24000)]
)
def test_stream_keeps_a_tone_where_it_is(rate_in, rate_out):
    stream = StreamResampler(rate_in, rate_out)
    pcm = sine(3000.0, 1.0, rate_in, 10000.0)
    out = np.concatenate((stream.process(pcm), stream.flush()))
    expected = sine(3000.0, 1.0, rate_out, 10000.0)
    middle = slice(rate_out // 10, -rate_out // 10)
    error = out[middle] - expected[: len(out)][middle]
    assert 20 * np.log10(np.sqrt(np.mean(error**2)) / 7071) < -55


def test_stream_of_equal_rates_passes_through():
    pcm = noise(100)
    assert np.array_equal(StreamResampler(24000, 24000).process(pcm), pcm)


def test_stream_begins_anew_after_flush():
    stream = StreamResampler(16000, 24000)
    first = np.concatenate((stream.process(noise(500)), stream.flush()))
    second = np.concatenate((stream.process(noise(500)), stream.flush()))
    assert np.array_equal(first, second)


def test_rates_must_be_positive():
    with pytest.raises(ValueError, match="rates: 0 and 24000"):
        StreamResampler(0, 24000)


COMPILED = [
    *BUS_RATES,
    (16000, 48000),
    (8000, 48000),
    (48000, 8000),
    (32000, 24000),
    (12000, 24000),
    (40000, 24000),
]


def product(rate_in, rate_out, slots=0):
    """Return a resampler that makes matrix products."""
    resampler = Resampler(rate_in, rate_out, slots)
    resampler._compiled = None
    return resampler


@pytest.fixture
def code():
    compiled_code()


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize(("rate_in", "rate_out"), COMPILED)
def test_compiled_filter_is_the_product_of_matrices(rate_in, rate_out):
    random = np.random.default_rng(rate_in + rate_out)
    compiled, plain = Resampler(rate_in, rate_out, 9), product(rate_in, rate_out, 9)
    assert compiled._compiled is not None
    unit = rate_in // gcd(rate_in, rate_out)
    for size in (rate_in // 50, unit, 3 * unit, rate_in // 100 // unit * unit, 7 * rate_in // 50):
        slots = random.permutation(9)[:5]
        pcm = (random.standard_normal((5, size)) * 8000).astype(np.float32)
        out = np.full((5, size * rate_out // rate_in), np.nan, np.float32)
        assert compiled.process(pcm, slots, out) is out
        np.testing.assert_allclose(out, plain.process(pcm, slots), atol=0.02)
        np.testing.assert_array_equal(compiled.history, plain.history)
        before = (random.standard_normal(compiled.past) * 8000).astype(np.float32)
        kept = before.copy()
        row = compiled.process_row(before, pcm[0])
        np.testing.assert_allclose(row, plain.process_row(before, pcm[0]), atol=0.02)
        np.testing.assert_array_equal(before, kept)


@pytest.mark.usefixtures("code")
def test_compiled_filter_takes_rows_that_lie_apart():
    compiled, plain = Resampler(24000, 16000, 4), product(24000, 16000, 4)
    pcm = noise(8 * 480).reshape(8, 480)[::2]
    slots = np.arange(8)[::2] // 2
    np.testing.assert_allclose(compiled.process(pcm, slots), plain.process(pcm, slots), atol=0.02)


@pytest.mark.usefixtures("code")
def test_compiled_filter_refuses_what_does_not_fit():
    resampler, pcm = Resampler(24000, 16000, 2), np.zeros((2, 480), np.float32)
    for slots in ([0, 2], [-1, 0]):
        with pytest.raises(IndexError, match="slots"):
            resampler.process(pcm, np.array(slots))
    with pytest.raises(ValueError, match="rows"):
        resampler.process(pcm, SLOT)
    with pytest.raises(ValueError, match="rows"):
        resampler.process(pcm, np.arange(2), np.zeros((2, 319), np.float32))
    with pytest.raises(ValueError, match="multiple"):
        resampler.process_row(np.zeros(resampler.past, np.float32), np.zeros(100, np.float32))


def test_ratios_that_are_no_small_numbers_are_products():
    assert Resampler(44100, 24000)._compiled is None
