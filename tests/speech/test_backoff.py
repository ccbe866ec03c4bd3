from softswitch.speech.backoff import Backoff


def test_waits_double_up_to_a_bound():
    backoff = Backoff(1.0, 5.0, chance=lambda: 0.0)
    assert [backoff.failed(0.0) for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_wait_runs_down_and_is_forgotten_after_success():
    backoff = Backoff(1.0, 5.0, chance=lambda: 0.0)
    assert backoff.wait_s(0.0) == 0.0
    backoff.failed(10.0)
    assert backoff.wait_s(10.5) == 0.5
    assert backoff.wait_s(12.0) == 0.0
    backoff.succeeded()
    assert backoff.failed(0.0) == 1.0


def test_chance_shortens_a_wait_by_a_quarter_at_most():
    assert Backoff(1.0, chance=lambda: 1.0).failed(0.0) == 0.75


def test_many_failures_do_not_overflow():
    backoff = Backoff(chance=lambda: 0.0)
    assert [backoff.failed(0.0) for _ in range(5000)][-1] == 30.0
