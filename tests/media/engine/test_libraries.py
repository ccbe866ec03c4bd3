import subprocess
import sys

import pytest

SCRIPT = """
import sys
from softswitch.media import messages as m
from softswitch.media.engine.libraries import load_for
pcmu, g722 = m.PayloadFormat("PCMU", 0, 8000), m.PayloadFormat("G722", 9, 8000)
load_for({message})
print(" ".join(name for name in ("av", "pylibsrtp") if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("message", "libraries"),
    [
        ("m.AddRtpPort(1, 1, m.RtpParameters((pcmu,), pcmu))", ""),
        ("m.AddRtpPort(1, 1, m.RtpParameters((pcmu, g722), pcmu))", "av"),
        ("m.UpdateRtp(1, m.RtpParameters((pcmu,), g722))", "av"),
        ("m.AddFeedPort(1, 1)", ""),
        ("m.AddFeedPort(1, 1, codec='g722')", "av"),
        ("m.SetDenoise(1, on=False)", ""),
        ("m.SetDenoise(1, on=True)", "av"),
        ("m.ConnectPlain(1, -1, '127.0.0.1', 9)", ""),
        ("m.ConnectPlain(1, -1, '127.0.0.1', 9, receive_key=bytes(30))", "pylibsrtp"),
    ],
)
def test_library_is_imported_before_the_message_that_needs_it(message: str, libraries: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(message=message)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == libraries
