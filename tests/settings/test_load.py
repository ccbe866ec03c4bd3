import json
from pathlib import Path

import pytest

from softswitch.errors import SettingsError
from softswitch.settings import Settings, load
from softswitch.settings.load import SECTIONS


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "softswitch.toml"
    path.write_text(text)
    return path


def test_load_returns_defaults_when_nothing_is_set():
    assert load() == Settings()


def test_load_prefers_flags_to_environment_to_file(tmp_path):
    config = write(tmp_path, "[http]\nport = 1\nhost = '127.0.0.2'\n[log]\nlevel = 'error'\n")
    settings = load(
        config, {"SOFTSWITCH_HTTP_PORT": "2", "SOFTSWITCH_HTTP_HOST": "::1"}, {("http", "port"): 3}
    )
    assert (settings.http.port, settings.http.host, settings.log.level) == (3, "::1", "error")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[htpp]\nport = 1", "section [htpp] is unknown, did you mean 'http'?"),
        ("[http]\nprt = 1", "[http] prt is unknown, did you mean 'port'?"),
        ("[sip]\nzzzzzz = 1", "[sip] zzzzzz is unknown, known are accept_timeout_s, allow,"),
        ("[[ice.server]]\nurls = []\nuser_name = 'a'", "did you mean 'username'?"),
        ("[http]\nport = '1'", "[http] port: Expected `int`, got `str`"),
        ("[http]\nport = 65536", "[http] port: Expected `int` <= 65535"),
        ("[ice]\nstun = ['a', 1]", "[ice] stun[1]: Expected `str`, got `int`"),
        ("[log]\nlevel = 'loud'", "[log] level: Invalid enum value 'loud'"),
        ("[[ice.server]]\nusername = 'a'", "[ice] server[0]: Object missing required field `urls`"),
        ("http = 1", "http is a section: write [http]"),
        ("[http", "Expected ']'"),
    ],
)
def test_load_names_section_and_key_when_the_file_is_wrong(tmp_path, text, message):
    with pytest.raises(SettingsError) as caught:
        load(write(tmp_path, text))
    assert message in str(caught.value)


def test_load_says_so_when_the_file_is_missing(tmp_path):
    with pytest.raises(SettingsError, match="No such file"):
        load(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[http]\ntls_cert = 'a'", "must be set together"),
        ("[http]\nhosts = ['https://pbx.example']", "hosts: 'https://pbx.example' must be a name"),
        ("[http]\ntrusted_proxies = ['proxy']", "trusted_proxies: 'proxy' does not appear"),
        ("[rtp]\nport_min = 3\nport_max = 2", "port_min 3 is above port_max 2"),
        ("[rtp]\nexternal_ip = 'example.org'", "does not appear to be an IPv4 or IPv6 address"),
        ("[rtp]\nexternal_ip = '192.0.2.1, 192.0.2.2'", "two addresses of one family"),
        ("[ice]\nturn_urls = ['turn:a']", "must be set together"),
        ("[ice]\nhost_addresses = ['a']", "does not appear"),
        ("[egress]\nallow = ['10.0.0.0/33']", "does not appear"),
        ("[webhook]\nurl = 'file:///etc'", "must start with"),
        ("[recording]\nfolder = '../elsewhere'", "inside [paths] data"),
        ("[recording]\nfolder = '/var'", "inside [paths] data"),
        ("[auth]\njwt_secret = 'short'", "at least 32 bytes"),
        ("[auth]\napi_keys = ['a:k1', 'a:k2']", "the name 'a' twice"),
    ],
)
def test_load_refuses_values_that_contradict(tmp_path, text, message):
    with pytest.raises(SettingsError) as caught:
        load(write(tmp_path, text))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("SOFTSWITCH_HTTP_PRT", "1", "did you mean 'SOFTSWITCH_HTTP_PORT'?"),
        ("SOFTSWITCH_HTTP_PORT", "x", "SOFTSWITCH_HTTP_PORT: Expected `int`"),
        ("SOFTSWITCH_ICE_SERVER", "[", "SOFTSWITCH_ICE_SERVER"),
    ],
)
def test_load_names_the_variable_when_the_environment_is_wrong(name, text, message):
    with pytest.raises(SettingsError) as caught:
        load(environ={name: text})
    assert message in str(caught.value)


def test_load_splits_lists_of_the_environment_at_commas():
    settings = load(environ={"SOFTSWITCH_EGRESS_ALLOW": " 10.0.0.0/8,, 127.0.0.1 "})
    assert settings.egress.allow == ("10.0.0.0/8", "127.0.0.1")


def test_load_reads_lists_of_tables_from_the_environment_as_json():
    servers = [{"urls": ["turn:turn.example.org"], "username": "u", "credential": "c"}]
    settings = load(environ={"SOFTSWITCH_ICE_SERVER": json.dumps(servers)})
    assert settings.ice.server[0].credential == "c"


def test_load_ignores_what_kubernetes_and_the_tests_set():
    names = [
        "SOFTSWITCH_PORT",
        "SOFTSWITCH_PORT_8080_TCP_ADDR",
        "SOFTSWITCH_SERVICE_HOST",
        "SOFTSWITCH_SERVICE_PORT_HTTP",
        "SOFTSWITCH_TEST_CALLS",
        "SOFTSWITCH_COMPILED",
        "SOFTSWITCH_CONFIG",
    ]
    assert load(environ=dict.fromkeys(names, "x")) == Settings()


OF_TABLES = {("ice", "server"), ("webhook", "account"), ("recording", "account"), ("speech", "provider")}
"""Keys whose values are tables."""


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_can_be_set_by_its_variable(section):
    defaults = getattr(Settings(), section)
    for key in defaults.__struct_fields__:
        value = getattr(defaults, key)
        text = (
            json.dumps(value)
            if (section, key) in OF_TABLES
            else ",".join(value)
            if isinstance(value, tuple)
            else str(value)
        )
        load(environ={f"SOFTSWITCH_{section}_{key}".upper(): text})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "switch.example.org"])
def test_load_refuses_a_public_address_when_nobody_is_asked_for_a_key(host):
    with pytest.raises(SettingsError, match="could use the switch without keys"):
        load(flags={("http", "host"): host})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_load_accepts_loopback_without_a_key(host):
    assert load(flags={("http", "host"): host}).http.host == host


@pytest.mark.parametrize(
    "auth", [{"api_keys": ["secret"]}, {"jwt_secret": "x" * 32}, {"jwt_public_key": "/etc/key.pem"}]
)
def test_load_accepts_a_public_address_with_a_credential(auth):
    flags = {("auth", key): value for key, value in auth.items()} | {("http", "host"): "0.0.0.0"}
    assert load(flags=flags).http.host == "0.0.0.0"


def test_settings_hide_their_secrets_when_shown():
    settings = load(
        flags={
            ("auth", "api_keys"): ["canary-one"],
            ("auth", "jwt_secret"): "canary-two" * 4,
            ("ice", "turn_secret"): "canary-three",
            ("ice", "turn_urls"): ["turn:turn.example.org"],
            ("ice", "server"): [{"urls": [], "credential": "canary-four"}],
        },
        environ={"SOFTSWITCH_USER": '[{"name": "alice", "password": "canary-five"}]'},
    )
    assert "canary" not in repr(settings)


def test_session_of_a_stream_is_a_table_and_hidden(tmp_path):
    text = """
    [[stream]]
    protocol = "openai-realtime"
    url = "wss://a.example/"
    token = "canary"
    [stream.session]
    instructions = "canary"
    [[stream.session.tools]]
    name = "f"
    """
    settings = load(write(tmp_path, text))
    assert settings.stream[0].session == {"instructions": "canary", "tools": [{"name": "f"}]}
    assert "canary" not in repr(settings)


def test_secrets_of_accounts_are_read_checked_and_hidden():
    settings = load(flags={("webhook", "account"): [{"name": "shop", "secret": "canary"}]})
    assert [(account.name, account.secret) for account in settings.webhook.account] == [("shop", "canary")]
    assert "canary" not in repr(settings)
    for rows, words in (
        ([{"name": "a", "secret": "x"}] * 2, "'a' stands twice"),
        ([{"name": "", "secret": "x"}], "must not be empty"),
    ):
        with pytest.raises(SettingsError, match=words):
            load(flags={("webhook", "account"): rows})
