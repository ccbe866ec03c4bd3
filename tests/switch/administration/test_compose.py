"""What counts: the settings of the file, and the entries that fit beside them."""

from typing import Any

from softswitch.settings import Route, Settings, SpeechProvider, Trunk, User
from softswitch.switch.administration.compose import compose
from softswitch.switch.administration.entry import Entry


def entry(sort: str, name: str, secrets: dict[str, Any] | None = None, **body: Any) -> Entry:
    return Entry(sort, name, {"name": name, **body}, secrets or {}, 1, 1)


def nothing(_: Settings) -> None:
    return None


BASE = Settings(
    user=(User(name="a", password="p"),),
    trunk=(Trunk(name="t", servers=("a",)),),
    route=(Route(match="1", to="echo"), Route(match="2", to="echo", order=5)),
)
HA1 = {"ha1": {"MD5": "0" * 32}, "realm": "softswitch"}


def test_entries_stand_behind_the_rows_of_the_file_and_routes_in_their_order() -> None:
    entries = [
        entry("route", "later", match="3", to="user:b", order=9),
        entry("route", "sooner", match="4", to="trunk:u"),
        entry("trunk", "u", {"password": "x"}, servers=["b"]),
        entry("user", "b", HA1),
        entry("provider", "p", {"key": "k"}, kind="openai"),
        entry("key", "k", {"digest": "d"}, scopes=["call"]),
    ]
    composed = compose(BASE, entries, nothing)
    assert composed.faults == {}
    assert [user.name for user in composed.settings.user] == ["a", "b"]
    assert [route.match for route in composed.settings.route] == ["1", "4", "2", "3"]
    assert composed.settings.trunk[1].password == "x"
    assert composed.settings.speech.provider == (SpeechProvider(name="p", kind="openai", key="k"),)
    assert [(key.terms.name, key.digest) for key in composed.keys] == [("k", "d")]


def test_file_wins_and_what_does_not_fit_is_left_out_alone() -> None:
    entries = [
        entry("user", "a", HA1),
        entry("user", "c", {**HA1, "realm": "another"}),
        entry("user", "d", HA1),
        entry("trunk", "v", servers=["b"], engine="pyvoip"),
        entry("route", "lost", match="1", to="trunk:gone"),
        entry("route", "good", match="1", to="user:d"),
        entry("trunk", "old", servers=["b"], colour="red"),
    ]
    composed = compose(BASE, entries, nothing)
    assert set(composed.faults) == {
        ("user", "a"),
        ("user", "c"),
        ("trunk", "v"),
        ("route", "lost"),
        ("trunk", "old"),
    }
    assert "realm" in composed.faults["user", "c"]
    assert "gone" in composed.faults["route", "lost"]
    assert "colour" in composed.faults["trunk", "old"]
    assert [user.name for user in composed.settings.user] == ["a", "d"]
    assert [route.name for route in composed.settings.route] == ["", "good", ""]


def test_settings_that_another_part_refuses_leave_the_entry_out() -> None:
    def check(settings: Settings) -> None:
        if any(route.name == "bad" for route in settings.route):
            raise ValueError("bad")

    entries = [entry("route", "good", match="1", to="echo"), entry("route", "bad", match="1", to="echo")]
    composed = compose(BASE, entries, check)
    assert composed.faults == {("route", "bad"): "bad"}
    assert "good" in [route.name for route in composed.settings.route]
