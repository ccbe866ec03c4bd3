import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.legs.webrtc.source_filter import STUN_BURST, Drops, StunFilter, kind_of


def stun(kind: int, identity: bytes = bytes(12), body: bytes = b"") -> bytes:
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + identity + body


NAMED = b"\x00\x06\x00\x09here:them\x00\x00\x00"


BOUNDS = {0: "stun", 3: "stun", 4: "other", 19: "other", 20: "dtls", 63: "dtls"}
BOUNDS |= {64: "other", 127: "other", 128: "media", 191: "media", 192: "other", 255: "other"}


@pytest.mark.parametrize(("first", "kind"), BOUNDS.items())
def test_kind_of_follows_the_first_octet(first: int, kind: str) -> None:
    assert kind_of(bytes([first])) == kind


def test_gate_admits_requests_that_name_us() -> None:
    drops = Drops()
    gate = StunFilter("here", drops)
    assert gate.admits(stun(1, body=NAMED), {}, 0.0)
    assert not gate.admits(stun(1, body=NAMED.replace(b"here", b"else")), {}, 0.0)
    assert not gate.admits(stun(1), {}, 0.0)
    assert not gate.admits(stun(0x11, body=NAMED), {}, 0.0)
    assert not gate.admits(b"\x00\x01", {}, 0.0)
    assert (drops.stun_stranger, drops.stun_malformed) == (3, 1)


def test_gate_admits_responses_to_our_own_questions_alone() -> None:
    gate = StunFilter("here", Drops())
    assert gate.admits(stun(0x101, b"123456789012"), {b"123456789012"}, 0.0)
    assert gate.admits(stun(0x111, b"123456789012"), {b"123456789012"}, 0.0)
    assert not gate.admits(stun(0x101, b"123456789012"), {b"another one."}, 0.0)


def test_gate_bounds_the_rate_of_requests() -> None:
    drops = Drops()
    gate = StunFilter("here", drops)
    admitted = sum(gate.admits(stun(1, body=NAMED), {}, 100.0) for _ in range(1000))
    assert admitted == STUN_BURST
    assert drops.stun_flood == 1000 - STUN_BURST
    assert sum(gate.admits(stun(1, body=NAMED), {}, 100.5) for _ in range(1000)) == 50


@given(st.binary(min_size=1, max_size=80), st.floats(0, 1e6))
@settings(deadline=None, max_examples=200)
def test_gate_reads_anything(datagram: bytes, now: float) -> None:
    StunFilter("here", Drops()).admits(datagram, {}, now)
    assert kind_of(datagram) in {"stun", "dtls", "media", "other"}


def test_drops_are_numbers_by_name() -> None:
    assert Drops(empty=2).numbers()["empty"] == 2
