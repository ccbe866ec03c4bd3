"""Frames between a worker and its supervisor."""

import msgspec
import pytest

from softswitch.bus.bus import Entry
from softswitch.bus.frames import Frame, pack, unpack


def test_a_frame_is_read_as_it_was_written():
    frame = Frame(
        "done", 7, key="call:a", value=b"\0", node="a.1", number=2.5, entries=[Entry("k", b"v", "a.1")]
    )
    assert unpack(pack(frame)) == frame


def test_elements_of_a_later_version_are_ignored():
    later = [*msgspec.msgpack.decode(pack(Frame("nodes", names=["a.1"]))), "more"]
    assert unpack(msgspec.msgpack.encode(later)).names == ["a.1"]


@pytest.mark.parametrize("data", [b"", b"\x93", b"nonsense", msgspec.msgpack.encode({"kind": "put"})])
def test_octets_that_are_no_frame_are_refused(data):
    with pytest.raises(msgspec.MsgspecError):
        unpack(data)
