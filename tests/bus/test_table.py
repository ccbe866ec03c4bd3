"""The table against a model: whatever the order of events, an entry has one owner and a lease one holder."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from softswitch.bus import table as tables
from softswitch.bus.bus import Entry, Fenced
from softswitch.bus.table import Table

NODES = ("a.1", "a.2", "b.1")
KEYS = ("call:x", "call:y", "room:x")


class TableMachine(RuleBasedStateMachine):
    """Nodes put, lose and lease at random; a model says what must be there."""

    def __init__(self):
        super().__init__()
        self.table = Table()
        self.now = 0.0
        self.entries = {}
        self.leases = {}
        self.fences = []

    @rule(
        node=st.sampled_from(NODES),
        key=st.sampled_from(KEYS),
        value=st.binary(max_size=3),
        only_new=st.booleans(),
    )
    def put(self, node, key, value, only_new):
        held = self.entries.get(key)
        allowed = not (only_new and held is not None and held.node != node)
        assert self.table.put(Entry(key, value, node), only_new=only_new) is allowed
        if allowed:
            self.entries[key] = Entry(key, value, node)

    @rule(node=st.sampled_from(NODES), key=st.sampled_from(KEYS))
    def delete(self, node, key):
        self.table.delete(key, node)
        if key in self.entries and self.entries[key].node == node:
            del self.entries[key]

    @rule(node=st.sampled_from(NODES))
    def lose(self, node):
        gone = {key: entry for key, entry in self.entries.items() if entry.node == node}
        before = len(self.table.tombstones(node))
        self.table.lose(node)
        for key in gone:
            del self.entries[key]
        self.leases = {key: held for key, held in self.leases.items() if held[0] != node}
        assert len(self.table.tombstones(node)) == before + len(gone)

    @rule(node=st.sampled_from(NODES))
    def clear(self, node):
        self.table.clear(node)
        assert self.table.tombstones(node) == []

    @rule(node=st.sampled_from(NODES), key=st.sampled_from(KEYS))
    def lease(self, node, key):
        holder, _, until = self.leases.get(key, ("", 0, 0.0))
        got = self.table.lease(key, node, 5.0, self.now)
        if holder not in ("", node) and until > self.now:
            assert got is None
            return
        assert got is not None
        if not (holder == node and until > self.now):
            assert all(got.fence > fence for fence in self.fences), "fences grow"
            self.fences.append(got.fence)
        self.leases[key] = node, got.fence, self.now + 5.0

    @rule(seconds=st.floats(0.1, 6.0))
    def wait(self, seconds):
        self.now += seconds

    @invariant()
    def entries_are_those_of_the_model(self):
        assert {entry.key: entry for entry in self.table.scan("")} == self.entries

    @invariant()
    def leases_are_held_by_one(self):
        for key, (_, fence, until) in self.leases.items():
            assert self.table.holds(Fenced(key, fence), self.now) == (until > self.now)


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_full_table_refuses_new_keys(monkeypatch):
    monkeypatch.setattr(tables, "MOST_ENTRIES", 2)
    table = Table()
    assert table.put(Entry("a", b"", "n"))
    assert table.put(Entry("b", b"", "n"))
    assert not table.put(Entry("c", b"", "n"))
    assert table.put(Entry("a", b"new", "n"))
    assert table.refused == 1


def test_tombstones_of_too_many_nodes_are_dropped(monkeypatch):
    monkeypatch.setattr(tables, "MOST_TOMBSTONES", 2)
    table = Table()
    for number in range(3):
        table.put(Entry(f"k{number}", b"", f"n{number}"))
        table.lose(f"n{number}")
    assert list(table.uncleared()) == ["n1", "n2"]


def test_a_released_lease_is_free():
    table = Table()
    lease = table.lease("k", "a", 5, 0)
    assert table.lease("k", "b", 5, 1) is None
    assert lease is not None
    table.release(lease)
    other = table.lease("k", "b", 5, 1)
    assert other is not None
    assert other.fence == pytest.approx(lease.fence + 1)
