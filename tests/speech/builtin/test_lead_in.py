"""Leading silence is not passed on."""

import numpy as np

from softswitch.speech.builtin.lead_in import LeadIn
from tests.speech.needs import keep


def test_lead_in_is_left_out_and_the_rest_is_untouched() -> None:
    taken: list[bytes] = []
    lead_in = LeadIn(lambda pcm, _rate: keep(taken, pcm))
    silence, speech = np.zeros(1600, "<i2"), np.full(1600, 500, "<i2")
    half = np.concatenate((silence, speech)).tobytes()
    for pcm in (silence.tobytes(), half, speech.tobytes(), silence.tobytes()):
        assert lead_in.take(pcm, 16000)
    assert b"".join(taken) == half[2 * (1600 - 160) :] + speech.tobytes() + silence.tobytes()
    assert lead_in.trimmed_ms == 190


def test_wish_to_stop_is_heard_during_silence() -> None:
    assert not LeadIn(lambda _pcm, _rate: False).take(bytes(3200), 16000)
