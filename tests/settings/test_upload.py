"""Settings of the upload of recordings."""

import pytest

from softswitch.settings import Upload

GOOD = {"endpoint": "https://s3.example.org", "bucket": "calls", "key": "k", "secret": "s"}


def test_settings_that_belong_together_are_taken() -> None:
    assert Upload(**GOOD, prefix="{account}/{date}/x-").bucket == "calls"  # type: ignore[arg-type]
    assert "'***'" in repr(Upload(**GOOD))  # type: ignore[arg-type]
    assert Upload().endpoint == ""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"endpoint": "s3.example.org"}, "endpoint"),
        ({"endpoint": "https://s3.example.org/path"}, "endpoint"),
        ({"bucket": ""}, "bucket"),
        ({"bucket": "a/b"}, "bucket"),
        ({"prefix": "/x"}, "prefix"),
        ({"prefix": "a/../b"}, "prefix"),
        ({"prefix": "ä"}, "prefix"),
        ({"key": ""}, "key"),
        ({"secret": ""}, "secret"),
    ],
)
def test_wrong_settings_are_told(wrong: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Upload(**(GOOD | wrong))  # type: ignore[arg-type]
