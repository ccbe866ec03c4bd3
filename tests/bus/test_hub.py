"""The hub in the supervisor, with workers that only keep what they are sent."""

import pytest

from softswitch.bus.bus import MOST_BYTES
from softswitch.bus.frames import Frame, pack, unpack
from softswitch.bus.hub import Hub


class Workers:
    """A hub with two workers, and the frames that each was sent."""

    def __init__(self):
        self.hub = Hub(clock=lambda: 0.0)
        self.sent = {}
        for node in ("a.1", "a.2"):
            self.join(node)

    def join(self, node):
        self.sent[node] = []
        self.hub.add(node, lambda data: self.sent[node].append(unpack(data)) or True)

    def says(self, by, /, *frame, **fields):
        return self.hub.receive(by, pack(Frame(*frame, **fields)))

    def kinds(self, node):
        return [frame.kind for frame in self.sent[node]]


@pytest.fixture
def workers():
    return Workers()


def test_all_learn_who_is_there(workers):
    assert workers.sent["a.1"][-1].names == ["a.1", "a.2"]
    workers.hub.remove("a.2")
    assert [frame.names or frame.node for frame in workers.sent["a.1"][-2:]] == [["a.1"], "a.2"]


def test_a_question_to_a_worker_that_is_gone_is_answered_at_once(workers):
    workers.says("a.1", "ask", 5, node="a.9", value=b"?")
    answer = workers.sent["a.1"][-1]
    assert (answer.kind, answer.id, answer.number) == ("reply", 5, 0)


def test_many_entries_come_in_pieces_the_last_one_marked(workers):
    for number in range(5):
        workers.says("a.1", "put", 1, key=f"call:{number}", value=bytes(MOST_BYTES))
    workers.sent["a.2"].clear()
    workers.says("a.2", "scan", 9, key="call:")
    pieces = workers.sent["a.2"]
    assert len(pieces) == 5
    assert [piece.number for piece in pieces] == [0, 0, 0, 0, 1]
    assert sorted(entry.key for piece in pieces for entry in piece.entries) == [f"call:{n}" for n in range(5)]


def test_a_new_worker_learns_of_nodes_that_are_not_cleared(workers):
    workers.says("a.1", "put", 1, key="call:x", value=b"")
    workers.hub.remove("a.1")
    workers.join("a.3")
    assert ("lost", "a.1") in [(frame.kind, frame.node) for frame in workers.sent["a.3"]]
    workers.says("a.3", "clear", 2, node="a.1")
    workers.join("a.4")
    assert "lost" not in workers.kinds("a.4")


def test_a_lease_of_a_lost_worker_is_free_with_a_higher_fence(workers):
    workers.says("a.1", "lease", 1, key="trunk", number=60.0)
    first = workers.sent["a.1"][-1].number
    workers.says("a.2", "lease", 2, key="trunk", number=60.0)
    assert workers.sent["a.2"][-1].number == 0
    workers.hub.remove("a.1")
    workers.says("a.2", "lease", 3, key="trunk", number=60.0)
    assert workers.sent["a.2"][-1].number > first


def test_other_frames_are_for_the_supervisor_and_nonsense_is_counted(workers):
    assert workers.says("a.1", "ready").kind == "ready"
    assert workers.hub.receive("a.1", b"nonsense") is None
    assert (workers.hub.malformed, workers.hub.messages) == (1, 2)
