from pathlib import Path

import numpy as np
import pytest

from softswitch.audio import g722_gap
from softswitch.audio.conceal import Concealer
from softswitch.audio.g722 import CompiledCoders
from softswitch.compiled import library

SPOKEN = Path(__file__).parents[1] / "data" / "audio" / "spoken.g722"
"""The first 3 s of the first sentence of bench/pesq_loss.py, from which the network has not learnt."""

needs_compiled_code = pytest.mark.skipif(library() is None, reason="there is no compiled code")


def coders(slots):
    concealer = Concealer(16000, slots)
    code = library()
    assert code is not None
    made = CompiledCoders(code, concealer)
    made.grow(slots)
    return made, concealer


def gaps():
    """Return coders with a slot for the gap before each packet, those packets, and states without a loss."""
    one, _ = coders(1)
    slot, length = np.zeros(1, np.intp), np.full(1, 160)
    codes = np.frombuffer(SPOKEN.read_bytes(), np.uint8).reshape(-1, 160)
    before, heard = [], []
    for packet in codes:
        before.append(one.states(slot)[0])
        heard.append(one.decode(packet[None], length, slot)[0][0])
    states, sound = np.array(before), np.concatenate(heard)
    rows = np.arange(3, len(codes) - 1)
    many, concealer = coders(len(rows))
    many._decoders[:] = states[rows]
    for row, at in enumerate(rows):
        concealer.tables()[0][row] = sound[at * 320 - g722_gap.PAST : at * 320]
    return many, codes[rows + 1], states[rows + 1]


def with_and_without(monkeypatch):
    """Return coders that bridged gaps with the network and without, slots, packets and true states."""
    mended, packets, true = gaps()
    every = np.arange(len(packets))
    mended.bridge(packets, every, 320)
    plain, *_ = gaps()
    monkeypatch.setattr(g722_gap, "corrected", lambda states, told: states)
    plain.bridge(packets, every, 320)
    return mended, plain, every, packets, true


@needs_compiled_code
def test_state_after_a_gap_is_nearer_to_that_of_a_decoder_that_lost_nothing(monkeypatch):
    mended, plain, every, _, true = with_and_without(monkeypatch)
    error, before = (
        np.mean(
            ((g722_gap.estimated(c.states(every)) - g722_gap.estimated(true)) / g722_gap.UNITS) ** 2, axis=0
        )
        for c in (mended, plain)
    )
    assert error.mean() < 0.8 * before.mean()
    assert error[2] < 0.8 * before[2]
    assert error[11] < 0.8 * before[11]


@needs_compiled_code
def test_first_packet_after_a_gap_is_more_like_itself(monkeypatch):
    mended, plain, every, packets, true = with_and_without(monkeypatch)
    right, heard, before = (
        c._decode_from(states.copy(), packets)[:, 48:]
        for c, states in ((plain, true), (mended, mended.states(every)), (plain, plain.states(every)))
    )
    error, worse = (
        np.median(np.log10(np.sum((pcm - right) ** 2, axis=1) + 1) - np.log10(np.sum(right**2, axis=1) + 1))
        for pcm in (heard, before)
    )
    assert error < worse - 0.05


def test_words_stay_within_the_limits_of_the_recommendation():
    states = np.zeros((2, 240), np.uint8)
    words = np.stack((np.full(18, 1e6), np.full(18, -1e6)))
    limited = g722_gap.estimated(g722_gap.with_words(states, words))
    assert limited[:, [1, 10]].tolist() == [[12288, 12288], [-12288, -12288]]
    assert limited[:, [0, 9]].tolist() == [[3072, 3072], [-27648, -27648]]
    assert limited[:, [2, 11]].tolist() == [[18432, 22528], [0, 0]]
    assert np.abs(limited).max() <= 32768
    assert not states.any()


def test_answers_are_bounded_for_any_input():
    layers = g722_gap.network()
    for size in (0.0, 1e3, -1e9):
        answer = g722_gap.answer(np.full((3, g722_gap.INPUTS), size), layers)
        assert np.abs(answer).max() <= g722_gap.MOST
        assert np.array_equal(answer[0], answer[2])


def test_a_state_that_no_sound_has_moved_is_left_as_it_is():
    states = np.zeros((1, 240), np.uint8)
    told = np.ones((1, g722_gap.INPUTS))
    assert np.array_equal(g722_gap.corrected(states, told), states)


def test_what_codes_add_does_not_depend_on_what_was_there():
    before = np.array([[1000.0] * 18])
    after = g722_gap.added(before, before * 0 + 500.0, 1)
    left = g722_gap.added(np.zeros((1, 18)), np.zeros((1, 18)), 40)
    assert np.all(after < 500.0)
    assert not left.any()
