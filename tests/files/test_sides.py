"""The two sides of a recording."""

from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream

from softswitch.files import sides as module
from softswitch.files.decode import AudioSourceError
from softswitch.files.sides import sides
from tests.support import sound

RATE = 16000


def stereo(path: Path, codec: str, rate: int = RATE, seconds: float = 2.5) -> Path:
    """Write a file with 300 Hz on the left and 1000 Hz on the right."""
    rows = np.stack([sound.tone(300, seconds, rate), sound.tone(1000, seconds, rate)], axis=1)
    with av.open(str(path), "w") as container:
        stream = cast("AudioStream", container.add_stream(codec, rate=rate, layout="stereo"))
        data = rows.astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(data, format="s16", layout="stereo")
        frame.sample_rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("a.wav", "pcm_s16le", 16000), ("a.wav", "pcm_s16le", 8000), ("a.ogg", "libopus", 48000)],
)
def test_sides_come_apart_second_by_second(tmp_path, name, codec, rate):
    pieces = list(sides(stereo(tmp_path / name, codec, rate), RATE))
    assert [len(left) for left, _ in pieces[:2]] == [RATE * 2] * 2
    assert 2.4 < sum(len(left) for left, _ in pieces) / (RATE * 2) < 2.6
    left, right = (b"".join(side) for side in zip(*pieces, strict=True))
    assert sound.share(sound.pcm(left), 300) > 0.9
    assert sound.share(sound.pcm(right), 1000) > 0.9


def test_file_that_is_no_audio_or_too_long_is_refused(tmp_path, monkeypatch):
    (tmp_path / "b.wav").write_bytes(b"RIFF, or not")
    with pytest.raises(AudioSourceError):
        list(sides(tmp_path / "b.wav", RATE))
    with pytest.raises(AudioSourceError):
        list(sides(tmp_path / "absent.wav", RATE))
    monkeypatch.setattr(module, "MAX_SECONDS", 1.0)
    with pytest.raises(AudioSourceError, match="longer"):
        list(sides(stereo(tmp_path / "a.wav", "pcm_s16le"), RATE))
