import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.audio.opus import OpusBank
from softswitch.audio.opus_av import AvOpusBank
from tests.audio.sounds import frames, sine

SLOT = np.zeros(1, np.intp)


def level(pcm):
    return float(np.sqrt(np.mean(pcm**2)))


def test_both_engines_understand_each_other():
    local, fallback = OpusBank(slots=1), AvOpusBank()
    for sender, receiver in ((local, fallback), (fallback, local)):
        heard = []
        for frame in frames(sine(440.0, 0.6, 24000), 480):
            pcm, counts = receiver.decode(*sender.encode(frame[None], SLOT), SLOT)
            assert counts.tolist() == [480]
            heard.append(pcm[0])
        assert level(np.concatenate(heard[5:])) == pytest.approx(8000 / np.sqrt(2), rel=0.05)
        assert receiver.faults == 0


def test_lost_packet_is_concealed():
    bank = AvOpusBank(slots=2)
    for frame in frames(sine(300.0, 0.4, 24000), 480):
        packet = bank.encode(frame[None], SLOT)
        bank.decode(*packet, SLOT)
    assert level(bank.conceal(SLOT, 480)) > 2000
    assert level(bank.recover(*packet, SLOT, 480)) > 500
    for samples in (1, 700, 4000):
        assert bank.conceal(np.arange(2), samples).shape == (2, samples)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=3))
def test_garbage_never_raises(payloads):
    bank = AvOpusBank(slots=3)
    table = np.array([list(payload.ljust(60, b"\0")) for payload in payloads], np.uint8)
    lengths = np.array([len(payload) for payload in payloads], np.intp)
    pcm, counts = bank.decode(table, lengths, np.arange(len(payloads)))
    assert pcm.shape == (len(payloads), counts.max())
    assert (counts > 0).all()


def test_payload_that_cannot_be_decoded_is_counted():
    bank = AvOpusBank(slots=1)
    bank.decode(np.zeros((1, 4), np.uint8), np.zeros(1, np.intp), SLOT)
    assert bank.faults == 1


def test_encoder_takes_frames_of_20_ms_alone():
    with pytest.raises(ValueError, match="not a frame of 480"):
        AvOpusBank().encode(np.zeros((1, 240), np.float32), SLOT)


def test_tune_is_without_effect_and_without_error():
    AvOpusBank().tune(0, bitrate=16000, loss_percent=5)
