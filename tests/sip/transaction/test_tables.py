"""The tables of the four transaction machines hang together."""

import pytest

from softswitch.sip.transaction.tables import FIRST_STATE, RUNNING, TABLES, Act, Kind, State
from softswitch.sip.transaction.timers import Timers


@pytest.mark.parametrize("kind", Kind)
def test_every_state_is_reached_and_left(kind):
    table = TABLES[kind]
    reached = {FIRST_STATE[kind]} | {after for after, _ in table.values()}
    assert {before for before, _ in table} == reached - {State.TERMINATED}
    assert State.TERMINATED in reached


@pytest.mark.parametrize("kind", Kind)
def test_every_timer_that_runs_has_a_move_and_no_other_has(kind):
    moves = {(state, event) for state, event in TABLES[kind] if len(event) == 1}
    runs = {(state, letter) for (of, state), letters in RUNNING.items() if of is kind for letter in letters}
    assert moves == runs


@pytest.mark.parametrize("kind", Kind)
def test_final_responses_are_never_taken_back(kind):
    final = {State.COMPLETED, State.ACCEPTED, State.CONFIRMED, State.TERMINATED}
    for (before, _), (after, _acts) in TABLES[kind].items():
        assert before not in final or after in final


def test_only_the_invite_client_acknowledges():
    for kind, table in TABLES.items():
        acknowledges = any(Act.ACK in acts for _, acts in table.values())
        assert acknowledges == (kind is Kind.INVITE_CLIENT)


@pytest.mark.parametrize(
    ("letter", "unreliable", "reliable"),
    [
        ("A", 0.5, 0.5),
        ("B", 32, 32),
        ("D", 32, 0),
        ("E", 0.5, 0.5),
        ("F", 32, 32),
        ("G", 0.5, 0.5),
        ("H", 32, 32),
        ("I", 5, 0),
        ("J", 32, 0),
        ("K", 5, 0),
        ("L", 32, 32),
        ("M", 32, 32),
    ],
)
def test_timers_are_those_of_table_4(letter, unreliable, reliable):
    assert Timers().first(letter, reliable=False) == unreliable
    assert Timers().first(letter, reliable=True) == reliable


def test_timer_a_doubles_and_others_stop_at_t2():
    assert [Timers().next("A", pause) for pause in (0.5, 8.0)] == [1.0, 16.0]
    assert [Timers().next("E", pause) for pause in (0.5, 2.0, 4.0)] == [1.0, 4.0, 4.0]
    assert Timers().next("G", 4.0) == 4.0
