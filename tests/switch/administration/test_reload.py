"""A second reading of the settings file."""

import pytest

from softswitch.settings import (
    Auth,
    Http,
    Limits,
    Route,
    Settings,
    Speech,
    SpeechProvider,
    Trunk,
    User,
    Webhook,
)
from softswitch.switch.administration.reload import Reloaded, reloaded

PROVIDER = SpeechProvider(name="p", kind="openai")


def test_nothing_changed() -> None:
    assert reloaded(Settings(), Settings()) == (Reloaded(), Settings())


def test_what_can_be_applied_is_and_the_rest_is_named() -> None:
    before = Settings(user=(User(name="a", password="p"),))
    after = Settings(
        http=Http(port=1),
        auth=Auth(api_keys=("k",)),
        limits=Limits(calls=3),
        speech=Speech(voice="v", provider=(PROVIDER,)),
        webhook=Webhook(url="http://a/", format="wavix"),
        user=(User(name="b", password="p"),),
        route=(Route(match="1", to="echo"),),
    )
    found, settings = reloaded(before, after)
    assert set(found.applied) == {
        "[auth] api_keys",
        "[speech] provider",
        "[webhook] url",
        "[[user]]",
        "[[route]]",
    }
    assert set(found.restart) == {"[http] port", "[limits] calls", "[speech] voice", "[webhook] format"}
    assert settings.http == before.http
    assert settings.speech == Speech(provider=(PROVIDER,))
    assert settings.webhook == Webhook(url="http://a/")
    assert settings.user == after.user


def test_trunks_of_pyvoip_stay_as_they_are() -> None:
    fixed, other = Trunk(name="v", servers=("a",), engine="pyvoip"), Trunk(name="t", servers=("a",))
    moved = Trunk(name="v", servers=("b",), engine="pyvoip")
    found, settings = reloaded(Settings(trunk=(fixed, other)), Settings(trunk=(moved,)))
    assert settings.trunk == (fixed,)
    assert found.applied == ("[[trunk]]",)
    assert found.restart == ('[[trunk]] v: engine = "pyvoip"',)
    found, settings = reloaded(Settings(trunk=(fixed,)), Settings())
    assert settings.trunk == (fixed,)
    assert found.applied == ()


def test_keys_may_not_go_while_other_machines_reach_the_switch() -> None:
    before = Settings(http=Http(host="0.0.0.0"), auth=Auth(api_keys=("k",)))
    with pytest.raises(ValueError, match="host"):
        reloaded(before, Settings(http=Http(host="0.0.0.0")))
