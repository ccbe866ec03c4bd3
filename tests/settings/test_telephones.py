from pathlib import Path

import pytest

from softswitch.errors import SettingsError
from softswitch.settings import Server, Settings, Trunk, load, parse_server
from softswitch.settings.telephones import Route

TRUNK = '[[trunk]]\nname = "carrier"\nservers = ["sip.example.org"]\n'
USER = '[[user]]\nname = "alice"\npassword = "secret"\n'


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "softswitch.toml"
    path.write_text(text)
    return load(path)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("sip.example.org", Server("sip.example.org")),
        ("192.0.2.1:5080", Server("192.0.2.1", 5080)),
        ("sip.example.org:5061;transport=tls", Server("sip.example.org", 5061, "tls")),
        ("[2001:db8::1]:5060;transport=tcp", Server("2001:db8::1", 5060, "tcp")),
        ("[::1]", Server("::1")),
    ],
)
def test_server_is_read_with_port_and_transport(text, server):
    assert parse_server(text) == server


@pytest.mark.parametrize("text", ["", "a b", "host:", "host:70000", "host;transport=ws", "sip:host", "::1"])
def test_server_is_refused_when_it_is_none(text):
    with pytest.raises(ValueError, match="must be host"):
        parse_server(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[trunk]\nname = 'a'", "[[trunk]] is a list of tables"),
        ("[[trunk]]\nname = 'a'\nserver = ['b']", "[[trunk]] server is unknown, did you mean 'servers'?"),
        ("[[trunk]]\nname = 'a'", "[[trunk]] 1: Object missing required field `servers`"),
        ("[[trunk]]\nname = 'a'\nservers = []", "[[trunk]] 1: servers must name at least one"),
        ("[[trunk]]\nname = 'a'\nservers = ['sip:b']", "[[trunk]] 1: server 'sip:b' must be host"),
        ("[[trunk]]\nname = 'a b'\nservers = ['b']", "[[trunk]] 1: name 'a b' must have"),
        ("[[trunk]]\nname = 'a'\nservers = ['b']\nregister = true", "register needs username"),
        ("[[trunk]]\nname = 'a'\nservers = ['b']\nrewrite = [['(', '']]", "rewrite: '(' is not a regular"),
        ("[[trunk]]\nname = 'a'\nservers = ['b']\nrewrite = [['(a)', '\\2']]", "rewrite: invalid group"),
        ("[[trunk]]\nname = 'a'\nservers = ['b']\ncodecs = ['g729']", "codecs: 'g729' is unknown"),
        ("[[trunk]]\nname = 'a'\nservers = ['b']\nallow = ['c']", "allow: 'c' does not appear"),
        ("[[trunk]]\nname = 'a'\nservers = ['b']\nsrtp = 'on'", "[[trunk]] 1 srtp: Invalid enum value 'on'"),
        (TRUNK + TRUNK, "[[trunk]] name 'carrier' is given twice"),
        (
            TRUNK + "default = true\n[[trunk]]\nname = 'b'\nservers = ['b']\ndefault = true",
            "[[trunk]] default: only one trunk",
        ),
        ("[[user]]\nname = 'a'\npassword = ''", "[[user]] 1: password must not be empty"),
        (USER + USER, "[[user]] name 'alice' is given twice"),
        ("[[route]]\nmatch = '('\nto = 'echo'", "[[route]] 1: match: '(' is not a regular expression"),
        ("[[route]]\nmatch = '.*'\nto = 'ehco'", "[[route]] 1: to: 'ehco' must be one of echo, tone"),
        ("[[route]]\nmatch = '.*'\nto = 'reject:200'", "[[route]] 1: to: 'reject:200' must be one of"),
        ("[[route]]\nmatch = '.*'\nto = 'user:bob'", "[[route]] 1 to: there is no [[user]] named 'bob'"),
        ("[[route]]\nmatch = '.*'\nto = 'echo'\ntrunk = 'x'", "[[route]] 1 trunk: there is no [[trunk]]"),
        (TRUNK + "[[route]]\nmatch = 'a'\nto = 'trunk:carrier'\nnumber = '\\1'", "number: invalid group"),
        ("[sip]\ntls_port = 5061", "[sip]: tls_port needs tls_cert"),
        ("[sip]\nallow = ['loopback']", "[sip]: allow: 'loopback' does not appear"),
        ("[sip]\nregister_min_expires = 4000", "register_min_expires must not exceed"),
    ],
)
def test_load_names_table_and_key_when_telephones_are_wrong(tmp_path, text, message):
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)


def test_tables_can_be_given_as_json_in_the_environment():
    settings = load(environ={"SOFTSWITCH_TRUNK": '[{"name": "a", "servers": ["b"]}]'})
    assert settings.trunk == (Trunk("a", ("b",)),)
    with pytest.raises(SettingsError, match="SOFTSWITCH_USER"):
        load(environ={"SOFTSWITCH_USER": '{"name": "a"}'})


def test_default_trunk_is_the_marked_one_else_the_first(tmp_path):
    def name(text: str) -> str | None:
        trunk = read(tmp_path, text).default_trunk()
        return trunk.name if trunk is not None else None

    second = '[[trunk]]\nname = "b"\nservers = ["b"]\n'
    assert Settings().default_trunk() is None
    assert name(TRUNK + second) == "carrier"
    assert name(TRUNK + second + "default = true") == "b"


def test_trunk_rewrites_what_is_dialled():
    trunk = Trunk("a", ("b",), rewrite=(("^00", "+"), ("^0", "+49")))
    assert [trunk.rewritten(number) for number in ("0044123", "030123", "+1")] == ["+44123", "+4930123", "+1"]


def test_route_has_a_protocol_only_with_a_stream():
    assert Route(".*", "stream:ws://x/", protocol="twilio").protocol == "twilio"
    with pytest.raises(ValueError, match="protocol: only a route with"):
        Route(".*", "echo", protocol="twilio")


def test_route_fits_callee_caller_and_trunk():
    route = Route(r"9(\d+)", "trunk:a", trunk="b", caller="1..", number=r"+\1")
    assert route.fits("9123", "100", "b")
    assert not route.fits("9123", "200", "b")
    assert not route.fits("9123", "100", "")
    assert not route.fits("91a", "100", "b")
    assert route.dialled("9123") == "+123"
    assert Route(".*", "webhook").dialled("42") == "42"
