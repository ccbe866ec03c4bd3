"""Compiled SRTP against that of Python, packet by packet."""

import os
import random
import socket

import numpy as np
import pytest

from softswitch.media.rtp.secure import REPLAYED, SrtpPair
from softswitch.media.rtp.secure_batch import SecureBatch
from softswitch.media.rtp.sockets import MediaSocket
from tests.rtp.wire import packet, rows
from tests.support.compiled import compiled_code

PROFILES = {"AES128_CM_SHA1_80": 30, "AES128_CM_SHA1_32": 30, "AEAD_AES_128_GCM": 28, "AEAD_AES_256_GCM": 44}
RTCP = b"\x80\xc9\x00\x01" + bytes(4)


@pytest.fixture
def batch():
    return SecureBatch(compiled_code())


def pairs(profile="AES128_CM_SHA1_80", count=1) -> list[SrtpPair]:
    """Return sessions that encrypt and decrypt with one key."""
    key = bytes(range(PROFILES[profile]))
    return [SrtpPair(key, key, profile) for _ in range(count)]


def linked(family=socket.AF_INET, host="127.0.0.1") -> tuple[MediaSocket, socket.socket]:
    """Return a socket that sends to the other one."""
    far = socket.socket(family, socket.SOCK_DGRAM)
    far.bind((host, 0))
    far.settimeout(5)
    near = socket.socket(family, socket.SOCK_DGRAM)
    near.bind((host, 0))
    return MediaSocket(near.detach(), host, far.getsockname()[1]), far


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_sent_packets_are_those_of_python(batch, profile, family, host):
    keys, python = pairs(profile, 2)
    media_socket, far = linked(family, host)
    batch.add(100, keys, media_socket)
    assert len(batch) == 1
    for number in range(20):
        one = packet(number, number * 160, random.Random(number).randbytes(20 * number + 1))
        data, lengths = rows([one])
        nothing = batch.send(data, lengths, np.array([100]))
        assert [len(part) for part in nothing] == [0, 0, 0]
        assert far.recv(2000) == python.protect(one)
    batch.remove(100)
    batch.remove(100)
    assert len(batch) == 0
    media_socket.close()
    far.close()


def test_packets_that_are_not_sent_are_named(batch):
    keys = pairs()[0]
    media_socket, far = linked()
    batch.add(1, keys, media_socket)
    data, lengths = rows([packet(1), packet(1), RTCP + bytes(20), packet(2)])
    others, failed, refused = batch.send(data, lengths, np.array([0, 1, 1, 5000]))
    assert (others.tolist(), failed.tolist(), refused.tolist()) == ([0, 2, 3], [], [])
    far.close()
    media_socket.udp.close()
    _, failed, _ = batch.send(*rows([packet(3)]), np.array([1]))
    assert failed.tolist() == [0]


def test_address_of_another_family_is_left_to_python(batch):
    media_socket, far = linked()
    far.close()
    wrong = MediaSocket(os.dup(media_socket.udp.fileno()), "::1", 9)
    batch.add(1, pairs()[0], wrong)
    assert len(batch) == 0
    media_socket.close()
    wrong.close()


@pytest.mark.parametrize("profile", PROFILES)
def test_received_packets_are_those_of_python(batch, profile):
    sender, compiled, python = pairs(profile, 3)
    rng = random.Random(7)
    whole = [
        sender.protect(packet(number, payload=rng.randbytes(rng.randrange(1200)))) for number in range(90)
    ]
    whole += [sender.protect(RTCP + bytes(20)), b"", b"\x80", bytes(11)]
    damaged = [data[:-1] + bytes([data[-1] ^ 1]) for data in whole[:20]]
    arriving = [*whole, *damaged, *whole[40:60]]
    rng.shuffle(arriving)
    for begin in range(0, len(arriving), 10):
        some = arriving[begin : begin + 10]
        data, lengths = rows(some)
        sessions = np.full(len(some), compiled.inbound_at)
        expected = [python.unprotect(one) for one in some]
        assert batch.open(data, lengths, sessions) == any(isinstance(one, str) for one in expected)
        for row, length, plain in zip(data, lengths.tolist(), expected, strict=True):
            if isinstance(plain, str):
                assert plain == ("srtp_replays" if -length in REPLAYED else "srtp_errors")
            else:
                assert row[:length].tobytes() == plain


def test_packets_without_a_session_stay_as_they_are(batch):
    data, lengths = rows([packet(1)])
    before = data.copy()
    assert not batch.open(data, lengths, np.zeros(1, np.int64))
    np.testing.assert_array_equal(data, before)
