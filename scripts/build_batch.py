"""Compile the C code of the switch to softswitch/media/rtp/_batch.so, where there is a C compiler.

    python scripts/build_batch.py          say what was done
    python scripts/build_batch.py --must   fail without a compiler

The code is optional: without it the same work is done in Python. CC names the compiler, CFLAGS its options.
The build of the wheel calls :func:`build` by way of ``hatch_build.py``.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "softswitch"
_NAMES = (
    "media/rtp/batch.c",
    "media/rtp/convert.c",
    "media/rtp/ice.c",
    "media/rtp/ordinary.c",
    "media/rtp/passes.c",
    "media/rtp/secure.c",
    "media/feeds/feeds.c",
    "media/feeds/stream_text.c",
    "media/feeds/streams.c",
    "media/tracks/bus.c",
    "audio/band.c",
    "audio/g722.c",
    "audio/mix.c",
    "audio/pitch.c",
    "audio/resample.c",
    "audio/rows.c",
    "audio/silero.c",
    "audio/stretch.c",
)
SOURCES = tuple(PACKAGE / name for name in _NAMES)
LIBRARY = PACKAGE / "media" / "rtp" / "_batch.so"
TIMEOUT_S = 120


def compiler() -> list[str] | None:
    """Return the command of the C compiler, or None."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        words = shlex.split(name)
        if words and shutil.which(words[0]):
            return words
    return None


def build() -> str:
    """Compile; return an empty text, or why there is no library now.

    A library from before is replaced by a rename (a process may have it loaded), and removed if this fails.
    """
    command = compiler()
    if command is None or sys.platform != "linux":
        LIBRARY.unlink(missing_ok=True)
        return "no C compiler" if sys.platform == "linux" else "not Linux"
    fresh = LIBRARY.with_suffix(".new")
    options = shlex.split(os.environ.get("CFLAGS", "-O3"))
    # Nothing asks for the errno of a square root, which would keep it out of vectors.
    words = [
        *command,
        *options,
        "-std=gnu11",
        "-fno-math-errno",
        "-Wall",
        "-shared",
        "-fPIC",
        "-o",
        str(fresh),
    ]
    words += [*map(str, SOURCES), "-lm"]
    try:
        done = subprocess.run(  # noqa: S603 - the compiler of this machine
            words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        fault = (
            (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            if done.returncode
            else ""
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        fault = str(error)
    if fault:
        fresh.unlink(missing_ok=True)
        LIBRARY.unlink(missing_ok=True)
        return fault
    fresh.replace(LIBRARY)
    return ""


def main() -> int:
    """Build and say so."""
    why = build()
    print(
        f"media sockets: {'read and sent by compiled code' if not why else f'served by Python alone ({why})'}"
    )
    return 1 if why and "--must" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
