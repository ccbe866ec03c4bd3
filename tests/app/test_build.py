import subprocess
import sys

HEAVY = "av", "aiortc", "aioice", "cryptography", "OpenSSL", "pylibsrtp", "jwt", "redis", "dns", "onnxruntime"
"""Libraries that only some switches or calls need: together they take 45 MB."""


def test_importing_the_switch_imports_no_library_that_it_may_never_need() -> None:
    script = f"import sys, softswitch.app; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_engine_needs_no_generators_of_numpy() -> None:
    script = (
        "import sys, softswitch.app\nfrom softswitch.media.engine.engine import Engine\nEngine()\n"
        "print('numpy.random' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
