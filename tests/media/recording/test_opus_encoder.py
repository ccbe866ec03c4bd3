"""The process that encodes: it may die, hang or lose its switch, and recordings go on or are completed."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from softswitch.media.recording import opus_encoder
from softswitch.media.recording.opus_encoder import OpusEncoder
from softswitch.media.recording.recording_file import open_file
from tests.media.recording.test_opus_file import decoded, stereo

RATE = 16000


@pytest.fixture
def progress():
    return threading.Event()


@pytest.fixture
def encoder(progress):
    encoder = OpusEncoder(progress.set)
    yield encoder
    encoder.stop()


def until(holds) -> None:
    """Wait for another process."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def finished(file) -> bool:
    until(file.finish)
    return True


def test_recordings_are_encoded_elsewhere(encoder, tmp_path):
    files = [open_file(str(tmp_path / f"{n}.ogg"), "opus", RATE, encoder) for n in range(3)]
    for file in files:
        file.write(stereo(2.5, RATE))
    assert all(finished(file) for file in files)
    for number, file in enumerate(files):
        assert decoded(tmp_path / f"{number}.ogg").shape == (2, 120000)
        assert file.size == (tmp_path / f"{number}.ogg").stat().st_size
    assert encoder.pid not in (0, os.getpid())
    assert encoder.restarts == 0


def test_death_of_the_process_costs_nothing(encoder, tmp_path):
    path = tmp_path / "a.ogg"
    file = open_file(str(path), "opus", RATE, encoder)
    audio = stereo(9.5, RATE)
    for second in range(9):
        file.write(audio[second * 4 * RATE : (second + 1) * 4 * RATE])
        if second in (2, 5):
            size = file.size
            until(lambda size=size: file.size > size)
            os.kill(encoder.pid, signal.SIGKILL)
    file.write(audio[9 * 4 * RATE :])
    assert finished(file)
    assert encoder.restarts == 2
    assert decoded(path).shape == (2, 9.5 * 48000)


def test_process_that_never_works_ends_the_recording(encoder, tmp_path, monkeypatch, progress):
    monkeypatch.setattr(opus_encoder, "PAUSE_S", 0.0)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    file = open_file(str(tmp_path / "a.ogg"), "opus", RATE, encoder)
    assert progress.wait(30)
    with pytest.raises(OSError, match="does not run"):
        file.write(b"")
    with pytest.raises(OSError, match="does not run"):
        file.finish()


def test_process_that_hangs_is_replaced(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(opus_encoder, "SILENT_S", 1.0)
    path = tmp_path / "a.ogg"
    file = open_file(str(path), "opus", RATE, encoder)
    file.write(stereo(1.5, RATE))
    until(lambda: file.size > 500)
    os.kill(encoder.pid, signal.SIGSTOP)
    file.write(stereo(1.5, RATE))
    assert finished(file)
    assert encoder.restarts == 1
    assert decoded(path).shape == (2, 3 * 48000)


def test_what_cannot_be_written_ends_one_recording_alone(encoder, tmp_path):
    bad, good = tmp_path / "bad.ogg", tmp_path / "good.ogg"
    broken = open_file(str(bad), "opus", 44100, encoder)
    fine = open_file(str(good), "opus", RATE, encoder)
    fine.write(stereo(1.0, RATE))
    assert finished(fine)
    until(lambda: getattr(broken, "error", None))
    with pytest.raises(OSError, match="44100"):
        broken.write(b"")


def test_one_file_holds_a_bounded_time(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setattr(opus_encoder, "TRIES", 1000)
    file = open_file(str(tmp_path / "a.ogg"), "opus", RATE, encoder)
    seconds = 0
    while file.is_ready:
        file.write(stereo(1.0, RATE))
        seconds += 1
    assert seconds == opus_encoder.HELD_S
    monkeypatch.undo()
    assert finished(file)
    assert decoded(tmp_path / "a.ogg").shape == (2, seconds * 48000)


SWITCH = """
import sys, time
from softswitch.media.recording.opus_encoder import OpusEncoder
from softswitch.media.recording.recording_file import open_file
from tests.media.recording.test_opus_file import stereo
encoder = OpusEncoder(lambda: None)
file = open_file(sys.argv[1], "opus", 16000, encoder)
file.write(stereo(2.5, 16000))
while file.size < 1000:
    time.sleep(0.01)
print(encoder.pid, flush=True)
time.sleep(60)
"""


def test_switch_that_is_killed_leaves_complete_recordings(tmp_path):
    path = tmp_path / "a.ogg"
    with subprocess.Popen(
        [sys.executable, "-c", SWITCH, str(path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    ) as switch:
        assert switch.stdout is not None
        pid = int(switch.stdout.readline())
        os.kill(pid, signal.SIGTERM)  # as a service manager does to every process of a service
        switch.kill()
    until(lambda: decoded(path).shape == (2, 2.5 * 48000))
