"""Connected sockets of steady sources in their tables."""

import contextlib

import numpy as np
import pytest

from softswitch.media.rtp.batch import Rows
from softswitch.media.rtp.sockets import MediaSocket
from softswitch.media.rtp.steady import SteadySockets
from tests.media.rtp.batches import each_batch
from tests.support.icmp import bound


@pytest.fixture(params=each_batch())
def steady(request):
    made = SteadySockets(request.param)
    yield made
    made.close()


@pytest.fixture
def pair():
    with contextlib.ExitStack() as closing:

        def make() -> tuple[MediaSocket, object]:
            far = closing.enter_context(bound())
            near = MediaSocket(bound().detach(), *far.getsockname())
            closing.callback(near.close)
            near.udp.connect(far.getsockname())
            far.connect(near.udp.getsockname())
            near.is_connected = near.is_filtered = True
            return near, far

        yield make


def send(steady, *packets: tuple[int, bytes]) -> tuple[list[int], list[int]]:
    rows = np.zeros((len(packets), 20), np.uint8)
    for row, (_, data) in zip(rows, packets, strict=True):
        row[: len(data)] = np.frombuffer(data, np.uint8)
    lengths = np.array([len(data) for _, data in packets], np.intp)
    others, failed = steady.send(rows, lengths, np.array([slot for slot, _ in packets], np.intp))
    return others.tolist(), failed.tolist()


def test_packets_go_out_by_slot_and_those_of_others_are_named(steady, pair):
    (one, far), (secret, _) = pair(), pair()
    steady.add(one, 500, is_relayed=False, is_plain=True)
    steady.add(secret, 2, is_relayed=False, is_plain=False)
    assert send(steady, (2, b"secret"), (500, b"one"), (9999, b"unknown"), (0, b"none")) == ([0, 2, 3], [])
    assert far.recv(100) == b"one"
    steady.remove(one)
    assert send(steady, (500, b"one")) == ([0], [])
    assert send(steady) == ([], [])


def test_refused_packets_are_named(steady, pair):
    near, _ = pair()
    steady.add(near, 3, is_relayed=False, is_plain=True)
    with bound() as other:
        near.udp.shutdown(1)
        assert send(steady, (3, b"a"), (4, b"b")) == ([1], [0])
        assert other


def test_received_datagrams_have_slots_and_their_time(steady, pair):
    (one, far), (secret, far_secret) = pair(), pair()
    one.source.heard_at = secret.source.heard_at = 5.0
    steady.add(one, 7, is_relayed=True, is_plain=True)
    steady.add(secret, 8, is_relayed=True, is_plain=False)
    assert len(steady) == 2
    rows = Rows(16)
    far.send(b"plain")
    assert steady.count(is_relayed=False) == 0
    assert steady.receive(rows, 3, 16, 6.0, is_relayed=True) == (1, 0, 0)
    assert (rows.lengths[3], rows.slots[3], rows.data[3, :5].tobytes()) == (5, 7, b"plain")
    assert steady.silent(5.5) == [secret]
    far_secret.send(b"secret")
    assert steady.receive(rows, 0, 16, 7.0, is_relayed=True) == (1, 0, 1)
    assert (rows.fds[0], rows.slots[0]) == (secret.udp.fileno(), -1)
    assert steady.member(int(rows.fds[0])) is secret
    steady.remove(one)
    steady.remove(secret)
    assert (one.source.heard_at, secret.source.heard_at) == (6.0, 7.0)
    assert one not in steady
