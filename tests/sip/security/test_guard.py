import pytest

from softswitch.sip.security.guard import Guard, Rate, is_within, source_of


def test_a_rate_lets_a_second_of_it_through_at_once_and_fills_again():
    rate = Rate(20)
    assert [rate.take(5.0) for _ in range(21)] == [True] * 20 + [False]
    assert [rate.take(5.25) for _ in range(6)] == [True] * 5 + [False]
    assert [rate.take(100.0) for _ in range(21)] == [True] * 20 + [False]


def test_a_rate_below_one_a_second_lets_one_through():
    rate = Rate(0.5)
    assert [rate.take(now) for now in (0.0, 1.0, 2.0, 3.0)] == [True, False, True, False]


def test_a_rate_of_none_lets_all_through_and_a_clock_that_jumps_back_harms_nobody():
    assert all(Rate(0).take(0.0) for _ in range(1000))
    rate = Rate(1)
    assert [rate.take(now) for now in (10.0, 5.0, 6.0)] == [True, False, True]


def test_a_stranger_is_heard_twenty_times_a_second():
    guard = Guard()
    assert sum(guard.admits("192.0.2.1", 1.0) for _ in range(1000)) == 20
    assert guard.admits("192.0.2.2", 1.0)
    assert guard.counters.limited == 980


def test_ten_thousand_guesses_are_five_and_a_ban():
    guard = Guard()
    tried = 0
    for guess in range(10_000):
        now = guess / 100
        if guard.admits("192.0.2.1", now):
            tried += 1
            guard.failed("192.0.2.1", now)
    assert tried == 5
    assert guard.counters.bans == 1
    assert guard.counters.failures == 5
    assert guard.counters.banned == 10_000 - 5
    assert guard.bans(100.0) == {"192.0.2.1": pytest.approx(200.0, abs=0.1)}


def test_a_ban_ends():
    guard = Guard()
    assert [guard.failed("192.0.2.1", 0.0) for _ in range(5)] == [False] * 4 + [True]
    assert guard.is_banned("192.0.2.1", 299.0)
    assert not guard.is_banned("192.0.2.1", 300.0)
    assert guard.admits("192.0.2.1", 300.0)
    assert guard.bans(300.0) == {}


def test_failures_long_ago_do_not_count():
    guard = Guard()
    assert not any(guard.failed("192.0.2.1", n * 100.0) for n in range(50))


def test_networks_that_are_allowed_skip_every_limit():
    guard = Guard(allow=["127.0.0.0/8", "::1/128", "10.1.2.3/8"])
    for host in ("127.0.0.9", "::1", "10.200.0.1", "::ffff:127.0.0.1"):
        assert all(guard.admits(host, 0.0) for _ in range(100))
        assert not any(guard.failed(host, 0.0) for _ in range(10))
    assert not guard.trusts("192.0.2.1")
    assert not guard.trusts("localhost")


def test_a_limit_of_zero_is_none():
    guard = Guard(requests_per_second=0, login_failures=0)
    assert all(guard.admits("192.0.2.1", 0.0) for _ in range(100))
    assert not any(guard.failed("192.0.2.1", 0.0) for _ in range(100))


def test_a_prefix_of_ipv6_is_one_source():
    assert source_of("2001:db8:1:2:3::4") == source_of("[2001:db8:1:2::9]") != source_of("2001:db8:1:3::4")
    assert source_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert source_of("name") == "name"
    guard = Guard()
    assert sum(guard.admits(f"2001:db8::{n:x}", 0.0) for n in range(100)) == 20


def test_tables_are_bounded_and_forget_who_was_silent_longest():
    guard = Guard(requests_per_second=1, login_failures=2, most_sources=10)
    for n in range(100):
        host = f"192.0.2.{n}"
        assert guard.admits(host, 0.0)
        guard.failed(host, 0.0)
    assert len(guard._rates) == len(guard._failures) == 10
    assert not guard.admits("192.0.2.99", 0.0)
    for n in range(100):
        guard.failed(f"198.51.100.{n}", 0.0)
        guard.failed(f"198.51.100.{n}", 0.0)
    assert len(guard.bans(1.0)) == 10


def test_silence_is_counted():
    guard = Guard()
    guard.silence()
    assert guard.counters.silenced == 1


def test_an_address_within_networks_is_told():
    networks = Guard(allow=["192.0.2.0/24"])._allow
    assert is_within("192.0.2.77", networks)
    assert not is_within("192.0.3.77", networks)
    assert not is_within("2001:db8::1", networks)
    assert not is_within("", networks)
