import ctypes

from softswitch.audio import libopus


def test_library_is_found_and_names_itself():
    assert libopus.library() is not None
    assert str(libopus.version()).startswith("libopus")


def test_library_is_loaded_once():
    assert libopus.library() is libopus.library()


def test_calls_keep_the_interpreter_lock():
    assert type(libopus.library()) is ctypes.PyDLL


def test_a_file_that_is_no_libopus_is_passed_over(tmp_path, monkeypatch):
    fake = tmp_path / "libopus.so.0"
    fake.write_bytes(b"not a library")
    monkeypatch.setattr(libopus, "_candidates", lambda: [str(fake), "libc.so.6", "libnowhere.so"])
    libopus.library.cache_clear()
    try:
        assert libopus.library() is None
        assert libopus.version() is None
    finally:
        libopus.library.cache_clear()
