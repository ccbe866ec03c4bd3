"""What this host lacks for a test of speech: skipped, and failed where CI=true."""

import importlib.util

from softswitch.speech.builtin import flite
from tests.conftest import missing


def need_flite():
    if not flite.installed():
        missing("flite is not installed (Debian package libflite1)")


def need_module(name):
    if importlib.util.find_spec(name) is None:
        missing(f"{name} is not installed")


def keep(pieces, pcm):
    """Keep a piece of audio and go on."""
    pieces.append(pcm)
    return True
