import socket

import pytest

from softswitch.speech.builtin import worker
from softswitch.speech.builtin import worker_wire as wire
from tests.speech.builtin.fake_engine import Fake


def messages(data):
    while data:
        kind, size = wire.unpack_header(data[: wire.HEADER.size])
        yield kind, data[wire.HEADER.size : wire.HEADER.size + size]
        data = data[wire.HEADER.size + size :]


def test_a_worker_answers_until_the_line_is_closed():
    local, remote = socket.socketpair()
    with local, remote:
        local.sendall(
            wire.pack_json(wire.JOB, {"do": "echo"})
            + wire.pack(wire.BODY, b"a,b")
            + wire.pack_json(wire.JOB, {"do": "fail"})
            + wire.pack(wire.BODY)
        )
        local.shutdown(socket.SHUT_WR)
        worker.serve(remote, Fake())
        told = list(messages(local.recv(65536)))
    assert [kind for kind, _ in told] == [wire.READY, wire.PIECE, wire.PIECE, wire.DONE, wire.FAILED]
    assert b"cannot do that" in told[-1][1]


def test_a_model_that_cannot_be_loaded_is_told():
    def load():
        raise ValueError("no weights")

    local, remote = socket.socketpair()
    with local, remote:
        worker.fork_workers(remote, load, worker.serve)
        ((kind, body),) = messages(local.recv(65536))
    assert kind == wire.FAILED
    assert b"no weights" in body


@pytest.mark.parametrize("event", ["socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind"])
def test_the_network_is_refused(event):
    with pytest.raises(PermissionError, match="may not use the network"):
        worker.forbid_network(event, ())
    worker.forbid_network("open", ())
