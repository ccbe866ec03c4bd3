import socket
from random import Random

import pytest

from softswitch.errors import NotNowError
from softswitch.legs.sip.media.rtp_sockets import REST_S, RtpSockets
from tests.support.icmp import may_be_split

FIRST = 45100


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def sockets(count: int, *, host: str = "127.0.0.1", first: int = FIRST) -> tuple[RtpSockets, Clock]:
    clock = Clock()
    return RtpSockets(host, first, first + 2 * count - 1, Random(3), clock), clock


def test_pair_is_an_even_port_and_the_next() -> None:
    place, _ = sockets(3, first=FIRST + 1)
    pair = place.open()
    assert pair.port % 2 == 0
    assert pair.rtp.getsockname() == ("127.0.0.1", pair.port)
    assert pair.rtcp.getsockname() == ("127.0.0.1", pair.port + 1)
    assert FIRST + 1 < pair.port < FIRST + 6
    assert (pair.family, pair.rtp.getblocking(), place.in_use) == (4, False, 1)
    assert may_be_split(pair.rtp)
    assert may_be_split(pair.rtcp)
    place.close(pair)
    assert (pair.rtp.fileno(), pair.rtcp.fileno(), place.in_use) == (-1, -1, 0)


def test_range_with_an_odd_end_has_no_pair_beyond_it() -> None:
    place = RtpSockets("127.0.0.1", FIRST, FIRST + 4, Random(3), Clock())
    assert place.available == 2
    assert RtpSockets("127.0.0.1", FIRST, FIRST, Random(3), Clock()).available == 0


def test_first_port_cannot_be_foretold() -> None:
    firsts = {
        next(iter(RtpSockets("127.0.0.1", 1024, 60001, Random(seed), Clock())._free)) for seed in range(9)
    }
    assert len(firsts) == 9


def test_closed_pair_rests() -> None:
    place, clock = sockets(1)
    place.close(place.open())
    with pytest.raises(NotNowError, match="port_min") as told:
        place.open()
    assert (told.value.code, told.value.retry_after_s) == (503, REST_S)
    clock.now += REST_S
    place.close(place.open())
    assert (place.opened, place.refused) == (2, 1)


def test_closing_twice_gives_back_once() -> None:
    place, clock = sockets(2)
    pair = place.open()
    place.close(pair)
    place.close(pair)
    clock.now += REST_S
    assert place.available == 2


def test_pair_of_another_program_is_passed_over() -> None:
    place, _ = sockets(2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", FIRST + 1))
        pair = place.open()
        assert pair.port == FIRST + 2
        with pytest.raises(NotNowError):
            place.open()
        place.close(pair)


def test_address_that_is_not_ours_is_told() -> None:
    place, _ = sockets(2, host="192.0.2.1")
    with pytest.raises(NotNowError, match="no media socket"):
        place.open()
    assert place.refused == 1
