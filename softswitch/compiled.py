"""The compiled code of the switch: where it is, whether it may be used, and the addresses that it is given.

``scripts/build_batch.py`` makes one library of the C sources when the package is installed on a machine with
a C compiler. It is optional: each module that uses it does the same work without it. See docs/adr/0031, 0037
and 0047.
"""

import ctypes
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

logger = logging.getLogger(__name__)

VERSION = 16
"""Interface of the compiled code that the modules of this package can use."""

LIBRARY = Path(__file__).parent / "media" / "rtp" / "_batch.so"
"""Where the compiled code is, if there is any."""

SWITCH = "SOFTSWITCH_COMPILED"
"""Name of the environment variable that turns compiled code off by the value 0."""


def library(path: Path = LIBRARY) -> ctypes.CDLL | None:
    """Return the compiled code if there is any, it can be used and it is not turned off."""
    if os.environ.get(SWITCH) == "0" or not path.exists():
        return None
    try:
        code = ctypes.CDLL(str(path))
        version = code.softswitch_batch_version()
        if version != VERSION:
            raise ValueError(f"version {version} instead of {VERSION}")
    except (OSError, AttributeError, ValueError) as error:
        logger.warning("compiled code not used", extra={"path": str(path), "error": str(error)})
        return None
    return code


def function_address(function: Any) -> int:
    """Return the address of a function of the library, for code in C that calls it."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def locked(function: Any, result: type | None, arguments: Sequence[type]) -> Callable[..., int]:
    """Return a function of the library that keeps the interpreter's lock.

    For what takes some microseconds at most: a thread that gives the lock away may wait for it for longer.
    """
    return ctypes.PYFUNCTYPE(result, *arguments)(function_address(function))


def address(array: NDArray[Any]) -> int:
    """Return the address of a C-contiguous array, in a third of the time that numpy takes.

    Raises:
        ValueError: the array is not C-contiguous.
    """
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array.data))
    except (TypeError, ValueError):
        # The array is read-only, or empty, or not contiguous.
        if not array.flags.c_contiguous:
            raise ValueError("array: it is not C-contiguous") from None
        return array.ctypes.data


class Address:
    """Address of an array that is most often the one of the call before."""

    __slots__ = ("_array", "_at")

    def __init__(self) -> None:
        self._array: NDArray[Any] | None = None
        self._at = 0

    def of(self, array: NDArray[Any]) -> int:
        """Return the address of `array`, which is kept alive until the next call.

        Raises:
            ValueError: the array is not C-contiguous.
        """
        if array is not self._array:
            self._at, self._array = address(array), array
        return self._at
