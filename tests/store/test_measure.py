"""Files that a crash cut off."""

import io
import wave
from pathlib import Path

import pytest

from softswitch.audio import ogg, wav
from softswitch.store.measure import repair


def test_wav_gets_its_length_and_says_it(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    # One second of stereo at 16 kHz; the header tells of the first half.
    path.write_bytes(wav.header(16000, 2, 32000) + bytes(64000))
    assert repair(path) == (64044, 1000)
    with wave.open(io.BytesIO(path.read_bytes())) as read:
        assert read.getnframes() == 16000


def test_opus_is_measured_by_its_last_complete_page(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    pages = [
        ogg.page([ogg.opus_head(2, 312, 16000)], 0, 7, 0, begin=True),
        ogg.page([ogg.opus_tags("x")], 0, 7, 1),
        *(ogg.page([bytes(100)] * 50, 312 + 48000 * number, 7, number + 1) for number in (1, 2, 3)),
    ]
    data = b"".join(pages) + pages[-1][:100]
    path.write_bytes(data)
    assert repair(path) == (len(data), 3000)
    assert path.read_bytes() == data


@pytest.mark.parametrize("data", [b"", b"RIFF", b"OggS", b"OggS" + bytes(100), b"something else" * 10])
def test_other_files_have_no_length(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    assert repair(path) == (len(data), 0)
    assert path.read_bytes() == data


def test_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"RIFF" + bytes(100))
    (tmp_path / "a.wav").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic"):
        repair(tmp_path / "a.wav")
