"""Compiled parts of libraries that are imported late: opened first without the interpreter's lock.

`import` opens a shared library while no other thread can run Python: PyAV with its thirty libraries takes a
tenth of a second, in which no tick begins. A foreign call gives the lock away; the import afterwards finds
the library open.
"""

import ctypes
import importlib.util
import os
from pathlib import Path

_PARTS = {
    "av": "_core*.so",
    "cryptography": "hazmat/bindings/_rust*.so",
    "pylibsrtp": "_binding*.so",
}
"""The part of each package that takes long to open, below its folder."""


def open_ahead(*packages: str) -> None:
    """Open the compiled parts of packages; one that is not found is left to its import.

    Args:
        packages: of `_PARTS`.
    """
    try:
        system = ctypes.CDLL(None)
        dlopen = system.dlopen
    except (OSError, AttributeError, TypeError):  # Not a system of the Unix kind.
        return
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    for package in packages:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
            for part in Path(folder).glob(_PARTS[package]):
                dlopen(bytes(part), os.RTLD_NOW)
