import pytest

from softswitch.audio.codec import G722, OPUS, PCMA, PCMU
from softswitch.cli.checks import codecs
from softswitch.cli.checks.finding import Verdict


@pytest.mark.parametrize("which", [OPUS, G722, PCMU, PCMA], ids=lambda codec: codec.name)
def test_codecs_give_a_tone_back(which):
    assert codecs.codec(which).verdict == Verdict.OK


def test_codec_that_is_silent_fails(monkeypatch):
    monkeypatch.setattr(codecs, "loudness", lambda _: 0.0)
    assert codecs.codec(PCMU).verdict == Verdict.FAIL


def test_codec_that_breaks_fails(monkeypatch):
    def broken(_: object) -> float:
        raise OSError("no such library")

    monkeypatch.setattr(codecs, "loudness", broken)
    assert "no such library" in codecs.codec(OPUS).text
