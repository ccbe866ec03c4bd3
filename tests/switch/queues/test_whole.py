"""The line of all nodes, and who is rung for which caller."""

from collections.abc import Callable

import msgspec

from softswitch.switch.queues.roster import Roster
from softswitch.switch.queues.whole import NodeLines, Order, Place, Row, orders, rows

USERS = {"sales": ("anna", "bert"), "support": ("bert", "carl")}


def all_free(user: str) -> bool:
    return True


def wanted(
    waiting: list[Row], is_free: Callable[[str], bool] = all_free, now: float = 0.0
) -> list[tuple[str, str]]:
    return [(order.caller, order.user) for _, order in orders(waiting, USERS, Roster(), is_free, now)]


def at(joined_ms: int, name: str, queue: str = "sales", node: str = "n", rung: str = "") -> Row:
    return Row(joined_ms, node, queue, Place(name, joined_ms, rung))


def test_callers_are_served_in_the_order_they_came_on_whatever_node() -> None:
    waiting = [at(3, "c", node="a"), at(1, "a", node="b"), at(2, "b", node="a")]
    assert wanted(waiting) == [("a", "anna"), ("b", "bert")]
    found = orders(waiting, USERS, Roster(), all_free, 0.0)
    assert found[0] == ("b", Order("sales", "a", "anna"))


def test_callers_of_one_instant_have_the_same_order_everywhere() -> None:
    waiting = [at(1, "y", node="b"), at(1, "x", node="b"), at(1, "z", node="a")]
    assert wanted(waiting) == wanted(waiting[::-1]) == [("z", "anna"), ("x", "bert")]


def test_user_of_two_queues_goes_to_the_caller_who_came_first() -> None:
    busy = {"anna", "carl"}
    waiting = [at(2, "late", "sales"), at(1, "early", "support")]
    assert wanted(waiting, lambda user: user not in busy) == [("early", "bert")]


def test_caller_who_is_rung_for_does_not_hold_up_the_next() -> None:
    assert wanted([at(1, "a", rung="anna"), at(2, "b")], lambda user: user != "anna") == [("b", "bert")]
    assert wanted([at(1, "a", "gone"), at(2, "b")]) == [("b", "anna")], "a queue without users"


def test_state_of_a_node_is_as_it_was_after_its_way() -> None:
    state = NodeLines({"sales": [Place("a", 5, "anna")]}, ["bert"], {"anna": (1.0, 2.0)}, 7)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=NodeLines) == state
    assert [row.place.id for row in rows("n", state.callers)] == ["a"]


def test_roster_takes_over_what_is_newer() -> None:
    here, there = Roster(), Roster()
    here.released("anna", 5.0)
    there.missed("anna", 6.0, 10.0)
    there.released("bert", 1.0)
    here.learn(there.known())
    assert here.pick(("anna",), all_free, 15.9) is None
    assert here.pick(("anna", "bert"), all_free, 16.0) == "bert"
    here.released("anna", 7.0)
    here.learn(there.known())
    assert here.pick(("anna",), all_free, 8.0) == "anna"
