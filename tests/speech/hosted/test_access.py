import pytest

from softswitch.settings import SpeechProvider
from softswitch.speech.hosted.access import access, has_own_key
from softswitch.speech.interface import SpeechUnavailableError

ROW = SpeechProvider(
    name="acme",
    kind="tencent",
    key="operator",
    secret_id="id",
    app_id="1",
    options={"speed": 2, "deep": True},
)
VENDOR = "https://vendor.example"
NEEDS = ("key", "secret_id", "app_id")


def test_settings_give_key_address_and_parameters():
    found = access(ROW, {"speed": 9, "callback": "http://evil.example"}, base_url=VENDOR, needs=NEEDS)
    assert (found.key, found.base_url, found.trusted, found.own_url) == ("operator", VENDOR, True, False)
    assert found.options == {"speed": 2, "deep": True}


def test_client_without_a_key_cannot_move_the_operators_key():
    found = access(ROW, {"endpoint": "https://evil.example"}, base_url=VENDOR, needs=NEEDS)
    assert found.base_url == VENDOR


def test_client_with_a_key_gets_nothing_of_the_operators():
    extra = {"secretKey": "own", "secretId": "mine", "appId": 77, "endpoint": "https://my.example/", "x": 1}
    found = access(ROW, extra, base_url=VENDOR, needs=NEEDS)
    assert (found.key, found.secret_id, found.app_id) == ("own", "mine", "77")
    assert (found.base_url, found.trusted) == ("https://my.example", False)
    assert found.options == {"x": 1}
    with pytest.raises(SpeechUnavailableError, match="'acme' has no secret_id"):
        access(ROW, {"secretKey": "own"}, base_url=VENDOR, needs=NEEDS)


def test_key_may_be_that_of_an_environment_variable(monkeypatch):
    row = SpeechProvider(name="acme", kind="openai", key="env:ACME_KEY")
    with pytest.raises(SpeechUnavailableError, match="has no key: set it in its"):
        access(row, {}, base_url=VENDOR, needs=("key",))
    monkeypatch.setenv("ACME_KEY", "from outside")
    assert access(row, {}, base_url=VENDOR, needs=("key",)).key == "from outside"


def test_server_of_the_operators_own_needs_no_key_but_an_address():
    row = SpeechProvider(name="acme", kind="openai", base_url="http://127.0.0.1:8000/v1/")
    assert access(row, {}, base_url=VENDOR, needs=("key",)).base_url == "http://127.0.0.1:8000/v1"
    with pytest.raises(SpeechUnavailableError, match="has no address: set base_url"):
        access(SpeechProvider(name="acme", kind="vosk"), {}, base_url="", needs=())


def test_addresses_and_their_parameters():
    found = access(ROW, {}, base_url="https://vendor.example/v1", needs=NEEDS)
    assert found.url("/speak") == "https://vendor.example/v1/speak"
    query = {"model": "a b", "none": None, "empty": "", "on": True, "word": ("x", "y&z")}
    assert found.socket_url("/listen", query) == (
        "wss://vendor.example/v1/listen?model=a%20b&on=true&word=x&word=y%26z"
    )
    plain = access(
        SpeechProvider(name="acme", kind="vosk", base_url="ws://127.0.0.1:2700"), {}, base_url="", needs=()
    )
    assert plain.socket_url("") == "ws://127.0.0.1:2700"


def test_nothing_secret_is_shown():
    found = access(ROW, {}, base_url=VENDOR, needs=NEEDS)
    assert "operator" not in repr(found)
    assert "operator" not in repr(ROW)
    assert found.clean("bad key operator\n of id") == "bad key *** of ***".replace("*** of", "***  of")


@pytest.mark.parametrize(("extra", "own"), [({}, False), ({"apiKey": ""}, False), ({"apiKey": "k"}, True)])
def test_key_of_a_clients_own(extra, own):
    assert has_own_key(extra) is own
