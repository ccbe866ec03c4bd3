"""Signatures of requests between nodes."""

import itertools

import pytest

from softswitch.cluster import signing
from softswitch.cluster.signing import WINDOW_S, Signer


class Clock:
    now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def signer(clock, node="a.1", secret="secret"):
    numbers = itertools.count()
    return Signer(
        secret, node, clock, lambda size: (node.encode() + bytes([next(numbers) % 256])).ljust(size)[:size]
    )


def test_a_signature_tells_node_and_words_once(clock):
    one, two = signer(clock), signer(clock, "b.1")
    value = one.sign("POST /command/x", "192.0.2.1")
    assert two.check("POST /command/x", value) == ("a.1", "192.0.2.1")
    assert two.check("POST /command/x", value) is None, "a replay"
    assert two.refused == 1


@pytest.mark.parametrize("change", ["subject", "secret", "late", "early", "cut", "words"])
def test_other_signatures_are_refused(clock, change):
    one, two = signer(clock), signer(clock, "b.1", "other" if change == "secret" else "secret")
    value = one.sign("GET /x", "192.0.2.1")
    subject = "GET /y" if change == "subject" else "GET /x"
    clock.now += {"late": WINDOW_S + 1, "early": -WINDOW_S - 1}.get(change, 0)
    if change == "cut":
        value = value[:-1]
    if change == "words":
        value = value.replace("192.0.2.1", "192.0.2.2")
    assert two.check(subject, value) is None


@pytest.mark.parametrize(
    "value", ["", ";", ";;;;", "a;b;c;d;e", "a.1;١٢٣;n;s;m", "a.1;1;n;s;é", "x" * 10_000]
)
def test_nonsense_is_refused(clock, value):
    assert signer(clock).check("GET /", value) is None


def test_the_memory_of_nonces_is_bounded_and_old_ones_go(clock, monkeypatch):
    monkeypatch.setattr(signing, "MOST_NONCES", 3)
    one, two = signer(clock), signer(clock, "b.1")
    for _ in range(3):
        assert two.check("GET /", one.sign("GET /"))
    assert two.check("GET /", one.sign("GET /")) is None
    clock.now += 2 * WINDOW_S + 1
    assert two.check("GET /", one.sign("GET /"))
