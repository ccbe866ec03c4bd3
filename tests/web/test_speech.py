"""The lists of providers, voices and languages."""

from collections.abc import Sequence

import pytest

from softswitch.settings import Speech
from softswitch.settings.speech_provider import SpeechProvider
from softswitch.speech.provider import Providers
from softswitch.web.speech import choices

ROWS = (
    SpeechProvider(name="shared", kind="deepgram", key="k", voice="asteria"),
    SpeechProvider(name="mine", kind="openai", key="k", account="ann", language="de-DE"),
)


@pytest.mark.parametrize(("account", "hosted"), [("", ["shared"]), ("ann", ["mine", "shared"])])
def test_account_is_shown_the_providers_it_may_name(account: str, hosted: Sequence[str]) -> None:
    speech = Speech(provider=ROWS, voice="slt")
    found = choices(Providers(speech), speech, account)
    assert [choice.name for choice in found.tts if choice.hosted] == hosted
    assert [choice.name for choice in found.asr] == ["builtin", *hosted]
    by_name = {choice.name: choice for choice in found.tts}
    assert by_name["shared"].voices == ("asteria",)
    assert "slt" in by_name["builtin"].voices
    assert found.asr[0].languages == ("en",)
    assert "energy" in found.vad
    assert found.defaults["voice"] == "slt"


def test_provider_that_cannot_work_here_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    providers = Providers(Speech())

    def broken(name: str) -> object:
        raise RuntimeError(name)

    monkeypatch.setattr(providers, "tts", broken)
    found = choices(providers, Speech(), "")
    assert found.tts == ()
    assert [choice.name for choice in found.asr] == ["builtin"]
