"""The work of a process that it remembers as its own."""

from softswitch.switch.own_work import OwnWork


def test_work_is_remembered_until_it_is_done() -> None:
    own = OwnWork()
    own.add("a")
    own.add("a")
    assert "a" in own
    assert "b" not in own
    own.remove("a")
    own.remove("b")
    assert "a" not in own


def test_oldest_work_is_forgotten_beyond_the_bound() -> None:
    own = OwnWork(most=2)
    for name in ("a", "b", "a", "c"):
        own.add(name)
    assert [name in own for name in "abc"] == [False, True, True]
