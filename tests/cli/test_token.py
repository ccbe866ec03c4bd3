import jwt
import pytest

from softswitch import cli
from softswitch.cli.token import make_token

SECRET = "x" * 48


def test_token_says_who_what_and_how_long(capsys, monkeypatch):
    monkeypatch.setenv("SOFTSWITCH_AUTH_JWT_SECRET", SECRET)
    assert cli.main(["token", "--subject", "bot", "--scope", "call", "--scope", "admin", "--hours", "1"]) == 0
    claims = jwt.decode(capsys.readouterr().out.strip(), SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["scope"]) == ("bot", "call admin")
    assert claims["exp"] - claims["iat"] == 3600


def test_token_expires():
    token = make_token(SECRET, "bot", ["call"], now=1000.0, life_s=60)
    with pytest.raises(jwt.ExpiredSignatureError):
        jwt.decode(token, SECRET, algorithms=["HS256"])


def test_token_without_a_secret_says_how_to_get_one(capsys):
    assert cli.main(["token"]) == 2
    assert "--new-secret" in capsys.readouterr().err


def test_new_secret_is_long_enough_for_the_settings(capsys):
    assert cli.main(["token", "--new-secret"]) == 0
    assert len(capsys.readouterr().out.strip()) >= 32


def test_token_names_account_rooms_and_grants(capsys, monkeypatch):
    monkeypatch.setenv("SOFTSWITCH_AUTH_JWT_SECRET", SECRET)
    given = ["--account", "shop", "--room", "r1=join,hear", "--room", "*=record", "--user", "alice"]
    assert cli.main(["token", *given]) == 0
    claims = jwt.decode(capsys.readouterr().out.strip(), SECRET, algorithms=["HS256"])
    assert claims["users"] == ["alice"]
    assert (claims["account"], claims["scope"]) == ("shop", "")
    assert claims["rooms"] == {"r1": ["join", "hear"], "*": ["record"]}


@pytest.mark.parametrize("room", ["r1", "r1=", "=join", "r1=join,fly"])
def test_token_refuses_grants_that_are_none(room, capsys):
    with pytest.raises(SystemExit):
        cli.main(["token", "--room", room])
    assert "--room" in capsys.readouterr().err
