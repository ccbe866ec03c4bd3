"""A provider in a wheel of its own, installed beside the switch, is found by its name."""

import base64
import hashlib
import os
import subprocess
import sys
import venv
import zipfile

from tests.conftest import ROOT

MODULE = """
import asyncio
from softswitch.speech.phrases import Spoken
from softswitch.speech.tts_stream import SentenceStream

class Parrot:
    name = "parrot"
    async def open(self, options):
        async def synthesize(sentence):
            yield Spoken(sentence.encode("utf-16-le"), 8000)
        return SentenceStream(self.name, synthesize)
    def voices(self):
        return ("polly",)
    async def close(self):
        pass

def make(setup):
    assert setup.settings.tts == "parrot"
    return Parrot()
"""
PROGRAM = """
import asyncio
from softswitch.settings import Speech
from softswitch.speech.provider import Providers, TtsAudio, TtsOptions

async def main():
    providers = Providers(Speech(tts="parrot", asr="off"))
    await providers.start()
    opened = await providers.open_tts(("parrot",), TtsOptions())
    opened.stream.push_text("Hello.")
    opened.stream.flush()
    heard = b"".join([o.pcm async for o in opened.stream if isinstance(o, TtsAudio)])
    print(opened.provider, opened.warnings, heard.decode("utf-16-le"), sorted(providers.names("tts")))
    await providers.close()

asyncio.run(main())
"""


def build_wheel(folder):
    name = "softswitch_parrot-1.0"
    files = {
        "softswitch_parrot.py": MODULE,
        f"{name}.dist-info/METADATA": "Metadata-Version: 2.1\nName: softswitch-parrot\nVersion: 1.0\n",
        f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}.dist-info/entry_points.txt": "[softswitch.tts]\nparrot = softswitch_parrot:make\n",
    }
    record = f"{name}.dist-info/RECORD"
    lines = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(text.encode())}")
    files[record] = "\n".join([*lines, f"{record},,", ""])
    wheel = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def run(*command, env=None):
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_with_one_entry_point_is_found_by_name_in_a_fresh_environment(tmp_path):
    wheel = build_wheel(tmp_path)
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    run(
        *(sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet"),
        *("--disable-pip-version-check", "--target", site, str(wheel)),
    )
    # The switch and what it stands on come from where the tests run: there is no network here.
    behind = os.pathsep.join([str(ROOT), *(path for path in sys.path if path.endswith("-packages"))])
    said = run(python, "-c", PROGRAM, env={"PYTHONPATH": behind, "PATH": os.environ["PATH"]})
    assert said.startswith("parrot [] Hello. ['builtin', 'parrot']")
