import numpy as np
import pytest

from softswitch.compiled import LIBRARY, SWITCH, VERSION, Address, address, library


def test_library_is_loaded_unless_it_is_missing_or_turned_off(monkeypatch, tmp_path):
    if LIBRARY.exists():
        assert library() is not None
        monkeypatch.setenv(SWITCH, "0")
        assert library() is None
        monkeypatch.setenv(SWITCH, "1")
    assert library(tmp_path / "none.so") is None


def test_library_of_another_kind_is_not_used(monkeypatch, tmp_path, caplog):
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"no library")
    assert library(broken) is None

    class Older:
        @staticmethod
        def softswitch_batch_version() -> int:
            return 0

    monkeypatch.setattr("softswitch.compiled.ctypes.CDLL", lambda _: Older())
    assert library(broken) is None
    assert [record.error for record in caplog.records][1] == f"version 0 instead of {VERSION}"


def test_address_is_that_of_the_first_element():
    array = np.arange(6, dtype=np.int64)
    read_only = array[1:]
    read_only.flags.writeable = False
    assert address(array) == array.ctypes.data
    assert address(read_only) == array.ctypes.data + 8
    with pytest.raises(ValueError, match="not C-contiguous"):
        address(array[::2])


def test_address_is_asked_anew_for_another_array():
    first, second, kept = np.zeros(3), np.zeros(3), Address()
    assert [kept.of(array) for array in (first, first, second)] == [
        first.ctypes.data,
        first.ctypes.data,
        second.ctypes.data,
    ]
