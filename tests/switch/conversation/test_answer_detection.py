"""What a leg says on its way to the detector of answering machines, and back as reports."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.commands import AmdOption
from softswitch.egress import Asker
from softswitch.media import messages as m
from softswitch.speech import provider as speech
from softswitch.switch.conversation.answer_detection import AnswerDetection
from tests.switch.harness import FakeAsr, House, settle

RATE = 16000


class Stage:
    """One detection at work."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.reports: list[r.AnsweredBy] = []
        detection = AnswerDetection(
            "party", 5, house.resources, self._report, asker=Asker(), meter=speech.Meter()
        )
        self.task = asyncio.ensure_future(detection.run(AmdOption()))

    def _report(self, report: r.Report) -> None:
        assert isinstance(report, r.AnsweredBy)
        self.reports.append(report)

    @property
    def asr(self) -> FakeAsr:
        return self.house.providers.heard[-1]

    def push(self, seconds: float, level: float, hz: float = 0.0) -> None:
        at = np.arange(int(seconds * RATE)) / RATE
        tones = [hz] if hz else [130.0 * number for number in range(1, 20)]
        sound = sum((level * np.sin(2 * np.pi * tone * at) / len(tones) for tone in tones), np.zeros(len(at)))
        tap = self.house.engine.told(m.AddTap)[-1].tap
        data = sound.astype("<i2").tobytes()
        frames = [(tap, data[begin : begin + 640]) for begin in range(0, len(data), 640)]
        self.house.resources.routes.deliver(m.Output(frames=frames))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(House(tmp_path))
    await settle()
    yield stage
    stage.task.cancel()


async def test_a_short_greeting_is_a_person_and_ends_the_detection(stage: Stage) -> None:
    stage.push(0.5, 0)
    stage.push(0.6, 9000)
    stage.push(1.5, 0)
    await settle()
    (report,) = stage.reports
    assert (report.leg, report.result, report.reason) == ("party", "human", "rhythm")
    assert report.speech_began is not None
    assert report.speech_began < report.at
    assert stage.task.done()
    assert stage.asr.closed
    assert stage.house.engine.told(m.RemoveTap)


async def test_words_decide_and_the_beep_is_waited_for(stage: Stage) -> None:
    stage.push(1.0, 9000)
    stage.asr.outputs.put_nowait(speech.AsrDelta(0, "You've reached the voicemail of Anna", 0, 1000))
    await settle()
    assert [report.result for report in stage.reports] == ["machine"]
    assert stage.reports[0].text == "You've reached the voicemail of Anna"
    assert stage.asr.closed
    assert not stage.task.done()
    stage.push(0.6, 9000, hz=1000.0)
    stage.push(0.3, 0)
    await settle()
    assert [report.result for report in stage.reports] == ["machine", "beep"]
    assert stage.task.done()


async def test_without_a_recogniser_rhythm_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def open_none(_names: object, _options: object) -> speech.Opened[speech.AsrStream]:
        return speech.Opened(None, ["no recogniser"])

    house = House(tmp_path)
    monkeypatch.setattr(house.providers, "open_asr", open_none)
    stage = Stage(house)
    await settle()
    stage.push(5.0, 9000)
    await settle()
    assert [report.result for report in stage.reports] == ["machine"]
    stage.task.cancel()
