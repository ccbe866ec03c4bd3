"""Recordings: aligned, bounded, readable whatever happens."""

import os
import resource
import time

import av
import numpy as np
import pytest

from softswitch.audio import wav
from softswitch.audio.pcm import to_bytes
from softswitch.media import messages as m
from softswitch.media.recording.disk import Recording, RecordingWriter
from softswitch.media.recording.opus_file import OpusFile
from softswitch.media.recording.recording_file import WavFile
from tests.media.rig import Rig, ramp, sine, steady
from tests.support.waiting import until_in_threads


@pytest.fixture
def rig():
    rig = Rig()
    yield rig
    rig.engine.stop()


def wait_until_closed(rig: Rig) -> m.RecorderClosed:
    """Tick until the writer's thread has finished the file."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        rig.tick()
        if closed := rig.reported(m.RecorderClosed):
            return closed[-1]
        time.sleep(0.01)
    raise AssertionError("the recording was never closed")


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_sides_are_left_and_right_and_aligned_to_the_sample(rig, tmp_path, rate):
    port = rig.feed_port()
    path = str(tmp_path / "call.wav")
    rig.post(m.StartRecorder(7, port, path, rate))
    noise = np.random.default_rng(5).uniform(-8000, 8000, 24000).astype(np.float32)
    rig.say(port, noise)
    rig.track(pcm=noise)
    rig.tick(50)
    rig.post(m.StopRecorder(7))
    closed = wait_until_closed(rig)
    assert (closed.recorder, closed.path, closed.duration_ms, closed.error) == (7, path, 1000, "")
    recording = wav.read((tmp_path / "call.wav").read_bytes())
    assert closed.size == (tmp_path / "call.wav").stat().st_size == 44 + 4 * rate
    assert recording.sample_rate == rate
    left, right = recording.pcm
    np.testing.assert_array_equal(left, right)
    assert np.sqrt((left**2).mean()) > 1500


def test_bus_rate_is_recorded_exactly(rig, tmp_path):
    port = rig.feed_port()
    rig.post(m.StartRecorder(7, port, str(tmp_path / "a.wav"), 24000))
    rig.say(port, ramp(2400))
    rig.track(pcm=ramp(2400, 5000))
    rig.tick(5)
    rig.post(m.RemovePort(port))
    assert wait_until_closed(rig).duration_ms == 100
    recording = wav.read((tmp_path / "a.wav").read_bytes())
    np.testing.assert_array_equal(recording.pcm, [ramp(2400), ramp(2400, 5000)])


def test_opus_recording_is_read_by_others(rig, tmp_path):
    port = rig.feed_port()
    path = tmp_path / "a.ogg"
    rig.post(m.StartRecorder(7, port, str(path), 16000, "opus"))
    rig.say(port, sine(48000, 440.0))
    rig.tick(100)
    rig.post(m.StopRecorder(7))
    closed = wait_until_closed(rig)
    assert (closed.duration_ms, closed.size, closed.error) == (2000, path.stat().st_size, "")
    with av.open(str(path)) as container:
        [stream] = container.streams.audio
        assert stream.channels == 2
        pcm = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert pcm.shape[1] == pytest.approx(96000, abs=960)
    assert np.abs(pcm[0]).max() > 0.2
    assert np.abs(pcm[1]).max() < 0.01


@pytest.mark.parametrize("container", [WavFile, OpusFile])
def test_file_is_readable_after_a_crash(tmp_path, container):
    path = tmp_path / "a"
    path.touch()
    file = container(str(path), 16000)
    for _ in range(3):
        file.write(to_bytes(sine(32000, 440.0)))
        file.flush() if container is WavFile else None
    # The process dies here: what has reached the file is all there will ever be.
    copy = path.read_bytes()
    file.finish() if container is WavFile else file.close()
    (tmp_path / "copy").write_bytes(copy)
    with av.open(str(tmp_path / "copy")) as found:
        frames = list(found.decode(audio=0))
    seconds = sum(frame.samples for frame in frames) / frames[0].sample_rate
    assert seconds >= (3.0 if container is WavFile else 1.9)


def test_recording_that_still_runs_is_finished_and_reported_when_the_engine_stops(tmp_path):
    rig = Rig()
    reports = []
    port = rig.feed_port()
    rig.engine.start(lambda output: reports.extend(output.reports))
    rig.post(m.StartRecorder(7, port, str(tmp_path / "a.wav")))
    until_in_threads(lambda: rig.engine.counters["ticks"] >= 10)
    rig.engine.stop()
    [closed] = [report for report in reports if isinstance(report, m.RecorderClosed)]
    assert closed.error == ""
    assert wav.read((tmp_path / "a.wav").read_bytes()).pcm.shape[1] // 16 == closed.duration_ms > 0


def test_limit_stops_the_recording_and_says_so(rig, tmp_path):
    port = rig.feed_port()
    path = tmp_path / "a.wav"
    rig.post(m.StartRecorder(7, port, str(path), 16000, max_bytes=20000))
    rig.tick(50)
    rig.engine._parts.recorders._writer.wake()
    closed = wait_until_closed(rig)
    assert "20000" in closed.error
    assert closed.size <= 20000
    assert wav.read(path.read_bytes()).pcm.shape[1] // 16 == closed.duration_ms
    assert len(rig.engine._parts.recorders) == 0


def test_file_that_cannot_be_made_is_reported_and_the_call_goes_on(rig, tmp_path):
    port = rig.feed_port()
    rig.post(m.StartRecorder(7, port, str(tmp_path / "no" / "such" / "folder.wav")))
    closed = wait_until_closed(rig)
    assert "No such file" in closed.error
    assert (closed.size, closed.duration_ms) == (0, 0)
    rig.track(pcm=steady(100.0))
    rig.tick()
    assert (rig.heard(port)[-480:] == 100.0).all()


def test_symbolic_link_is_not_followed(rig, tmp_path):
    port = rig.feed_port()
    target = tmp_path / "precious"
    target.write_text("precious")
    (tmp_path / "a.wav").symlink_to(target)
    rig.post(m.StartRecorder(7, port, str(tmp_path / "a.wav")))
    assert wait_until_closed(rig).error
    assert target.read_text() == "precious"


def test_full_disk_is_reported_and_what_was_written_stays_readable(rig, tmp_path, monkeypatch):
    port = rig.feed_port()
    path = tmp_path / "a.wav"
    real, written = os.write, [0]

    def write(fd, data):
        if written[0] + len(data) > 30000:
            raise OSError(28, "No space left on device")
        written[0] += len(data)
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    rig.post(m.StartRecorder(7, port, str(path), 16000))
    for _ in range(4):
        rig.tick(5)
        rig.engine._parts.recorders._writer.wake()
        time.sleep(0.05)
    rig.tick(20)
    rig.engine._parts.recorders._writer.wake()
    closed = wait_until_closed(rig)
    assert "No space" in closed.error
    assert wav.read(path.read_bytes()).pcm.shape[1] // 16 == closed.duration_ms


def test_opus_that_the_disk_does_not_take_ends_the_recording_and_the_call_goes_on(rig):
    port = rig.feed_port()
    rig.post(m.StartRecorder(7, port, "/dev/full", 16000, "opus"))
    rig.tick(5)
    closed = wait_until_closed(rig)
    assert closed.error
    assert len(rig.engine._parts.recorders) == 0
    rig.track(pcm=steady(100.0))
    rig.tick()
    assert (rig.heard(port)[-480:] == 100.0).all()


def test_opus_cut_by_a_full_disk_ends_with_its_reason_and_what_was_written_stays_readable(rig, tmp_path):
    path = tmp_path / "a.opus"
    noise = np.random.default_rng(21).normal(0, 8000, 480).astype(np.float32)
    port = rig.feed_port()
    rig.post(m.StartRecorder(7, port, str(path), 16000, "opus"))
    encoder = rig.engine._parts.recorders._writer.encoder
    closed: list[m.RecorderClosed] = []
    end = time.monotonic() + 60
    while not closed and time.monotonic() < end:
        rig.track(pcm=np.tile(noise, 25))
        closed = [report for report in rig.tick(25) if isinstance(report, m.RecorderClosed)]
        rig.engine._parts.recorders._writer.wake()
        if encoder.pid:
            # As a full disk, but for this process alone: a write beyond it fails (EFBIG).
            resource.prlimit(encoder.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))
        time.sleep(0.02)
    [over] = closed
    assert "too large" in over.error
    assert 0 < over.size <= 20_000
    with av.open(str(path)) as container:
        seconds = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    assert seconds > 0.5
    assert abs(over.duration_ms / 1000 - seconds) < 0.1
    assert len(rig.engine._parts.recorders) == 0


@pytest.mark.parametrize("order", [m.StartRecorder(7, 99, "x"), m.StartRecorder(7, 1, "x", sample_rate=1)])
def test_impossible_recording_is_closed_with_its_reason(rig, order):
    rig.feed_port()
    rig.post(order)
    [closed] = rig.tick()
    assert isinstance(closed, m.RecorderClosed)
    assert closed.error


def test_recording_without_disk_loses_time_nowhere():
    recording = Recording(m.StartRecorder(1, 1, "x", 8000))
    second = bytes([1, 0]) * 16000
    for _ in range(13):
        recording.put(second)
    assert recording.lost_bytes == 3 * 32000
    data = recording.take()
    assert len(data) == 13 * 32000
    assert not any(data[10 * 32000 :])
    assert recording.take() == b""


def test_writer_writes_at_least_every_two_seconds(tmp_path):
    writer = RecordingWriter(lambda: None)
    recording = Recording(m.StartRecorder(1, 1, str(tmp_path / "a.wav"), 8000))
    writer.add(recording)
    recording.put(bytes(32000))
    file = tmp_path / "a.wav"
    until_in_threads(lambda: file.exists() and file.stat().st_size == 32044)
    assert wav.read((tmp_path / "a.wav").read_bytes()).pcm.shape == (2, 8000)
    recording.is_closing = True
    writer.join()
    assert [closed.duration_ms for closed in writer.closed] == [1000]
