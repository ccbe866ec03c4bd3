"""The compiled code, for tests that compare it with what Python does."""

import ctypes
import os

import pytest

from softswitch.compiled import library


def compiled_code() -> ctypes.CDLL:
    """Return the library; without it the test is skipped, and fails in CI."""
    code = library()
    if code is None:
        assert not os.environ.get("CI"), "no compiled code: python scripts/build_batch.py"
        pytest.skip("no compiled code: python scripts/build_batch.py")
    return code
