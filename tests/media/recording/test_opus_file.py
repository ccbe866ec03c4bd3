"""Recordings as Opus: whole to the sample, and continued where another process left off."""

import os

import av
import numpy as np
import pytest

from softswitch.media.recording.opus_file import OpusFile


def stereo(seconds: float, rate: int, hz: float = 440.0, begin: float = 0.0) -> bytes:
    """Return a tone left and silence right."""
    at = np.arange(int(seconds * rate)) / rate + begin
    left = (8000 * np.sin(2 * np.pi * hz * at)).astype("<i2")
    return np.stack((left, np.zeros_like(left)), axis=1).tobytes()


def decoded(path) -> np.ndarray:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        assert container.streams.audio[0].rate == 48000
    return np.concatenate(frames, axis=1)


def opened(path, rate: int) -> OpusFile:
    path.touch()
    return OpusFile(str(path), rate)


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
@pytest.mark.parametrize("seconds", [0.013, 1.0, 2.31])
def test_duration_is_that_of_the_audio(tmp_path, rate, seconds):
    file = opened(tmp_path / "a.ogg", rate)
    file.write(stereo(seconds, rate))
    file.close()
    assert file.position == int(seconds * rate)
    assert file.size == (tmp_path / "a.ogg").stat().st_size
    assert decoded(tmp_path / "a.ogg").shape == (2, int(seconds * rate) * 48000 // rate)


def test_file_without_audio_is_a_file_all_the_same(tmp_path):
    opened(tmp_path / "a.ogg", 16000).close()
    assert (tmp_path / "a.ogg").read_bytes().count(b"OggS") == 3


def test_other_process_goes_on_at_the_last_whole_page(tmp_path):
    path, rate = tmp_path / "a.ogg", 16000
    audio = stereo(5.0, rate)
    first = opened(path, rate)
    first.write(audio[: int(2.5 * rate) * 4])
    assert first.position == 2 * rate
    with path.open("ab") as torn:
        torn.write(b"OggS" + bytes(40))
    second = OpusFile(str(path), rate)
    assert second.position == 2 * rate
    second.write(audio[second.position * 4 :])
    second.close()
    heard = decoded(path)
    assert heard.shape == (2, 5 * 48000)
    level = np.sqrt((heard[0].reshape(-1, 4800) ** 2).mean(axis=1))
    # The new encoder's first frames come after silence in its own eyes: a tenth of a second may be softer.
    assert np.median(level) == pytest.approx(8000 / 32768 / np.sqrt(2), rel=0.1)
    assert (level > 0.5 * np.median(level)).all()


def test_file_that_has_its_end_is_complete(tmp_path):
    path = tmp_path / "a.ogg"
    file = opened(path, 16000)
    file.write(stereo(1.2, 16000))
    file.close()
    before = path.read_bytes()
    again = OpusFile(str(path), 16000)
    assert again.is_complete
    assert again.position == pytest.approx(1.2 * 16000, abs=1)
    again.close()
    assert path.read_bytes() == before


def test_full_disk_leaves_whole_pages(tmp_path, monkeypatch):
    path = tmp_path / "a.ogg"
    file = opened(path, 16000)
    file.write(stereo(2.0, 16000))
    size = path.stat().st_size
    real = os.pwrite

    def full(fd: int, data: bytes, offset: int) -> int:
        if offset == size:
            return real(fd, bytes(data)[:100], offset)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        file.write(stereo(2.0, 16000))
    assert path.stat().st_size == size == file.size
    with pytest.raises(OSError, match="No space"):
        file.close()
    assert decoded(path).shape[1] > 1.9 * 48000


def test_link_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "a.ogg").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic"):
        OpusFile(str(tmp_path / "a.ogg"), 16000)
    assert (tmp_path / "precious").read_text() == "precious"


def test_rate_that_opus_lacks_is_an_error(tmp_path):
    (tmp_path / "a.ogg").touch()
    with pytest.raises(ValueError, match="44100"):
        OpusFile(str(tmp_path / "a.ogg"), 44100)
