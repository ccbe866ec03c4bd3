import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from softswitch.cli.checks import speech
from softswitch.cli.checks.finding import Finding, Verdict
from softswitch.errors import UnavailableError
from softswitch.settings import Settings, Speech
from softswitch.speech.interface import AsrFinal, TtsAudio, TtsDone


class FakeTts:
    """Says a tenth of a second of something, or nothing."""

    name = "fake"

    def __init__(self, pieces: int = 5) -> None:
        self.pieces = pieces
        self.warnings: list[str] = []
        self.pushed = ""

    async def open(self, options: object) -> "FakeTts":
        return self

    def voices(self) -> list[str]:
        return ["one"]

    def push_text(self, text: str) -> None:
        self.pushed += text

    def flush(self) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[TtsAudio | TtsDone]:
        for _ in range(self.pieces):
            yield TtsAudio(bytes(640), 16000)
        yield TtsDone(self.pieces * 20)


class FakeAsr:
    """Understands what it is told to."""

    name = "fake"

    def __init__(self, text: str) -> None:
        self.text = text
        self.heard = 0
        self.closed = False

    async def open(self, options: object) -> "FakeAsr":
        return self

    def push(self, pcm: bytes) -> None:
        self.heard += len(pcm)

    def finalize(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    async def __aiter__(self) -> AsyncIterator[AsrFinal]:
        yield AsrFinal(0, self.text, 0, 100)


class FakeProviders:
    def __init__(self, tts: FakeTts | None, asr: FakeAsr | None) -> None:
        self._tts, self._asr = tts, asr

    def tts(self, name: str) -> FakeTts:
        if self._tts is None:
            raise UnavailableError("no voice here")
        return self._tts

    def asr(self, name: str) -> FakeAsr:
        if self._asr is None:
            raise UnavailableError("no ear here")
        return self._asr

    def vad(self, name: str) -> object:
        if name == "missing":
            raise UnavailableError("no detector here")
        return object()

    def vads(self) -> dict[str, Callable[[], object]]:
        return {"energy": object}

    async def close(self) -> None:
        pass


def examine(
    monkeypatch: pytest.MonkeyPatch, mouth: FakeTts | None, ear: FakeAsr | None, **wishes: str
) -> dict[str, Finding]:
    monkeypatch.setattr(speech, "Providers", lambda _: FakeProviders(mouth, ear))
    settings = Settings(speech=msgspec.convert({"tts": "fake", "asr": "fake"} | wishes, Speech))
    return {finding.what: finding for finding in speech.check(settings)}


def test_switch_that_understands_itself_is_fine(monkeypatch):
    tts, asr = FakeTts(), FakeAsr("ONE two three for five")
    found = examine(monkeypatch, tts, asr)
    assert {finding.verdict for finding in found.values()} == {Verdict.OK}
    assert tts.pushed == speech.SENTENCE
    assert asr.closed
    assert asr.heard == 5 * 640 + 32000  # what was spoken, and a second of silence


def test_signs_and_figures_of_a_recogniser_are_understood(monkeypatch):
    found = examine(monkeypatch, FakeTts(), FakeAsr("One, 2, 3, for."))
    assert found["recognition"].verdict == Verdict.OK


def test_without_the_neural_voice_that_is_a_warning(monkeypatch):
    monkeypatch.setattr(speech, "neural_voice_installed", lambda: False)
    found = examine(monkeypatch, FakeTts(), FakeAsr(""), tts="builtin")
    assert found["voice"].verdict == Verdict.WARN


def test_switch_that_misunderstands_itself_is_a_warning(monkeypatch):
    found = examine(monkeypatch, FakeTts(), FakeAsr("what a mess"))
    assert found["recognition"].verdict == Verdict.WARN
    assert "'what a mess'" in found["recognition"].text


def test_missing_voice_fails_and_recognition_says_that_it_was_not_tried(monkeypatch):
    found = examine(monkeypatch, None, FakeAsr("x"))
    assert found["voice"].verdict == Verdict.FAIL
    assert "not tested" in found["recognition"].text


def test_voice_that_says_nothing_fails(monkeypatch):
    assert examine(monkeypatch, FakeTts(0), None)["voice"].verdict == Verdict.FAIL


def test_missing_recognition_fails(monkeypatch):
    assert examine(monkeypatch, FakeTts(), None)["recognition"].verdict == Verdict.FAIL


def test_missing_detector_fails(monkeypatch):
    found = examine(monkeypatch, FakeTts(), FakeAsr("x"), vad="missing")
    assert found["speech detection"].verdict == Verdict.FAIL


def test_what_is_switched_off_is_not_tried(monkeypatch):
    found = examine(monkeypatch, None, None, tts="off", asr="off")
    assert [found[what].verdict for what in ("voice", "recognition")] == [Verdict.OK, Verdict.OK]


def test_provider_that_never_answers_fails_in_time(monkeypatch):
    class Silent(FakeTts):
        async def open(self, options: object) -> "FakeTts":
            await asyncio.Event().wait()
            return self

    monkeypatch.setattr(speech, "TIMEOUT_S", 0.05)
    assert examine(monkeypatch, Silent(), None)["voice"].verdict == Verdict.FAIL
