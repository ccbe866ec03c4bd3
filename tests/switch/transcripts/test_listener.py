"""Which side said what."""

import asyncio

import pytest

from softswitch.errors import UnavailableError
from softswitch.speech import provider as speech
from softswitch.switch.transcripts import listener as module
from softswitch.switch.transcripts.listener import Heard, Listener
from softswitch.switch.transcripts.utterances import Utterance
from tests.switch.harness import FakeAsr


class Answering(FakeAsr):
    """Says at each `finalize` what the test has prepared."""

    def __init__(self, *answers) -> None:
        super().__init__()
        self._answers = list(answers)
        self._finals = 0
        self._begun = 0

    def finalize(self) -> None:
        super().finalize()
        end_ms = sum(map(len, self.heard)) // 32
        answer = self._answers.pop(0) if self._answers else None
        if isinstance(answer, str):
            self.outputs.put_nowait(speech.AsrFinal(self._finals, answer, self._begun + 100, end_ms - 100))
            self._finals += 1
        elif answer is not None:
            self.outputs.put_nowait(answer)
        self._begun = end_ms


def utterance(side: int, start_ms: int, length_ms: int = 1000) -> Utterance:
    return Utterance(side, start_ms, start_ms + length_ms, bytes(32 * length_ms))


async def listened(stream, *utterances) -> list[Heard]:
    heard: list[Heard] = []
    listener = Listener(stream, realtime=False, on_heard=heard.append)
    try:
        for one in utterances:
            await listener.hear(one)
        await listener.finish()
    finally:
        await listener.close()
    assert stream.closed
    return heard


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(module, "FINAL_S", 0.05)
    monkeypatch.setattr(module, "LAST_S", 0.2)
    monkeypatch.setattr(module, "BUSY_S", 0.0)


async def test_texts_have_the_side_and_the_times_of_the_recording():
    heard = await listened(Answering("one", "two"), utterance(1, 5000), utterance(0, 20_000))
    assert heard == [Heard(1, 5100, 5900, "one"), Heard(0, 20_100, 20_900, "two")]


async def test_noise_without_a_text_delays_and_shifts_nothing():
    heard = await listened(Answering(None, "two"), utterance(0, 0), utterance(1, 3000))
    assert heard == [Heard(1, 3100, 3900, "two")]


async def test_text_that_is_late_belongs_to_its_own_utterance():
    stream = Answering(None, None)
    asyncio.get_running_loop().call_later(
        0.15, stream.outputs.put_nowait, speech.AsrFinal(0, "late", 100, 900)
    )
    heard = await listened(stream, utterance(0, 7000), utterance(1, 9000))
    assert heard == [Heard(0, 7100, 7900, "late")]


async def test_busy_recogniser_is_asked_again_and_a_broken_one_fails():
    busy = speech.SpeechError("asr", "busy", 503)
    heard = await listened(Answering(busy, "two"), utterance(0, 4000))
    assert [(one.side, one.text) for one in heard] == [(0, "two")]
    with pytest.raises(UnavailableError, match="busy"):
        await listened(Answering(*[busy] * 3), utterance(0, 0))
    stream = Answering(speech.SpeechError("asr", "no credit", 402))
    stream.outputs.put_nowait(speech.SpeechError("asr", "no credit", 402))
    stream.outputs.put_nowait(None)
    with pytest.raises(UnavailableError, match="no credit"):
        await listened(stream, utterance(0, 0), utterance(0, 2000))


async def test_recogniser_in_real_time_is_not_run_over(monkeypatch):
    monkeypatch.setattr(module, "LEAD_S", 0.2)
    loop = asyncio.get_running_loop()
    listener = Listener(Answering("text"), realtime=True, on_heard=lambda heard: None)
    began = loop.time()
    await listener.hear(utterance(0, 0, 800))
    await listener.close()
    assert loop.time() - began >= 0.5
