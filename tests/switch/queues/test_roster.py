"""Who of a queue is rung next."""

from collections.abc import Callable

from softswitch.switch.queues.roster import Roster

USERS = ("anna", "bert", "carl")


def free(*them: str) -> Callable[[str], bool]:
    return lambda user: user in them


def test_longest_idle_user_is_first() -> None:
    roster = Roster()
    assert roster.pick(USERS, free(*USERS), 10.0) == "anna"
    roster.released("anna", 10.0)
    assert roster.pick(USERS, free(*USERS), 11.0) == "bert"
    roster.released("bert", 11.0)
    roster.released("carl", 12.0)
    assert roster.pick(USERS, free(*USERS), 13.0) == "anna"
    assert roster.pick(USERS, free("carl"), 13.0) == "carl"
    assert roster.pick(USERS, free(), 13.0) is None


def test_user_who_did_not_answer_rests() -> None:
    roster = Roster()
    roster.missed("anna", 10.0, 5.0)
    assert roster.pick(USERS, free("anna"), 14.9) is None
    assert roster.pick(USERS, free("anna"), 15.0) == "anna"
    assert roster.pick(USERS, free("anna", "bert"), 15.0) == "bert"
    roster.missed("bert", 20.0, 60.0)
    roster.released("bert", 21.0)
    assert roster.pick(USERS, free("bert"), 21.0) == "bert"
