"""Reads the tensors and the nodes of a model file in ONNX Runtime's own format (`.ort`, a flatbuffer).

The recogniser's weights come in such a file. Their graph computes the weights anew in every step, which takes
nine tenths of the time; :mod:`softswitch.speech.builtin.moonshine` reads the weights here and computes by
itself. The layout is that of `ort.fbs` of ONNX Runtime 1.12 and later.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TYPES = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 9: "?"}
_SESSION_MODEL, _MODEL_GRAPH = 1, 7
_GRAPH_INITIALIZERS, _GRAPH_NODES = 0, 2
_TENSOR_NAME, _TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_DATA = 0, 2, 3, 4
_NODE_NAME, _NODE_INPUTS, _NODE_ATTRIBUTES = 0, 8, 10
_ATTRIBUTE_GRAPH = 7


class _Table:
    """One table of a flatbuffer: fields by number, each at an offset that the table's own index tells."""

    def __init__(self, data: memoryview, at: int) -> None:
        self._data = data
        self._at = at
        self._index = at - struct.unpack_from("<i", data, at)[0]
        self._fields = (struct.unpack_from("<H", data, self._index)[0] - 4) // 2

    def _field(self, number: int) -> int:
        """Return where a field lies, 0 where the table has none."""
        if number >= self._fields:
            return 0
        offset = int(struct.unpack_from("<H", self._data, self._index + 4 + 2 * number)[0])
        return self._at + offset if offset else 0

    def _follow(self, at: int) -> int:
        return at + int(struct.unpack_from("<I", self._data, at)[0])

    def number(self, number: int) -> int:
        at = self._field(number)
        return int(struct.unpack_from("<i", self._data, at)[0]) if at else 0

    def vector(self, number: int) -> tuple[int, int]:
        """Return where the elements of a vector begin, and how many there are."""
        at = self._field(number)
        if not at:
            return 0, 0
        at = self._follow(at)
        return at + 4, int(struct.unpack_from("<I", self._data, at)[0])

    def data(self, number: int) -> memoryview:
        begin, size = self.vector(number)
        return self._data[begin : begin + size]

    def text(self, number: int) -> str:
        return bytes(self.data(number)).decode()

    def table(self, number: int) -> "_Table | None":
        at = self._field(number)
        return _Table(self._data, self._follow(at)) if at else None

    def tables(self, number: int) -> Iterator["_Table"]:
        begin, count = self.vector(number)
        for index in range(count):
            yield _Table(self._data, self._follow(begin + 4 * index))

    def texts(self, number: int) -> list[str]:
        begin, count = self.vector(number)
        found = []
        for index in range(count):
            at = self._follow(begin + 4 * index)
            size = struct.unpack_from("<I", self._data, at)[0]
            found.append(bytes(self._data[at + 4 : at + 4 + size]).decode())
        return found

    def longs(self, number: int) -> tuple[int, ...]:
        begin, count = self.vector(number)
        return struct.unpack_from(f"<{count}q", self._data, begin)


@dataclass(frozen=True, slots=True)
class OrtModel:
    """What a model file holds."""

    tensors: dict[str, NDArray[Any]]
    """Tensors by name; views of the file's bytes."""
    inputs: dict[str, list[str]]
    """Names of what each node takes, by the node's name; of equal names in branches the first counts."""


def read(data: bytes) -> OrtModel:
    """Read a model.

    Raises:
        ValueError: this is no such file.
    """
    tensors: dict[str, NDArray[Any]] = {}
    inputs: dict[str, list[str]] = {}
    try:
        view = memoryview(data)
        session = _Table(view, struct.unpack_from("<I", view, 0)[0])
        model = session.table(_SESSION_MODEL)
        graph = model.table(_MODEL_GRAPH) if model is not None else None
        if graph is None:
            raise ValueError("a model file without a graph")
        _collect(graph, tensors, inputs)
    except (struct.error, UnicodeDecodeError, KeyError) as error:
        raise ValueError(f"not a model file of ONNX Runtime: {error!r}") from error
    return OrtModel(tensors, inputs)


def _collect(graph: _Table, tensors: dict[str, NDArray[Any]], inputs: dict[str, list[str]]) -> None:
    for tensor in graph.tables(_GRAPH_INITIALIZERS):
        kind = _TYPES[tensor.number(_TENSOR_TYPE)]
        values = np.frombuffer(tensor.data(_TENSOR_DATA), kind)
        tensors[tensor.text(_TENSOR_NAME)] = values.reshape(tensor.longs(_TENSOR_DIMS))
    for node in graph.tables(_GRAPH_NODES):
        inputs.setdefault(node.text(_NODE_NAME), node.texts(_NODE_INPUTS))
        for attribute in node.tables(_NODE_ATTRIBUTES):
            branch = attribute.table(_ATTRIBUTE_GRAPH)
            if branch is not None:
                _collect(branch, tensors, inputs)
