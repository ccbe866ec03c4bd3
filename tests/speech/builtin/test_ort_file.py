import struct

import numpy as np
import pytest

from softswitch.speech.builtin.ort_file import read


class Builder:
    """Writes flatbuffers from front to back: what is pointed to lies behind what points to it."""

    def __init__(self):
        self.data = bytearray(4)
        self.fixes = []

    def table(self, fields):
        """Write a table of {number:

        value} and return where it lies; values are offsets to be filled in or ints.
        """
        count = max(fields, default=-1) + 1
        vtable = len(self.data)
        self.data += struct.pack("<HH", 4 + 2 * count, 4 + 4 * len(fields)) + bytes(2 * count)
        while len(self.data) % 4:
            self.data += b"\0"
        at = len(self.data)
        self.data += struct.pack("<i", at - vtable)
        for number, value in sorted(fields.items()):
            struct.pack_into("<H", self.data, vtable + 4 + 2 * number, len(self.data) - at)
            if callable(value):
                self.fixes.append((len(self.data), value))
                self.data += bytes(4)
            else:
                self.data += struct.pack("<i", value)
        return at

    def vector(self, raw, count):
        at = len(self.data)
        self.data += struct.pack("<I", count) + raw
        while len(self.data) % 4:
            self.data += b"\0"
        return at

    def vector_of(self, makers):
        at = self.vector(bytes(4 * len(makers)), len(makers))
        for index, maker in enumerate(makers):
            self.fixes.append((at + 4 + 4 * index, maker))
        return at

    def finish(self, root):
        struct.pack_into("<I", self.data, 0, root(self))
        while self.fixes:
            at, maker = self.fixes.pop(0)
            struct.pack_into("<I", self.data, at, maker(self) - at)
        return bytes(self.data)


def text(value):
    return lambda b: b.vector(value.encode() + b"\0", len(value))


def longs(*values):
    return lambda b: b.vector(struct.pack(f"<{len(values)}q", *values), len(values))


def tensor(name, array, kind):
    raw = array.tobytes()
    return lambda b: b.table(
        {0: text(name), 2: longs(*array.shape), 3: kind, 4: lambda c: c.vector(raw, len(raw))}
    )


def node(name, inputs, branch=None):
    fields = {0: text(name), 8: lambda b: b.vector_of([text(value) for value in inputs])}
    if branch is not None:
        fields[10] = lambda b: b.vector_of([lambda c: c.table({7: branch})])
    return lambda b: b.table(fields)


def graph(tensors, nodes):
    return lambda b: b.table({0: lambda c: c.vector_of(tensors), 2: lambda c: c.vector_of(nodes)})


def test_tensors_and_nodes_are_read_from_all_branches():
    floats = np.arange(6, dtype="<f4").reshape(2, 3)
    branch = graph([tensor("inner", np.array([[1], [-2]], "i1"), 3)], [node("/b/MatMul", ["x", "inner"])])
    whole = graph([tensor("outer", floats, 1)], [node("/a/If", ["c"], branch), node("/b/MatMul", ["y"])])
    data = Builder().finish(lambda b: b.table({0: text("5"), 1: lambda c: c.table({7: whole})}))
    model = read(data)
    assert np.array_equal(model.tensors["outer"], floats)
    assert model.tensors["inner"].tolist() == [[1], [-2]]
    assert model.inputs == {"/a/If": ["c"], "/b/MatMul": ["x", "inner"]}


@pytest.mark.parametrize("data", [b"", b"1234567890123456", bytes(64), b"\xff" * 64])
def test_what_is_no_model_is_refused(data):
    with pytest.raises(ValueError, match="model file"):
        read(data)
