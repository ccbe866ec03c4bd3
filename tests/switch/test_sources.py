"""What feeds a track."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from softswitch.call import effects as fx
from softswitch.call import reports as r
from softswitch.call.commands import TtsOption
from softswitch.media import messages as m
from softswitch.switch.sources import TrackSource
from tests.switch.house import House, settle

OPTION = TtsOption()


class Stage:
    """One source and what it reported."""

    def __init__(self, house: House) -> None:
        self.reports: list[r.Report] = []
        self.source = TrackSource(1, 10, house.resources, self.reports.append)

    def names(self) -> list[str]:
        return [type(report).__name__ for report in self.reports]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
async def stage(house: House) -> AsyncIterator[Stage]:
    stage = Stage(house)
    task = asyncio.ensure_future(stage.source.run())
    yield stage
    task.cancel()


def fed(house: House) -> int:
    return sum(len(message.pcm) for message in house.engine.told(m.FeedTrack))


async def test_text_is_spoken_fed_and_done(house: House, stage: Stage) -> None:
    stage.source.give(fx.SpeakText(1, 1, "hello", OPTION, complete=True))
    await settle()
    assert fed(house) == 3200
    assert stage.names() == ["SourceFed", "SourceDone"]


async def test_entries_keep_their_order(house: House, stage: Stage) -> None:
    stage.source.give(fx.SpeakText(1, 1, "one", OPTION, complete=True))
    stage.source.give(fx.MarkPlayback(1, "m"))
    stage.source.give(fx.SpeakAudio(1, 2, b"\2\0" * 10, 8000))
    await settle()
    kinds = [type(message).__name__ for message in house.engine.posted]
    assert kinds == ["FeedTrack", "PlaceMark", "FeedTrack"]


async def test_streamed_text_goes_into_one_stream_until_complete(house: House, stage: Stage) -> None:
    stage.source.give(fx.SpeakText(1, 1, "one ", OPTION, complete=False))
    await settle()
    stage.source.give(fx.SpeakText(1, 2, "two", OPTION, complete=False))
    stage.source.give(fx.CompleteText(1, 3))
    await settle()
    assert len(house.providers.spoken) == 1
    assert [report.item for report in stage.reports if isinstance(report, r.SourceDone)] == [1, 2, 3]


async def test_mark_in_streamed_text_completes_what_was_said_before_it(house: House, stage: Stage) -> None:
    stage.source.give(fx.SpeakText(1, 1, "one ", OPTION, complete=False))
    stage.source.give(fx.MarkPlayback(1, "m"))
    stage.source.give(fx.SpeakText(1, 2, "two", OPTION, complete=True))
    await settle()
    kinds = [type(message).__name__ for message in house.engine.posted]
    assert kinds == ["FeedTrack", "PlaceMark", "FeedTrack"]


async def test_failing_speech_is_told_and_the_next_text_is_tried(house: House, stage: Stage) -> None:
    house.providers.tts_error = "busy"
    stage.source.give(fx.SpeakText(1, 1, "one", OPTION, complete=True))
    await settle()
    house.providers.tts_error = ""
    stage.source.give(fx.SpeakText(1, 2, "two", OPTION, complete=True))
    await settle()
    assert stage.names() == ["SourceFailed", "SourceFed", "SourceDone"]
    assert all(stream.cancelled for stream in house.providers.spoken)


async def test_degraded_provider_is_told(house: House, stage: Stage) -> None:
    house.providers.warnings = ["tts provider 'tencent' is unknown"]
    stage.source.give(fx.SpeakText(1, 1, "one", OPTION, complete=True))
    await settle()
    assert stage.names()[0] == "SpeechWarned"


async def test_source_stays_a_bounded_time_ahead_of_what_is_heard(house: House, stage: Stage) -> None:
    second = b"\0\0" * 24000
    house.files[b"file"] = [second] * 60
    sounds = house.resources.sounds
    sounds.mkdir()
    (sounds / "long.wav").write_bytes(b"file")
    stage.source.give(fx.PlayUrl(1, 1, "long.wav"))
    await asyncio.sleep(0.1)
    assert fed(house) == 5 * len(second)
    stage.source.low()
    await settle()
    assert fed(house) == 8 * len(second)


async def test_looped_file_repeats_and_is_decoded_once(house: House, stage: Stage) -> None:
    half = b"\0\0" * 12000
    house.files[b"file"] = [half]
    house.resources.sounds.mkdir()
    (house.resources.sounds / "bed.wav").write_bytes(b"file")
    stage.source.give(fx.PlayUrl(1, 1, "bed.wav", loop=True))
    await asyncio.sleep(0.1)
    assert fed(house) == 10 * len(half)
    house.files.clear()
    stage.source.low()
    await settle()
    assert fed(house) == 16 * len(half)


@pytest.mark.parametrize("url", ["../secret.wav", "missing.wav", "link.wav", "ftp://x/y", "/etc/passwd"])
async def test_file_that_may_not_be_played_is_told(house: House, stage: Stage, url: str) -> None:
    house.resources.sounds.mkdir()
    (house.resources.sounds / "link.wav").symlink_to("/etc/hostname")
    stage.source.give(fx.PlayUrl(1, 1, url))
    await asyncio.sleep(0.1)
    failed = stage.reports[0]
    assert isinstance(failed, r.SourceFailed)
    assert failed.sender == "play"
    assert not house.engine.posted


async def test_heard_returns_the_text_up_to_a_moment(house: House, stage: Stage) -> None:
    for number, text in enumerate(["one", "two", "three"], 1):
        stage.source.give(fx.SpeakText(1, number, text, OPTION, complete=True))
    await settle()
    assert stage.source.heard(0) == ""
    assert stage.source.heard(50) == "one"
    assert stage.source.heard(150) == "one two"
    assert stage.source.heard(10_000) == "one two three"
