"""The functions of ``rows.c``, ``mix.c`` and ``band.c``, which work on many rows with one call.

See docs/adr/0049.
"""

import ctypes
from collections.abc import Callable
from functools import cache

from softswitch.compiled import library, locked

_POINTER, _LONG, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float

_FUNCTIONS: dict[str, tuple[type | None, list[type]]] = {
    "round": (None, [_POINTER, _LONG, _POINTER]),
    "power": (None, [_POINTER, _LONG, _LONG, _POINTER]),
    "tone_candidates": (_LONG, [_POINTER, _LONG, _POINTER, _FLOAT, _FLOAT, _FLOAT, _POINTER]),
    "header_level": (None, [_POINTER, _LONG, _LONG, _FLOAT, _FLOAT, _POINTER]),
    "energy": (ctypes.c_int, [_POINTER, _POINTER, _LONG, _LONG, _POINTER, _LONG, *[_POINTER] * 3]),
    "follow_band": (_LONG, [_POINTER, _POINTER, _LONG, _LONG, _POINTER, _POINTER]),
    "limit": (None, [_POINTER, _LONG, _LONG, _POINTER]),
    "gate": (
        None,
        [_POINTER, _POINTER, _POINTER, _LONG, ctypes.c_double, ctypes.c_int, _FLOAT, *[_POINTER] * 3],
    ),
}


@cache
def compiled(name: str) -> Callable[..., int] | None:
    """Return the function ``softswitch_`` + `name`; None without compiled code.

    It keeps the interpreter's lock, because a row takes a tenth of a microsecond. Arguments are addresses of
    C-contiguous arrays, as :func:`softswitch.compiled.address` returns them, and numbers.
    """
    code = library()
    if code is None:
        return None
    result, arguments = _FUNCTIONS[name]
    return locked(getattr(code, f"softswitch_{name}"), result, arguments)
