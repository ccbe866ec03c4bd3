import importlib.util
import re
import tomllib
from types import ModuleType

import pytest

from softswitch.settings import Settings, load
from softswitch.settings.load import SECTIONS, TABLES
from softswitch.settings.sections import RecordingAccount
from softswitch.settings.speech_provider import SpeechProvider
from softswitch.settings.webhook import WebhookAccount
from tests.conftest import ROOT
from tests.settings.test_load import OF_TABLES

SAMPLE = ROOT / "softswitch.toml"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sample_settings", ROOT / "scripts/sample_settings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def uncommented() -> str:
    return re.sub(r"(?m)^#(\S)", r"\1", SAMPLE.read_text())


def test_sample_is_what_the_settings_say(script):
    assert SAMPLE.read_text() == script.sample(), "run `make sample`"


def test_sample_as_it_stands_changes_nothing():
    assert load(SAMPLE) == Settings()


def test_sample_holds_every_key_with_its_real_default():
    raw = tomllib.loads(uncommented())
    servers, accounts = raw["ice"].pop("server"), raw["webhook"].pop("account")
    assert set(servers[0]) == {"urls", "username", "credential"}
    assert set(accounts[0]) == set(WebhookAccount.__struct_fields__)
    assert set(raw["recording"].pop("account")[0]) == set(RecordingAccount.__struct_fields__)
    rows = raw["speech"].pop("provider")
    assert set(rows[0]) == set(SpeechProvider.__struct_fields__)
    for name in SECTIONS:
        defaults = getattr(Settings(), name)
        for key in defaults.__struct_fields__:
            if (name, key) not in OF_TABLES:
                value = getattr(defaults, key)
                assert raw[name].pop(key) == (list(value) if isinstance(value, tuple) else value)
        assert raw.pop(name) == {}
    for name, struct in TABLES.items():
        assert set(raw.pop(name)[0]) == set(struct.__struct_fields__)
    assert raw == {}


def test_sample_explains_every_key(script):
    for struct in (*SECTIONS.values(), *TABLES.values()):
        assert set(script.texts(struct)) == set(struct.__struct_fields__)
