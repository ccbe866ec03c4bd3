import pytest

from softswitch.egress import EgressClient
from softswitch.settings import Speech, SpeechProvider
from softswitch.settings.speech_provider import KINDS
from softswitch.speech.hosted import kinds
from softswitch.speech.hosted.catalogue import HostedProviders
from softswitch.speech.hosted.errors import VendorError
from softswitch.speech.interface import AsrOptions, SpeechUnavailableError, TtsOptions
from softswitch.speech.phrases import PhraseCache
from softswitch.speech.provider import Providers


def catalogue(*rows):
    return HostedProviders(Speech(provider=rows), EgressClient(), PhraseCache(0))


def row(name, account="", **more):
    return SpeechProvider(name=name, kind="openai", base_url="http://127.0.0.1:1", account=account, **more)


def test_settings_and_the_table_have_the_same_kinds():
    assert set(KINDS) == set(kinds.MODULES)
    for name in KINDS:
        kind = kinds.load(name)
        assert kind.asr is not None or kind.tts is not None


async def test_account_has_its_own_and_those_of_all_but_not_another_ones():
    hosted = catalogue(row("shared"), row("acme", "alice", model="hers"), row("acme", model="all"))
    assert hosted.names("alice") == hosted.names("bob") == ["acme", "shared"]
    assert hosted.find("acme", "alice", {})._row.model == "hers"
    assert hosted.find("acme", "bob", {})._row.model == "all"
    private = catalogue(row("acme", "alice"))
    assert private.find("acme", "bob", {}) is None
    assert private.find("acme", "", {}) is None
    assert private.names("bob") == []


async def test_kind_is_a_provider_for_a_client_with_its_own_key_alone():
    hosted = catalogue()
    assert hosted.find("deepgram", "alice", {}) is None
    found = hosted.find("deepgram", "alice", {"apiKey": "k"})
    assert found is hosted.find("deepgram", "alice", {"apiKey": "other"})
    assert found is not hosted.find("deepgram", "bob", {"apiKey": "k"})
    assert hosted.find("unheard-of", "alice", {"apiKey": "k"}) is None


async def test_address_of_a_client_must_be_public():
    hosted = catalogue()
    extra: dict[str, object] = {"apiKey": "k", "endpoint": "http://127.0.0.1:9000/v1"}
    provider = hosted.find("deepgram", "alice", extra)
    with pytest.raises(VendorError, match="not public"):
        await provider.open_asr(AsrOptions(account="alice", extra=extra))


async def test_kind_that_does_not_speak_says_so():
    vosk = SpeechProvider(name="ears", kind="vosk", base_url="ws://127.0.0.1:1")
    provider = catalogue(vosk).find("ears", "", {})
    with pytest.raises(SpeechUnavailableError, match=r"'ears' \(vosk\) does not speak"):
        await provider.open_tts(TtsOptions())


async def test_unknown_name_is_told_with_the_names_of_the_account():
    providers = Providers(Speech(provider=(row("hers", "alice"), row("shared"))))
    opened = await providers.open_asr(("hers", "off"), AsrOptions(account="bob"))
    assert opened.stream is None
    assert "'hers' is unknown (there are: builtin, shared)" in opened.warnings[0]
    await providers.close()
