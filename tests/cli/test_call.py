"""A call from the shell, to a switch in this process."""

import json
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from softswitch.cli import main
from softswitch.cli.call import _print, read_microphone
from softswitch.protocol.call_events import Event
from softswitch.protocol.event_reading import decode
from tests.support.switch import SwitchThread


def write(path: Path, rate: int = 16000, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        tone = (6000 * np.sin(2 * np.pi * 600 * np.arange(rate) / rate)).astype("<i2")
        file.writeframes(tone.tobytes())
    return path


async def test_event_is_printed_with_the_fields_that_are_not_known(capsys):
    async def events() -> AsyncIterator[Event]:
        yield decode('{"event":"dtmf","trackId":"t","timestamp":1,"digit":"5","volume":-10}')
        yield decode('{"event":"weather","timestamp":2,"mm":3}')

    await _print(events())
    dtmf, weather = map(json.loads, capsys.readouterr().out.splitlines())
    assert dtmf == {"event": "dtmf", "trackId": "t", "timestamp": 1, "digit": "5", "extra": {"volume": -10}}
    assert (weather["kind"], weather["extra"]) == ("weather", {"mm": 3})


def test_call_to_the_echo_prints_events_and_keeps_what_is_heard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    microphone, heard = write(tmp_path / "in.wav"), tmp_path / "out.wav"
    with SwitchThread(tmp_path / "data") as switch:
        arguments = ["--callee", "echo", "--play", str(microphone), "--record", str(heard), "--asr", "off"]
        code = main(["call", switch.socket_url("/call"), *arguments, "--seconds", "0.5"])
    assert code == 0
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert (events[0], events[-1]) == ("answer", "hangup")
    with wave.open(str(heard)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(pcm.size)))
    assert abs(np.argmax(spectrum) * 16000 / pcm.size - 600) < 10


def test_switch_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "ws://127.0.0.1:9/call"]) == 1
    assert capsys.readouterr().err.startswith("softswitch: ")


@pytest.mark.parametrize("wrong", [{"rate": 11025}, {"channels": 2}, {"width": 1}])
def test_microphone_file_of_another_kind_is_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="mono, have 16 bits"):
        read_microphone(write(tmp_path / "in.wav", **wrong))


def test_microphone_ends_with_a_second_of_silence(tmp_path: Path) -> None:
    rate, pcm = read_microphone(write(tmp_path / "in.wav", rate=8000))
    assert (rate, len(pcm)) == (8000, 32000)
    assert read_microphone(None) == (16000, b"")
