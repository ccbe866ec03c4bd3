"""What a leg says on its way to recognition, and back as reports."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.commands import AsrOption
from softswitch.media import messages as m
from softswitch.speech import provider as speech
from softswitch.switch.conversation.recognition import HANG_OVER, MOST_WAITING, PRE_ROLL, Transcriber
from tests.switch.harness import FakeAsr, House, settle

FRAME = b"\1\0" * 320


class Stage:
    """One transcriber at work."""

    def __init__(self, house: House, gated: bool = True) -> None:
        self.house = house
        self.reports: list[r.Report] = []
        self.transcriber = Transcriber("party", 5, house.resources, self.reports.append, gated)
        self.task = asyncio.ensure_future(self.transcriber.run(AsrOption()))

    @property
    def asr(self) -> FakeAsr:
        return self.house.providers.heard[-1]

    def frames(self, count: int) -> None:
        tap = self.house.engine.told(m.AddTap)[-1].tap
        self.house.resources.routes.deliver(m.Output(frames=[(tap, FRAME)] * count))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
async def stage(house: House) -> AsyncIterator[Stage]:
    stage = Stage(house)
    await settle()
    yield stage
    stage.task.cancel()


async def test_silence_is_not_sent_and_speech_begins_with_what_came_before_it(stage: Stage) -> None:
    stage.frames(100)
    assert stage.asr.heard == []
    stage.transcriber.speech_started()
    assert len(stage.asr.heard) == PRE_ROLL
    stage.frames(5)
    assert len(stage.asr.heard) == PRE_ROLL + 5


async def test_end_of_speech_is_sent_before_the_final_is_asked_for(stage: Stage) -> None:
    stage.transcriber.speech_started()
    stage.frames(3)
    stage.transcriber.finalize()
    stage.frames(HANG_OVER - 1)
    assert stage.asr.finals == 0
    stage.frames(50)
    assert stage.asr.finals == 1
    assert len(stage.asr.heard) == 3 + HANG_OVER


async def test_what_is_said_while_the_recogniser_is_opened_is_not_lost(house: House) -> None:
    house.providers.may_listen.clear()
    stage = Stage(house)
    await settle()
    stage.transcriber.speech_started()
    stage.frames(20)
    stage.transcriber.finalize()
    stage.frames(HANG_OVER)
    house.providers.may_listen.set()
    await settle()
    assert (len(stage.asr.heard), stage.asr.finals) == (20 + HANG_OVER, 1)
    stage.task.cancel()


async def test_speech_for_which_the_recogniser_opens_too_late_is_told_once(house: House) -> None:
    house.providers.may_listen.clear()
    stage = Stage(house)
    await settle()
    stage.transcriber.speech_started()
    stage.frames(MOST_WAITING + 100)
    [told] = stage.reports
    assert isinstance(told, r.SpeechWarned)
    assert "not ready" in told.error
    house.providers.may_listen.set()
    await settle()
    assert len(stage.asr.heard) == MOST_WAITING
    stage.task.cancel()


async def test_speech_that_goes_on_keeps_the_gate_open(stage: Stage) -> None:
    stage.transcriber.speech_started()
    stage.transcriber.finalize()
    stage.frames(2)
    stage.transcriber.speech_started()
    stage.frames(HANG_OVER * 3)
    assert stage.asr.finals == 0


async def test_understandings_are_reported_with_monotonic_times(stage: Stage) -> None:
    stage.transcriber.speech_started()
    before = asyncio.get_running_loop().time()
    stage.asr.outputs.put_nowait(speech.AsrDelta(0, "go", 0, 200))
    stage.asr.outputs.put_nowait(speech.AsrFinal(0, "go forward", 100, 900, 0.9))
    await settle()
    delta, final = stage.reports
    assert isinstance(delta, r.Transcribed)
    assert isinstance(final, r.Transcribed)
    assert (delta.final, final.final, final.text, final.confidence) == (False, True, "go forward", 0.9)
    assert final.ended - final.began == pytest.approx(0.8)
    assert abs(delta.began - before) < 1


async def test_error_of_a_provider_is_a_warning(stage: Stage) -> None:
    stage.asr.outputs.put_nowait(speech.SpeechError("asr", "the worker died", 500))
    await settle()
    assert stage.reports == [r.SpeechWarned("asr", "the worker died", 500)]


async def test_without_detection_everything_is_sent(house: House) -> None:
    stage = Stage(house, gated=False)
    await settle()
    stage.frames(7)
    assert len(stage.asr.heard) == 7
    stage.transcriber.finalize()
    assert stage.asr.finals == 1
    stage.task.cancel()


async def test_recognitions_are_bounded(tmp_path: Path) -> None:
    house = House(tmp_path, speech_streams=1)
    first = Stage(house)
    await settle()
    second = Stage(house)
    await settle()
    warned = second.reports[0]
    assert isinstance(warned, r.SpeechWarned)
    assert (warned.sender, warned.code) == ("asr", 503)
    first.task.cancel()
    await settle()
    third = Stage(house)
    await settle()
    assert third.reports == []
    third.task.cancel()


async def test_everything_is_given_back(house: House, stage: Stage) -> None:
    stage.task.cancel()
    await settle()
    assert stage.asr.closed
    assert len(house.engine.told(m.RemoveTap)) == 1
    assert len(house.resources.routes) == 0
