import subprocess
import sys

import pytest

SCRIPT = """
import sys
from pathlib import Path
from softswitch.libraries import open_ahead
open_ahead({package!r})
maps = Path("/proc/self/maps").read_text()
print({package!r} in sys.modules, {part!r} in maps)
import {package}
"""


@pytest.mark.parametrize(
    ("package", "part"), [("av", "libavcodec"), ("cryptography", "_rust"), ("pylibsrtp", "_binding")]
)
def test_compiled_part_is_open_before_the_import(package: str, part: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(package=package, part=part)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "True"]
