from importlib.metadata import EntryPoint

import pytest

from softswitch.errors import RejectedError
from softswitch.settings import Speech
from softswitch.speech import provider
from softswitch.speech.interface import AsrOptions, SpeechBusyError, SpeechUnavailableError, TtsOptions
from softswitch.speech.provider import Providers, UnknownProviderError


class Stream:
    def __init__(self, options, warnings=()):
        self.options = options
        self.warnings = warnings


class Provider:
    """Opens streams, or does not."""

    def __init__(self, name, failure=None, warnings=()):
        self.name = name
        self.failure = failure
        self.warnings = warnings
        self.loaded = 0
        self.closed = 0

    async def load(self):
        self.loaded += 1

    async def open(self, options):
        if self.failure is not None:
            raise self.failure
        return Stream(options, self.warnings)

    def voices(self):
        return ()

    async def close(self):
        self.closed += 1


@pytest.fixture
def made():
    """What the catalogue will find, by name; a function that makes it may be put there too."""
    return {"builtin": Provider("builtin")}


@pytest.fixture
def providers(made, monkeypatch):
    class Point:
        def __init__(self, name):
            self.name = name

        def load(self):
            found = made[self.name]
            return found if callable(found) else lambda _setup: found

    monkeypatch.setattr(provider, "_find", lambda _kind: {name: Point(name) for name in made})
    return lambda **settings: Providers(Speech(**settings))


async def test_one_provider_serves_all_calls_and_is_told_its_name(providers):
    catalogue = providers()
    assert catalogue.tts("builtin") is catalogue.tts("builtin")
    opened = await catalogue.open_tts(("builtin",), TtsOptions(voice="slt"))
    assert (opened.provider, opened.warnings) == ("builtin", [])
    assert opened.stream.options == TtsOptions(provider="builtin", voice="slt")


def test_unknown_name_is_told_with_those_there_are(providers, made):
    made["acme"] = Provider("acme")
    catalogue = providers()
    with pytest.raises(
        UnknownProviderError, match=r"'tencent' is unknown \(there are: acme, builtin\)"
    ) as raised:
        catalogue.asr("tencent")
    assert raised.value.known == ("acme", "builtin")
    assert raised.value.code == 404
    for get in (catalogue.tts, catalogue.vad):
        with pytest.raises(UnknownProviderError):
            get("tencent")


@pytest.mark.parametrize(
    "failure",
    [SpeechUnavailableError("no key"), SpeechBusyError("busy"), RejectedError("no"), ZeroDivisionError("x")],
)
async def test_provider_that_fails_to_open_is_replaced_with_a_warning(providers, made, failure):
    made["acme"] = Provider("acme", failure)
    opened = await providers().open_asr(("acme",), AsrOptions())
    assert opened.provider == "builtin"
    assert len(opened.warnings) == 1
    assert "acme" in opened.warnings[0]
    assert str(failure) in opened.warnings[0]


async def test_chain_is_tried_in_its_order_and_ends_with_the_builtin_one(providers, made):
    made["acme"] = Provider("acme", SpeechUnavailableError("down"))
    made["other"] = Provider("other", warnings=("no such voice",))
    catalogue = providers()
    opened = await catalogue.open_tts(("tencent", "acme", "other"), TtsOptions())
    assert opened.provider == "other"
    assert [warning.split(";")[0] for warning in opened.warnings] == [
        "tts provider 'tencent' is unknown (there are: acme, builtin, other)",
        "tts provider 'acme': down",
        "no such voice",
    ]
    assert (await catalogue.open_tts(("tencent",), TtsOptions())).provider == "builtin"


async def test_nobody_works_is_an_answer_too(providers, made):
    made["builtin"] = Provider("builtin", SpeechUnavailableError("not installed"))
    opened = await providers().open_asr(("tencent",), AsrOptions())
    assert opened.stream is None
    assert len(opened.warnings) == 2


@pytest.mark.parametrize("name", ["off", "none", ""])
async def test_off_is_off_without_a_warning(providers, name):
    opened = await providers().open_asr((name,), AsrOptions())
    assert (opened.stream, opened.warnings) == (None, [])


async def test_start_loads_those_of_the_settings_and_close_closes_all(providers, made):
    made["acme"] = Provider("acme")
    catalogue = providers(tts="acme", asr="off")
    await catalogue.start()
    assert (made["acme"].loaded, made["builtin"].loaded) == (1, 0)
    catalogue.asr("builtin")
    await catalogue.close()
    assert (made["acme"].closed, made["builtin"].closed) == (1, 1)


async def test_start_and_close_survive_what_providers_raise(providers, made, caplog):
    class Broken(Provider):
        async def load(self):
            raise OSError("disk")

        async def close(self):
            raise OSError("disk")

    made["acme"] = Broken("acme")
    catalogue = providers(tts="acme", asr="unheard-of")
    await catalogue.start()
    await catalogue.close()
    assert "a provider failed to close" in caplog.text


def test_detectors_that_do_not_work_here_are_left_out(providers, made):
    def broken(_setup):
        raise SpeechUnavailableError("no weights")

    made |= {"silero": broken, "energy": lambda _setup: object()}
    catalogue = providers()
    assert set(catalogue.vads()) == {"energy", "builtin"}
    assert catalogue.vads()["energy"]() is not catalogue.vads()["energy"]()


def test_entry_points_are_found_and_cannot_replace_the_builtin_ones(monkeypatch):
    points = [
        EntryPoint("acme", "acme:make", "softswitch.tts"),
        EntryPoint("builtin", "evil:make", "softswitch.tts"),
    ]
    monkeypatch.setattr(provider, "entry_points", lambda group: points if group == "softswitch.tts" else [])
    catalogue = Providers()
    assert catalogue.names("tts") == ["acme", "builtin"]
    assert catalogue.names("vad") == ["energy", "silero", "webrtc"]
    assert catalogue.tts("builtin").name == "builtin"


def test_counters_are_plain_numbers():
    catalogue = Providers()
    catalogue.asr("builtin")
    assert {"phrase_hits", "asr_utterances", "asr_workers_lost"} <= set(catalogue.counters())
