"""Both kinds of calls for many sockets, for tests that run with each."""

import ctypes
import os

import pytest

from softswitch.compiled import LIBRARY
from softswitch.media.rtp.batch import CompiledBatch, PythonBatch


def each_batch() -> list:
    """Return a parameter for each kind; without compiled code its tests are skipped, and fail in CI."""
    if LIBRARY.exists():
        return [
            pytest.param(PythonBatch(), id="python"),
            pytest.param(CompiledBatch(ctypes.CDLL(str(LIBRARY))), id="compiled"),
        ]
    assert not os.environ.get("CI"), "no compiled code: python scripts/build_batch.py"
    skip = pytest.mark.skip(reason="no compiled code: python scripts/build_batch.py")
    return [pytest.param(PythonBatch(), id="python"), pytest.param(None, id="compiled", marks=skip)]
