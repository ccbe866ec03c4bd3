"""The calls for many sockets: compiled and in Python, with the same tests."""

import errno
import random
import select
import socket
from collections.abc import Iterator

import numpy as np
import pytest

from softswitch.compiled import LIBRARY, SWITCH
from softswitch.media.rtp.batch import (
    LONGEST,
    NO_SOCKET,
    Batch,
    CompiledBatch,
    PythonBatch,
    Rows,
    Sockets,
    load,
)
from tests.media.rtp.batches import each_batch
from tests.support.icmp import bound

FAMILIES = (socket.AF_INET, socket.AF_INET6)


class Pairs:
    """Connected sockets, their remote parties, and rows to read into."""

    def __init__(self, batch: Batch, family: socket.AddressFamily, count: int, capacity: int = 64) -> None:
        self.batch, self.epoll, self.sockets = batch, select.epoll(), Sockets()
        self.near = [bound(family) for _ in range(count)]
        self.far = [bound(family) for _ in range(count)]
        for near, far in zip(self.near, self.far, strict=True):
            near.connect(far.getsockname()[:2])
            far.connect(near.getsockname()[:2])
            self.epoll.register(near.fileno(), select.EPOLLIN)
            self.sockets.grow(near.fileno(), 100 + count)
            slot = 100 + self.near.index(near)
            self.sockets.slot_of[near.fileno()], self.sockets.fd_of[slot] = slot, near.fileno()
        self.rows = Rows(capacity)
        self.errors = np.zeros(64, np.int32)
        self.odd = 0

    def receive(self, rounds: int = 16, first: int = 0) -> tuple[list[tuple[int, bytes | int]], int]:
        """Return (index of the socket, datagram or negative errno) of each row, and the rounds left."""
        rows = self.rows
        taken, left, self.odd = self.batch.receive(
            self.epoll, len(self.near), rounds, self.sockets, rows, first=first, now=5.0
        )
        got: list[tuple[int, bytes | int]] = []
        for row in range(first, first + taken):
            fd, length = int(rows.fds[row]), int(rows.lengths[row])
            assert rows.slots[row] == self.sockets.slot_of[fd]
            assert self.sockets.heard_at[fd] == (5.0 if length >= 0 else self.sockets.heard_at[fd])
            index = [near.fileno() for near in self.near].index(fd)
            got.append((index, rows.data[row, :length].tobytes() if length >= 0 else length))
        return got, left

    def send(self, datagrams: list[tuple[int, bytes]]) -> list[int]:
        """Send (index of the socket, -1 for none; datagram); return the errors."""
        rows = np.zeros((len(datagrams), 100), np.uint8)
        for row, (_, data) in zip(rows, datagrams, strict=True):
            row[: len(data)] = np.frombuffer(data, np.uint8)
        lengths = np.array([len(data) for _, data in datagrams], np.intp)
        slots = np.array([100 + index if index >= 0 else 99999 for index, _ in datagrams], np.intp)
        self.errors[:] = 99
        unsent = self.batch.send(rows, lengths, slots, self.sockets, self.errors)
        errors: list[int] = self.errors[: len(datagrams)].tolist()
        assert unsent == sum(error != 0 for error in errors)
        assert (self.errors[len(datagrams) :] == 99).all()
        return errors

    def close(self) -> None:
        for member in (*self.near, *self.far):
            member.close()
        self.epoll.close()


@pytest.fixture(params=FAMILIES, ids=["IPv4", "IPv6"])
def family(request):
    return request.param


@pytest.fixture(params=each_batch())
def pairs(request: pytest.FixtureRequest, family: socket.AddressFamily) -> Iterator[Pairs]:
    made = Pairs(request.param, family, 3)
    yield made
    made.close()


def test_all_that_waits_is_read_in_the_order_of_each_socket(pairs):
    for number in range(4):
        for far in pairs.far[: number + 1]:
            far.send(bytes((number,)) * (10 + number))
    got, left = pairs.receive()
    assert left == 0
    for index, count in ((0, 4), (1, 3), (2, 2)):
        mine = [data for number, data in got if number == index]
        assert mine == [bytes((number,)) * (10 + number) for number in range(4 - count, 4)]
    assert pairs.receive() == ([], 0)


def test_datagrams_of_one_socket_are_bounded_by_the_rounds(pairs):
    for number in range(20):
        pairs.far[0].send(bytes((number,)))
    assert pairs.receive() == ([(0, bytes((number,))) for number in range(16)], 0)
    assert pairs.receive() == ([(0, bytes((number,))) for number in range(16, 20)], 0)


def test_reading_stops_before_a_round_that_the_rows_cannot_hold(pairs):
    pairs.rows = Rows(5)
    for _ in range(3):
        for far in pairs.far:
            far.send(b"x")
    got, left = pairs.receive(7)
    assert (sorted(index for index, _ in got), left) == ([0, 1, 2], 6)
    got, left = pairs.receive(left)
    assert (len(got), left) == (3, 5)
    assert len(pairs.receive(left)[0]) == 3


def test_odd_datagrams_are_counted_among_the_rows(pairs):
    pairs.far[0].send(bytes(LONGEST))
    pairs.far[1].send(b"")
    pairs.far[2].send(bytes(LONGEST + 1))
    got, _ = pairs.receive(first=4)
    assert sorted((index, len(data)) for index, data in got) == [(0, LONGEST), (1, 0), (2, LONGEST + 1)]
    assert pairs.odd == 2
    pairs.sockets.slot_of[pairs.near[0].fileno()] = -1
    pairs.far[0].send(b"encrypted")
    assert pairs.receive() == ([(0, b"encrypted")], 0)
    assert pairs.odd == 1


def test_rows_are_sent_on_their_sockets_and_others_left_out(pairs):
    assert pairs.send([(2, b"two"), (-1, b"no socket"), (0, b"zero"), (2, b"again")]) == [0, NO_SOCKET, 0, 0]
    assert pairs.far[2].recv(100) == b"two"
    assert pairs.far[2].recv(100) == b"again"
    assert pairs.far[0].recv(100) == b"zero"
    with pytest.raises(BlockingIOError):
        pairs.far[1].recv(100)


def test_icmp_error_costs_no_other_datagram(pairs):
    address = pairs.far[1].getsockname()
    pairs.far[1].close()
    assert pairs.send([(0, b"a"), (1, b"lost"), (2, b"c")]) == [0, 0, 0]
    # The error of the first is reported by the next call, which tries again.
    pairs.far[1] = bound(pairs.near[1].family, address[1])
    assert pairs.send([(1, b"kept"), (0, b"d")]) == [0, 0]
    assert pairs.far[1].recv(100) == b"kept"
    assert [pairs.far[0].recv(100) for _ in range(2)] == [b"a", b"d"]


def test_icmp_error_is_read_as_its_errno_and_is_over(pairs):
    address = pairs.far[1].getsockname()
    pairs.far[1].close()
    pairs.send([(1, b"lost")])
    pairs.far[0].send(b"heard")
    got, _ = pairs.receive()
    assert sorted(got) == [(0, b"heard"), (1, -errno.ECONNREFUSED)]
    pairs.far[1] = bound(pairs.near[1].family, address[1])
    pairs.far[1].connect(pairs.near[1].getsockname()[:2])
    pairs.far[1].send(b"back")
    assert pairs.receive() == ([(1, b"back")], 0)


def test_errors_that_last_are_reported_for_their_rows(pairs):
    pairs.near[1].close()
    stale = pairs.near[1] = socket.socket(pairs.near[0].family, socket.SOCK_DGRAM)
    stale.setblocking(False)
    pairs.sockets.fd_of[101] = stale.fileno()
    assert pairs.send([(0, b"a"), (1, b"b"), (2, b"c")]) == [0, errno.EDESTADDRREQ, 0]


def test_each_kind_takes_the_same_traffic_alike(family):
    """Random traffic, ICMP errors among it, leaves the same in both."""
    outcomes = []
    for parameter in each_batch():
        if parameter.values[0] is None:
            pytest.skip("no compiled code")
        pairs = Pairs(parameter.values[0], family, 8, capacity=40)
        chance = random.Random(31)
        story: list[object] = []
        for _ in range(60):
            for _ in range(chance.randrange(20)):
                data = bytes(chance.randrange(256) for _ in range(chance.randrange(0, 100)))
                pairs.far[chance.randrange(6)].send(data)
            story.append(pairs.send([(chance.randrange(-1, 6), b"out") for _ in range(chance.randrange(9))]))
            got, left = pairs.receive(chance.randrange(1, 4))
            story.append((sorted(got, key=lambda one: one[0]), left))
        for far in pairs.far[:6]:
            count = 0
            while select.select([far], [], [], 0)[0] and far.recv(100):
                count += 1
            story.append(count)
        pairs.close()
        outcomes.append(story)
    assert all(story == outcomes[0] for story in outcomes)


def test_compiled_code_is_used_where_it_is(monkeypatch, tmp_path):
    monkeypatch.delenv(SWITCH, raising=False)
    if LIBRARY.exists():
        assert isinstance(load(), CompiledBatch)
        monkeypatch.setenv(SWITCH, "0")
        assert isinstance(load(), PythonBatch)
        monkeypatch.setenv(SWITCH, "1")
    assert load(tmp_path / "none.so").name == "python"
