"""Products with fixed weights: in 8-bit integers by ONNX Runtime where it is there, else in floats by numpy.

Each product is a model of a single node, `DynamicQuantizeMatMul`, which uses the processor's instructions for
8-bit products: for eight rows or more ten times as fast as floats. Weights are rounded column by column, the
rows as they come. The model is written here as ONNX's protobuf, of which only a few fields are needed.
"""

import functools
import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Linear = Callable[[Array], Array]
"""Return ``(n, out)`` for rows ``(n, in)``."""

_INT8, _FLOAT = 3, 1
_MOST = 127
_VARINT, _BYTES = 0, 2
"""Wire types of protobuf."""


def exact(weights: Array) -> Linear:
    """Return the product with weights ``(in, out)`` in floats."""
    return functools.partial(_plain, np.ascontiguousarray(weights))


def linear(weights: Array, sizes: Array | None = None) -> Linear:
    """Return the product with weights ``(in, out)``, which need not be kept.

    Args:
        weights: the weights.
        sizes: how large the numbers of each column of the rows are, against those of the others; None: alike.
    """
    runtime = _runtime()
    if runtime is None:
        return exact(weights)
    # Large columns would leave few of the 8 bits to the others: half of the difference goes into the weights.
    even = np.ones(len(weights), np.float32)
    if sizes is not None:
        even = np.sqrt(np.maximum(np.abs(sizes), 1e-4) / np.maximum(np.abs(weights).max(axis=1), 1e-4))
        weights = weights * even[:, None]
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # Ninety of them would keep ninety arenas.
    session = runtime.InferenceSession(model(weights), options, providers=["CPUExecutionProvider"])
    return functools.partial(_quantised, session, (1.0 / even).astype(np.float32))


def _plain(weights: Array, rows: Array) -> Array:
    return rows @ weights


def _quantised(session: Any, even: Array, rows: Array) -> Array:
    rows = rows * even
    # Rows are rounded together, so each is first made as large as the others.
    largest = np.maximum(np.abs(rows).max(axis=1, keepdims=True), np.float32(1e-9))
    rows /= largest
    product: Array = session.run(None, {"x": rows})[0]
    product *= largest
    return product


@functools.cache
def _runtime() -> Any:
    return importlib.import_module("onnxruntime") if importlib.util.find_spec("onnxruntime") else None


def model(weights: Array) -> bytes:
    """Return the ONNX model of the product with weights ``(in, out)``, rounded to 8 bits."""
    scale = np.abs(weights).max(axis=0) / np.float32(_MOST)
    scale[scale == 0.0] = 1.0
    rounded = np.clip(np.rint(weights / scale), -_MOST, _MOST).astype(np.int8)
    rows, columns = weights.shape
    node = b"".join(
        (
            *(_text(1, name) for name in ("x", "weights", "scale")),
            _text(2, "y"),
            _text(4, "DynamicQuantizeMatMul"),
            _text(7, "com.microsoft"),
        )
    )
    graph = b"".join(
        (
            _field(1, node),
            _text(2, "product"),
            _tensor("weights", rounded, _INT8),
            _tensor("scale", scale.astype(np.float32), _FLOAT),
            _value(11, "x", rows),
            _value(12, "y", columns),
        )
    )
    versions = (("", 17), ("com.microsoft", 1))
    imports = b"".join(_field(8, _text(1, domain) + _number(2, version)) for domain, version in versions)
    return _number(1, 8) + _field(7, graph) + imports


def _varint(number: int) -> bytes:
    data = bytearray()
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    data.append(number)
    return bytes(data)


def _number(field: int, number: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(number)


def _field(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(data)) + data


def _text(field: int, text: str) -> bytes:
    return _field(field, text.encode())


def _tensor(name: str, values: NDArray[Any], kind: int) -> bytes:
    sizes = b"".join(_number(1, size) for size in values.shape)
    return _field(5, sizes + _number(2, kind) + _text(8, name) + _field(9, values.tobytes()))


def _value(field: int, name: str, width: int) -> bytes:
    """Return the description of an input or output ``(n, width)`` of floats."""
    shape = _field(1, _text(2, "n")) + _field(1, _number(1, width))
    return _field(field, _text(1, name) + _field(2, _field(1, _number(1, _FLOAT) + _field(2, shape))))
