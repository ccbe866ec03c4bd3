"""The token bucket."""

from softswitch.web.call.rate import Bucket


def test_bucket_gives_its_rate_and_refills() -> None:
    bucket = Bucket(10, now=0.0)
    assert [bucket.take(0.0) for _ in range(11)] == [True] * 10 + [False]
    assert bucket.take(0.1)
    assert not bucket.take(0.1)
    assert all(bucket.take(100.0) for _ in range(10))
    assert not bucket.take(100.0)
