"""What feeds a track."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from softswitch.call.vocabulary import effects as fx
from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.commands import TtsOption
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.call.vocabulary.values import WaitingSound
from softswitch.media import messages as m
from softswitch.settings import Media, Settings
from softswitch.switch.conversation.track_sources import TrackSource, check_source
from tests.support.waiting import until
from tests.switch.harness import FakeTts, House, settle

OPTION = TtsOption()


class Harness:
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
async def harness(house: House) -> AsyncIterator[Harness]:
    harness = Harness(house)
    task = asyncio.ensure_future(harness.source.run())
    yield harness
    task.cancel()


def fed(house: House) -> int:
    return sum(len(message.pcm) for message in house.engine.told(m.FeedTrack))


async def test_text_is_spoken_fed_and_done(house: House, harness: Harness) -> None:
    harness.source.give(fx.SpeakText(1, 1, "hello", OPTION, complete=True))
    await settle()
    assert fed(house) == 3200
    assert harness.names() == ["SourceFed", "SourceDone"]


async def test_entries_keep_their_order(house: House, harness: Harness) -> None:
    harness.source.give(fx.SpeakText(1, 1, "one", OPTION, complete=True))
    harness.source.give(fx.PlaceMark(1, "m"))
    harness.source.give(fx.SpeakAudio(1, 2, b"\2\0" * 10, 8000))
    await settle()
    kinds = [type(message).__name__ for message in house.engine.posted]
    assert kinds == ["FeedTrack", "PlaceMark", "FeedTrack"]


async def test_streamed_text_goes_into_one_stream_until_complete(house: House, harness: Harness) -> None:
    harness.source.give(fx.SpeakText(1, 1, "one ", OPTION, complete=False))
    await settle()
    harness.source.give(fx.SpeakText(1, 2, "two", OPTION, complete=False))
    harness.source.give(fx.CompleteText(1, 3))
    await settle()
    assert len(house.providers.spoken) == 1
    assert [report.item for report in harness.reports if isinstance(report, r.SourceDone)] == [1, 2, 3]


async def test_mark_in_streamed_text_completes_what_was_said_before_it(
    house: House, harness: Harness
) -> None:
    harness.source.give(fx.SpeakText(1, 1, "one ", OPTION, complete=False))
    harness.source.give(fx.PlaceMark(1, "m"))
    harness.source.give(fx.SpeakText(1, 2, "two", OPTION, complete=True))
    await settle()
    kinds = [type(message).__name__ for message in house.engine.posted]
    assert kinds == ["FeedTrack", "PlaceMark", "FeedTrack"]


async def test_failing_speech_is_told_and_the_next_text_is_tried(house: House, harness: Harness) -> None:
    house.providers.tts_error = "busy"
    harness.source.give(fx.SpeakText(1, 1, "one", OPTION, complete=True))
    await settle()
    house.providers.tts_error = ""
    harness.source.give(fx.SpeakText(1, 2, "two", OPTION, complete=True))
    await settle()
    assert harness.names() == ["SourceFailed", "SourceFed", "SourceDone"]
    assert all(stream.cancelled for stream in house.providers.spoken)


async def test_degraded_provider_is_told(house: House, harness: Harness) -> None:
    house.providers.warnings = ["tts provider 'tencent' is unknown"]
    harness.source.give(fx.SpeakText(1, 1, "one", OPTION, complete=True))
    await settle()
    assert harness.names()[0] == "SpeechWarned"


async def test_source_stays_a_bounded_time_ahead_of_what_is_heard(house: House, harness: Harness) -> None:
    second = b"\0\0" * 24000
    house.files[b"file"] = [second] * 60
    sounds = house.resources.sounds
    sounds.mkdir()
    (sounds / "long.wav").write_bytes(b"file")
    harness.source.give(fx.PlayUrl(1, 1, "long.wav"))
    await until(lambda: fed(house) >= 5 * len(second))
    await settle()
    assert fed(house) == 5 * len(second)
    harness.source.low()
    await settle()
    assert fed(house) == 8 * len(second)


async def test_looped_file_repeats_and_is_decoded_once(house: House, harness: Harness) -> None:
    half = b"\0\0" * 12000
    house.files[b"file"] = [half]
    house.resources.sounds.mkdir()
    (house.resources.sounds / "bed.wav").write_bytes(b"file")
    harness.source.give(fx.PlayUrl(1, 1, "bed.wav", loop=True))
    await until(lambda: fed(house) >= 10 * len(half))
    await settle()
    assert fed(house) == 10 * len(half)
    house.files.clear()
    harness.source.low()
    await settle()
    assert fed(house) == 16 * len(half)


@pytest.mark.parametrize("url", ["../secret.wav", "missing.wav", "link.wav", "ftp://x/y", "/etc/passwd"])
async def test_file_that_may_not_be_played_is_told(house: House, harness: Harness, url: str) -> None:
    house.resources.sounds.mkdir()
    (house.resources.sounds / "link.wav").symlink_to("/etc/hostname")
    harness.source.give(fx.PlayUrl(1, 1, url))
    await until(lambda: bool(harness.reports))
    failed = harness.reports[0]
    assert isinstance(failed, r.SourceFailed)
    assert failed.sender == "play"
    assert not house.engine.posted


async def test_heard_returns_the_text_up_to_a_moment(house: House, harness: Harness) -> None:
    for number, text in enumerate(["one", "two", "three"], 1):
        harness.source.give(fx.SpeakText(1, number, text, OPTION, complete=True))
    await settle()
    assert harness.source.heard(0) == ""
    assert harness.source.heard(50) == "one"
    assert harness.source.heard(150) == "one two"
    assert harness.source.heard(10_000) == "one two three"


@pytest.mark.parametrize("samples", [1, 7, 23999])
async def test_short_loop_is_fed_a_second_at_a_time_and_without_a_seam(
    house: House, harness: Harness, samples: int
) -> None:
    sound = b"".join(number.to_bytes(2, "little") for number in range(samples))
    house.files[b"file"] = [sound]
    house.resources.sounds.mkdir()
    (house.resources.sounds / "bed.wav").write_bytes(b"file")
    harness.source.give(fx.PlayUrl(1, 1, "bed.wav", loop=True))
    await until(lambda: fed(house) >= 5 * 48000)
    pieces = [message.pcm for message in house.engine.told(m.FeedTrack)]
    assert all(len(piece) >= 48000 for piece in pieces)
    assert len(pieces) <= 5
    assert b"".join(pieces) == sound * (sum(map(len, pieces)) // len(sound))


async def test_loop_of_many_small_pieces_is_fed_a_second_at_a_time(house: House, harness: Harness) -> None:
    house.files[b"file"] = [b"\1\0" * 100] * 500
    house.resources.sounds.mkdir()
    (house.resources.sounds / "bed.wav").write_bytes(b"file")
    harness.source.give(fx.PlayUrl(1, 1, "bed.wav", loop=True))
    await until(lambda: fed(house) >= 5 * 48000)
    assert all(len(message.pcm) >= 4000 for message in house.engine.told(m.FeedTrack))


async def test_loop_of_nothing_ends(house: House, harness: Harness) -> None:
    house.files[b"file"] = []
    house.resources.sounds.mkdir()
    (house.resources.sounds / "bed.wav").write_bytes(b"file")
    harness.source.give(fx.PlayUrl(1, 1, "bed.wav", loop=True))
    await until(lambda: harness.names() == ["SourceDone"])


async def test_others_run_between_the_pieces_of_a_source(house: House, harness: Harness) -> None:
    house.files[b"file"] = [b"\1\0" * 100] * 500
    house.resources.sounds.mkdir()
    (house.resources.sounds / "small.wav").write_bytes(b"file")
    harness.source.give(fx.PlayUrl(1, 1, "small.wav"))
    while not fed(house):  # One turn of the loop at a time: `until` would let many pieces pass.
        await asyncio.sleep(0)
    most = 0
    while "SourceDone" not in harness.names():
        before = len(house.engine.posted)
        await asyncio.sleep(0)
        most = max(most, len(house.engine.posted) - before)
    assert most == 1


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("error", [AttributeError("x"), ZeroDivisionError(), MemoryError(), RecursionError()])
async def test_whatever_a_file_raises_costs_that_file_alone(
    house: House, harness: Harness, error: Exception, loop: bool
) -> None:
    def broken(*_: object) -> AsyncIterator[bytes]:
        raise error

    house.resources.sounds.mkdir()
    (house.resources.sounds / "odd.wav").write_bytes(b"file")
    opened, house.resources.open_audio = house.resources.open_audio, broken
    harness.source.give(fx.PlayUrl(1, 1, "odd.wav", loop=loop))
    await until(lambda: bool(harness.reports))
    failed = harness.reports[0]
    assert isinstance(failed, r.SourceFailed)
    assert failed.error.startswith("odd.wav: ")
    assert type(error).__name__ in failed.error
    house.resources.open_audio = opened
    harness.source.give(fx.SpeakText(1, 2, "still here", OPTION, complete=True))
    await until(lambda: "SourceDone" in harness.names())


async def test_whatever_a_provider_raises_costs_its_text_alone(house: House, harness: Harness) -> None:
    async def broken(*_: object) -> AsyncIterator[object]:
        for key in ("x",):
            yield dict[str, object]()[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeTts, "__aiter__", broken)
        harness.source.give(fx.SpeakText(1, 1, "one", OPTION, complete=True))
        await until(lambda: bool(harness.reports))
    failed = harness.reports[0]
    assert isinstance(failed, r.SourceFailed)
    assert "KeyError" in failed.error
    harness.source.give(fx.SpeakText(1, 2, "two", OPTION, complete=True))
    await until(lambda: "SourceDone" in harness.names())


@pytest.mark.parametrize("url", ["hello", "beep.wav", "https://example.org/a.mp3", "http://example.org:81/a"])
def test_sounds_and_urls_are_proper_sources(url: str) -> None:
    check_source(url)


@pytest.mark.parametrize(
    "url", ["", "ftp://example.org/a.mp3", "http://", "../etc/passwd", "https://u:p@host/a"]
)
def test_a_source_that_is_misspelt_is_refused_before_it_interrupts_anything(url: str) -> None:
    with pytest.raises(CommandRejected, match=r"^url: ") as caught:
        check_source(url)
    assert (caught.value.sender, caught.value.code) == ("play", 403)


async def sounded(house: House, sound: WaitingSound, octets: int) -> bytes:
    """Return the first audio that a sound of the switch feeds."""
    harness = Harness(house)
    task = asyncio.ensure_future(harness.source.run())
    harness.source.give(fx.PlaySound(1, sound))
    await until(lambda: fed(house) >= octets)
    task.cancel()
    assert not any(isinstance(report, r.SourceFailed) for report in harness.reports)
    return b"".join(message.pcm for message in house.engine.told(m.FeedTrack))


async def test_default_music_and_ringback_are_fed_in_pieces_of_a_second(house: House) -> None:
    music = await house.resources.waiting_sounds.music()
    assert music.startswith(await sounded(house, "music", 4 * 48000))
    assert {len(message.pcm) for message in house.engine.told(m.FeedTrack)} == {48000}
    house.engine.posted.clear()
    ringback = await house.resources.waiting_sounds.ringback()
    assert (await sounded(house, "ringback", 4 * 48000))[:96000] == ringback[:96000]


@pytest.mark.parametrize("pieces", [[b"\1\0" * 24000, b"\2\0" * 24000], [], None])
async def test_music_of_the_operator_is_repeated_and_the_default_replaces_what_has_no_sound(
    tmp_path: Path, pieces: list[bytes] | None
) -> None:
    path = tmp_path / "hold.wav"
    house = House(tmp_path, Settings(media=Media(hold_music=str(path))))
    if pieces is not None:
        path.write_bytes(b"a file")
        house.files[b"a file"] = pieces
    heard = await sounded(house, "music", 4 * 48000)
    if pieces:
        assert heard[: 4 * 48000] == b"".join(pieces) * 2
    else:
        assert (await house.resources.waiting_sounds.music()).startswith(heard)
