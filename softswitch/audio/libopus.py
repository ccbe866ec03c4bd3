"""libopus by ctypes: finds the library and declares the functions that are used.

PyAV's wheels carry a libopus of their own next to the package; it is newer than most distributions' and the
same on every machine, so it is asked first, the system's second. Functions are called *without* releasing the
interpreter lock (``PyDLL``): a call lasts 10 to 90 microseconds, and a tick that let go of the lock for each
of them could wait half a millisecond for its return every time, behind a busy signalling thread.
"""

import ctypes
from functools import cache
from importlib.util import find_spec
from pathlib import Path

VOIP = 2048
"""OPUS_APPLICATION_VOIP: tuned for speech, and the one mode set in which in-band FEC is at home."""

SET_BITRATE, SET_VBR, SET_COMPLEXITY = 4002, 4006, 4010
SET_INBAND_FEC, SET_PACKET_LOSS_PERCENT, SET_DTX, SET_SIGNAL = 4012, 4014, 4016, 4024
SET_MAX_BANDWIDTH, BANDWIDTH_NARROW = 4004, 1101
BANDS = {8000: BANDWIDTH_NARROW, 16000: 1103, 24000: 1104, 48000: 1105}
"""OPUS_BANDWIDTH_* (narrow, wide, super-wide, full) by the sample rate that holds the band, Hz."""
SET_PREDICTION_DISABLED = 4042
RESET_STATE = 4028
SET_VBR_CONSTRAINT = 4020
SIGNAL_VOICE, SIGNAL_MUSIC = 3001, 3002

_NAMES = ("libopus.so.0", "libopus.0.dylib", "opus.dll")
_WHEEL_PLACES = ("../av.libs", ".dylibs", ".libs")


def _candidates() -> list[str]:
    found: list[str] = []
    wheel = find_spec("av")
    if wheel is not None and wheel.origin is not None:
        home = Path(wheel.origin).parent
        for place in _WHEEL_PLACES:
            found += [
                str(path) for path in sorted((home / place).glob("*opus*")) if "opusfile" not in path.name
            ]
    return [*found, *_NAMES]


def _load(name: str) -> ctypes.PyDLL | None:
    try:
        library = ctypes.PyDLL(name)
        _declare(library)
    except (OSError, AttributeError):
        # Not there, not a library, or not this library: the next candidate is asked.
        return None
    return library


def _declare(library: ctypes.PyDLL) -> None:
    pointer, number = ctypes.c_void_p, ctypes.c_int
    signatures: dict[str, tuple[object, list[object]]] = {
        "opus_encoder_create": (pointer, [number, number, number, pointer]),
        "opus_encoder_destroy": (None, [pointer]),
        # Variadic: what follows the request is passed as a C int by the caller.
        "opus_encoder_ctl": (number, [pointer, number]),
        "opus_encode": (number, [pointer, pointer, number, pointer, number]),
        "opus_decoder_create": (pointer, [number, number, pointer]),
        "opus_decoder_destroy": (None, [pointer]),
        "opus_decode": (number, [pointer, pointer, number, pointer, number, number]),
        "opus_get_version_string": (ctypes.c_char_p, []),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments


@cache
def library() -> ctypes.PyDLL | None:
    """Return libopus with its functions declared, None if it was not found."""
    for name in _candidates():
        loaded = _load(name)
        if loaded is not None:
            return loaded
    return None


def version() -> str | None:
    """Return the version string of libopus, such as ``libopus 1.6.1``; None if it was not found."""
    loaded = library()
    return None if loaded is None else str(loaded.opus_get_version_string().decode("ascii"))
