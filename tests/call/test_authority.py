"""Every act, with every set of scopes and grants, on every kind of target, against the table of the docs."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from softswitch.call.authority import GRANTS, OPERATOR, RULES, Principal, Target, act_of, denial, reaches
from softswitch.call.vocabulary import commands as c

TABLE = Path(__file__).parents[2] / "docs" / "authority.md"
_SCOPES = ("call", "rooms", "supervise", "admin")
SCOPES = [frozenset(some) for n in range(4) for some in itertools.combinations(_SCOPES, n)]
ROOM = "r1"
TARGETS = {
    "own call": Target("shop"),
    "call that waits": Target("", "waiting"),
    "own room": Target("shop", "room", ROOM),
    "foreign call": Target("bank"),
    "foreign room": Target("bank", "room", ROOM),
    "call of the administrator": Target(""),
    "room of the administrator": Target("", "room", ROOM),
}
COLUMN = {"own call": 0, "call that waits": 1, "own room": 2}


def shown() -> dict[str, list[str]]:
    """Return the cells of the table by act."""
    text = TABLE.read_text(encoding="utf-8")
    rows = (
        line.strip("| ").split(" | ") for line in text.partition("## Acts")[2].splitlines() if "|" in line
    )
    return {row[0].strip("`"): row[1:] for row in rows if row[0] != "act" and not row[0].startswith("---")}


def allowed(cell: str, scopes: frozenset[str], grants: frozenset[str]) -> bool:
    """Read a cell of the table."""
    if "admin" in scopes:
        return True
    if cell in ("-", "admin"):
        return False
    wanted, _, granted = cell.partition(":")
    return set(wanted.split(" + ")) <= scopes and {g for g in granted.strip().split(", ") if g} <= grants


def principals() -> Iterator[tuple[Principal, frozenset[str]]]:
    """Yield every principal that may ask, with its grants in the room."""
    for scopes in SCOPES:
        yield Principal("shop", scopes, "shop"), GRANTS
        for size in range(1, len(GRANTS) + 1):
            for some in itertools.combinations(sorted(GRANTS), size):
                yield Principal("shop", scopes, "anna", {ROOM: frozenset(some)}), frozenset(some)
                yield Principal("shop", scopes, "anna", {"*": frozenset(some)}), frozenset(some)


@pytest.mark.parametrize("act", RULES)
def test_table_of_the_documentation_is_what_is_decided(act: str) -> None:
    cells = shown()[act]
    for (name, target), (who, grants) in itertools.product(TARGETS.items(), principals()):
        cell = cells[COLUMN[name]] if name in COLUMN else cells[3]
        decided = denial(who, act, target)
        assert (decided is None) == allowed(cell, who.scopes, grants), (name, who)
        if decided is not None:
            assert decided.hidden == (name not in COLUMN), (name, who)


def test_documentation_and_table_have_the_same_acts() -> None:
    assert set(shown()) == set(RULES)


def leaves(kind: type[c.CommandBase]) -> Iterator[type[c.CommandBase]]:
    """Return the kinds of commands."""
    for each in kind.__subclasses__():
        yield each
        yield from leaves(each)


def test_table_knows_every_command() -> None:
    commands = {kind.__name__ for kind in leaves(c.CommandBase)}
    assert commands <= set(RULES)
    assert len(commands) > 20


def test_stream_that_speaks_is_another_act_than_one_that_listens() -> None:
    for two_way, act in ((True, "StartStream (two-way)"), (False, "StartStream")):
        option = c.StreamOption("wss://bot.example", two_way=two_way)
        assert act_of(c.StartStream(stream="s", option=option)) == act
    assert act_of(c.Say(text="x")) == "Say"


def test_token_for_one_room_does_not_see_the_others_of_its_account() -> None:
    guest = Principal("shop", frozenset({"rooms"}), "anna", {ROOM: frozenset({"join", "hear"})})
    other = denial(guest, "see a room", Target("shop", "room", "r2"))
    assert other is not None
    assert other.hidden
    assert denial(guest, "see a room", Target("shop", "room", ROOM)) is None


def test_room_of_the_token_in_another_account_is_not_there() -> None:
    guest = Principal("shop", frozenset({"rooms"}), "anna", {ROOM: GRANTS})
    assert not reaches(guest, Target("bank", "room", ROOM))


def test_principal_without_an_account_is_not_the_administrator() -> None:
    assert not reaches(Principal("", frozenset({"call", "rooms"})), Target(""))
    assert reaches(OPERATOR, Target(""))


def test_denial_names_what_is_missing() -> None:
    rooms_only = Principal("shop", frozenset({"rooms"}), "shop")
    costs = denial(rooms_only, "Refer", Target("shop", "room", ROOM))
    assert costs is not None
    assert "the scope 'call' is required" in costs.reason
    mute = Principal("shop", frozenset({"rooms"}), "anna", {ROOM: frozenset({"hear"})})
    speaks = denial(mute, "Say", Target("shop", "room", ROOM))
    assert speaks is not None
    assert "the grant 'speak' is required" in speaks.reason


def test_seats_of_one_subject_in_two_accounts_differ() -> None:
    assert Principal("a", name="anna").seat != Principal("b", name="anna").seat
    assert Principal("a", name="anna").seat != Principal("a", name="bert").seat
