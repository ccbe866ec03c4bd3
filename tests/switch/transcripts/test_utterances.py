"""Cutting of the two sides of a recording."""

from softswitch.audio.pcm import to_bytes
from softswitch.switch.transcripts.utterances import Cutter
from tests.support import sound


def seconds(left, right):
    """Give two sides of the same length, a second at a time."""
    rows = [to_bytes(side) for side in (left, right)]
    for begin in range(0, len(rows[0]), 32000):
        yield rows[0][begin : begin + 32000], rows[1][begin : begin + 32000]


def cut(left, right):
    cutter = Cutter()
    found = [one for piece in seconds(left, right) for one in cutter.push(piece)]
    return found, cutter.end()


def test_sides_are_cut_by_themselves_with_their_times():
    left = sound.join(sound.silence(1.0), sound.tone(300, 1.0), sound.silence(4.0))
    right = sound.join(sound.silence(3.0), sound.tone(500, 1.0), sound.silence(2.0))
    found, rest = cut(left, right)
    assert [one.side for one in found] == [0, 1]
    assert rest == []
    for one, begin_ms in zip(found, (1000, 3000), strict=True):
        assert begin_ms - 400 <= one.start_ms <= begin_ms
        assert begin_ms + 1000 <= one.end_ms <= begin_ms + 1800
        assert len(one.pcm) == (one.end_ms - one.start_ms) * 32


def test_what_goes_on_at_the_end_is_an_utterance_too():
    found, rest = cut(sound.join(sound.silence(1.0), sound.tone(300, 1.0)), sound.silence(2.0))
    assert found == []
    assert [one.side for one in rest] == [0]


def test_long_speech_is_cut():
    syllables = [part for _ in range(40) for part in (sound.tone(300, 0.3), sound.silence(0.2))]
    found, rest = cut(sound.join(sound.silence(0.5), *syllables), sound.silence(20.5))
    assert [one.end_ms - one.start_ms for one in found] == [15000]
    assert len(rest) == 1
