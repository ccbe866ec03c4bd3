import numpy as np

from softswitch.audio.resample import StreamResampler
from softswitch.speech.endpointer import FRAME, Endpointer
from tests.audio.sounds import frames, noise, voice

RATE = 16000


def utterances(pcm, pause_ms=800, longest_s=20.0):
    """Return where each utterance begins and ends, in frames, and what was given out of it."""
    endpointer = Endpointer(pause_ms, longest_s)
    found, begun = [], None
    for index, frame in enumerate(frames(pcm.astype(np.float32), FRAME)):
        piece = endpointer.push(frame)
        if piece is None:
            continue
        if begun is None:
            begun, pieces = index + 1 - len(piece) // FRAME, []
        pieces.append(piece)
        if not endpointer.speaking:
            found.append((begun, index + 1, np.concatenate(pieces)))
            begun = None
    return found


def test_utterance_has_what_came_before_and_ends_after_a_pause():
    pcm = np.concatenate((noise(RATE, 5), voice(1.0, RATE), noise(2 * RATE, 5)))
    ((begin, end, piece),) = utterances(pcm)
    assert 30 <= begin <= 50
    assert end == 100 + 40
    assert (piece == pcm[begin * FRAME : end * FRAME]).all()


def test_short_pauses_do_not_end_an_utterance():
    pcm = np.concatenate(
        (noise(RATE, 5), voice(0.5, RATE), noise(RATE // 2, 5), voice(0.5, RATE), noise(RATE, 5))
    )
    assert len(utterances(pcm)) == 1


def test_endless_sound_is_cut():
    found = utterances(np.concatenate((noise(RATE, 5), voice(5.0, RATE))), longest_s=2.0)
    begin, end, _ = found[0]
    assert end - begin == 100


def test_silence_and_steady_noise_are_no_utterance():
    assert utterances(np.zeros(RATE)) == []
    assert utterances(noise(RATE * 3, 60)) == []


def test_a_click_is_no_utterance():
    pcm = noise(RATE, 5)
    pcm[8000:8100] += 8000
    assert utterances(pcm) == []


def test_end_forgets_what_was_before():
    endpointer = Endpointer(800, 20.0)
    for frame in frames(voice(1.0, RATE), FRAME):
        endpointer.push(frame)
    endpointer.end()
    assert endpointer.push(np.zeros(FRAME, np.float32)) is None
    assert not endpointer.speaking


def narrow(pcm):
    endpointer = Endpointer(800, 20.0)
    for frame in frames(pcm.astype(np.float32), FRAME):
        endpointer.push(frame)
    assert endpointer.speaking
    return endpointer.narrow


def test_band_of_a_telephone_is_told_from_the_full_band():
    wide = np.concatenate((noise(RATE, 3), voice(0.6, RATE) + noise(9600, 100)))
    down, up = StreamResampler(RATE, 8000), StreamResampler(8000, RATE)
    telephone = up.process(down.process(wide))
    assert not narrow(wide)
    assert narrow(telephone)
    assert narrow(np.rint(telephone * 0.05))  # Rounding to 16 bits alone is no high band.
