import os
import subprocess
import sys

import pytest

from softswitch.compiled import SWITCH, library

SCRIPT = """
import sys
from softswitch.media import messages as m
from softswitch.media.engine.libraries import load_for
pcmu, g722 = m.PayloadFormat("PCMU", 0, 8000), m.PayloadFormat("G722", 9, 8000)
load_for({message})
print(" ".join(name for name in ("av", "pylibsrtp") if name in sys.modules))
"""


def imported(message: str, **environ: str) -> str:
    """Return the libraries that are imported for a message."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(message=message)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environ,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("message", "libraries"),
    [
        ("m.AddRtpPort(1, 1, m.RtpParameters((pcmu,), pcmu))", ""),
        ("m.AddFeedPort(1, 1)", ""),
        ("m.SetDenoise(1, on=False)", ""),
        ("m.SetDenoise(1, on=True)", "av"),
        ("m.ConnectPlain(1, -1, '127.0.0.1', 9)", ""),
        ("m.ConnectPlain(1, -1, '127.0.0.1', 9, receive_key=bytes(30))", "pylibsrtp"),
    ],
)
def test_library_is_imported_before_the_message_that_needs_it(message: str, libraries: str) -> None:
    assert imported(message) == libraries


@pytest.mark.parametrize(
    "message",
    [
        "m.AddRtpPort(1, 1, m.RtpParameters((pcmu, g722), pcmu))",
        "m.UpdateRtp(1, m.RtpParameters((pcmu,), g722))",
        "m.AddFeedPort(1, 1, codec='g722')",
    ],
)
def test_g722_needs_pyav_where_there_is_no_compiled_code(message: str) -> None:
    assert imported(message, **{SWITCH: "0"}) == "av"
    if library() is not None:
        assert imported(message) == ""
